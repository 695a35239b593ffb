"""A judge's run: every pair in both orders, or every answer, as often as wanted; rows kept as they come.

A reply without a readable verdict is asked for again a few times, then kept as a failure with its reason. A run that
was stopped goes on where it ended. It knows the endpoint only by `ChatEndpoint.complete`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.endpoint import ChatEndpoint, Reply
from evaluation.errors import InputError
from evaluation.fingerprint import Fingerprint, learnt, resumed, save, software
from evaluation.judge import prompts
from evaluation.judge.contexts import context_of, context_text, figure_fields
from evaluation.judge.reviews import ORDERS, UNREAD, Order
from evaluation.judge.rules import VISUAL, Rules, rules_sha256
from evaluation.judge.verdicts import Failure, read_one, read_pair
from evaluation.pacing import each
from evaluation.rows import Row, RowFile, by_id, joined, pairs_sha256, row_id, text_of, text_sha256
from evaluation.sampling import Sampling

JUDGE_SAMPLING = Sampling(temperature=0.2, max_tokens=1024)
"""The original's."""

VERDICT_TRIES = 3
"""How often one verdict is asked for until it can be read."""


@dataclass(frozen=True, slots=True)
class Task:
    """One request to the judge. `key` names it in the file; `row` holds the fields that are known before the reply."""

    key: tuple[str, str, int]
    messages: prompts.Messages
    row: Row

    @property
    def prompt_chars(self) -> int:
        return sum(len(str(message["content"])) for message in self.messages)


def pair_tasks(
    questions: Sequence[Row],
    left: Sequence[Row],
    right: Sequence[Row],
    contexts: Mapping[str, Row] | None,
    rules: Rules,
    *,
    repeats: int = 1,
    unknown_as: str | None = None,
) -> list[Task]:
    """The requests for all pairs: both orders, `repeats` times. `unknown_as` names the rule for categories without one.

    Raises MismatchError unless questions and both files of answers hold the same ids, InputError for a category without
    a rule or an image without a context.
    """
    asked, first, second = by_id(questions, "the questions"), by_id(left, "answers 1"), by_id(right, "answers 2")
    joined(asked, "the questions", first, "answers 1")
    tasks = []
    for key in joined(asked, "the questions", second, "answers 2"):
        question = asked[key]
        category = str(question.get("category", "default"))
        rule = rules.get(category) or (rules.get(unknown_as) if unknown_as else None)
        if rule is None:
            raise InputError(f"question {key}: there is no rule for the category {category!r}")
        context = _context(question, key, category, contexts)
        texts = (text_of(first[key], "answers 1"), text_of(second[key], "answers 2"))
        for repeat in range(1, repeats + 1):
            for order in ORDERS:
                shown = texts if order == "as given" else texts[::-1]
                tasks.append(
                    Task(
                        (key, order, repeat),
                        prompts.pairwise(text_of(question, "the questions"), context, *shown, rule),
                        {
                            "question_id": question["question_id"],
                            "answer1_id": first[key].get("answer_id"),
                            "answer2_id": second[key].get("answer_id"),
                            "category": category,
                            "metadata": {"order": order, "repeat": repeat, "words": [len(t.split()) for t in texts]},
                        },
                    )
                )
    return tasks


def single_tasks(
    questions: Sequence[Row],
    answers: Sequence[Row],
    references: Sequence[Row] | None,
    contexts: Mapping[str, Row] | None,
    *,
    repeats: int = 1,
) -> list[Task]:
    """The requests for all answers, `repeats` times. Raises as `pair_tasks` does."""
    asked, answered = by_id(questions, "the questions"), by_id(answers, "the answers")
    true = by_id(references, "the references") if references is not None else None
    if true is not None:
        joined(asked, "the questions", true, "the references")
    tasks = []
    for key in joined(asked, "the questions", answered, "the answers"):
        question = asked[key]
        image = question.get("image")
        known = figure_fields(context_of(contexts, image)) if contexts is not None and image else {}
        if contexts is None and question.get("caption"):
            known = {"caption": str(question["caption"])}
        reference = text_of(true[key], "the references") if true is not None else question.get("reference")
        if not known and reference is None:
            raise InputError(f"question {key}: neither a context nor a reference tells the judge what is right")
        text = text_of(answered[key], "the answers")
        messages = prompts.single(text_of(question, "the questions"), known, reference, text)
        row = {
            "question_id": question["question_id"],
            "answer_id": answered[key].get("answer_id"),
            "category": str(question.get("category", "default")),
        }
        words = len(text.split())
        tasks += [
            Task((key, "alone", repeat), messages, {**row, "metadata": {"repeat": repeat, "words": words}})
            for repeat in range(1, repeats + 1)
        ]
    return tasks


def judge_fingerprint(kind: str, tasks: Sequence[Task], rules: Rules | None, sampling: Sampling) -> Fingerprint:
    """What a judge's numbers depend on. The prompts hold questions, contexts and answers, so their hash covers them."""
    how = "single" if rules is None else f"pairwise, both orders, rules {rules_sha256(rules)[:12]}"
    return Fingerprint(
        kind=kind,
        engine="OpenAI-compatible endpoint",
        template=f"judge prompts v{prompts.VERSION}",
        questions_sha256=pairs_sha256(
            ("\t".join(map(str, task.key)), text_sha256(str(task.messages[-1]["content"]))) for task in tasks
        ),
        sampling=sampling.to_json(),
        scorer=f"judge {how}, verdicts asked for {VERDICT_TRIES} times",
        software=software(),
    )


async def judge_all(
    tasks: Sequence[Task],
    endpoint: ChatEndpoint,
    out: Path,
    wanted: Fingerprint,
    sampling: Sampling,
    *,
    advance: Callable[[int, int], None],
) -> list[Row]:
    """Judges whatever `out` does not yet hold; returns all rows, in the order of the tasks.

    Raises MismatchError when `out` holds another run, EndpointError when the endpoint fails as often as it may.
    """
    fingerprint = resumed(out, wanted)
    rows = RowFile(out)
    done = {_key(row) for row in rows.rows}
    advance(len(done), len(tasks))

    async def judge(task: Task) -> None:
        nonlocal fingerprint
        row, reply, tries = await _verdict(task, endpoint, sampling)
        # What the judge calls itself: a dated name, where the endpoint resolves an alias.
        updated = learnt(fingerprint, model=reply.model or None)
        if updated != fingerprint:
            fingerprint = updated
            save(fingerprint, out)
        row["metadata"] |= {"judge": reply.model or endpoint.model, "usage": dict(reply.usage), "tries": tries}
        rows.add({"id": len(rows.rows) + 1, **row})
        advance(len(rows.rows), len(tasks))

    await each([task for task in tasks if task.key not in done], judge, endpoint.pacer.pacing.concurrency)
    places = {task.key: place for place, task in enumerate(tasks)}
    ordered = sorted(rows.rows, key=lambda row: places[_key(row)])
    rows.rewrite([{**row, "id": number} for number, row in enumerate(ordered, 1)])
    save(dataclasses.replace(fingerprint, prompts_sha256=fingerprint.questions_sha256), out)
    return rows.rows


async def _verdict(task: Task, endpoint: ChatEndpoint, sampling: Sampling) -> tuple[Row, Reply, int]:
    """The row of one task, the last reply, and how many replies it took."""
    what = f"the verdict on question {task.key[0]}"
    tries = 0
    while True:
        reply = await endpoint.complete(what, task.messages, sampling)
        row = _read(task, reply)
        tries += 1
        if "failure" not in row["metadata"] or tries == VERDICT_TRIES:
            return row, reply, tries


def _read(task: Task, reply: Reply) -> Row:
    row: dict[str, Any] = {**task.row, "content": reply.text, "metadata": dict(task.row["metadata"])}
    found: tuple[float, float] | float | Failure
    if "answer1_id" in row:
        pair = found = read_pair(reply.text, reply.finish_reason, reply.refusal)
        if isinstance(pair, Failure):
            row["tuple"] = [UNREAD, UNREAD]
        else:
            row["tuple"] = list(_as_given(pair, task.row["metadata"]["order"]))
    else:
        score = found = read_one(reply.text, reply.finish_reason, reply.refusal)
        row["score"] = UNREAD if isinstance(score, Failure) else score
    if isinstance(found, Failure):
        row["metadata"]["failure"] = found.reason
    return row


def _as_given(pair: tuple[float, float], order: Order) -> tuple[float, float]:
    return pair if order == "as given" else (pair[1], pair[0])


def _context(question: Row, key: str, category: str, contexts: Mapping[str, Row] | None) -> str | None:
    image = question.get("image")
    if image is None:
        if category in VISUAL:
            raise InputError(f"question {key} is of the category {category!r} and has no image")
        return None
    if contexts is not None:
        return context_text(context_of(contexts, str(image)))
    if question.get("caption"):
        return context_text({"caption": question["caption"]})
    raise InputError(f"question {key} is about an image, and nothing tells the judge what it shows")


def _key(row: Row) -> tuple[str, str, int]:
    metadata = row.get("metadata") or {}
    return row_id(row), str(metadata.get("order", "alone")), int(metadata.get("repeat", 1))


def cost(tasks: Sequence[Task], usd_in: float | None, usd_out: float | None, sampling: Sampling) -> Iterator[str]:
    """An estimate before the first request, in lines. Prices are US dollars for a million tokens.

    Tokens are estimated as a quarter of the characters of the prompts, and the longest reply allowed for each answer.
    """
    tokens_in = sum(task.prompt_chars for task in tasks) // 4
    tokens_out = len(tasks) * (sampling.max_tokens or 1024)
    yield f"{len(tasks)} requests, about {tokens_in:,} tokens of prompts and at most {tokens_out:,} of replies"
    if usd_in is not None and usd_out is not None:
        least = tokens_in * usd_in / 1e6
        yield f"between {least:.2f} and {least + tokens_out * usd_out / 1e6:.2f} US dollars, without repeated requests"
    else:
        yield "no prices were given (--usd-in, --usd-out), so the cost is not known"
