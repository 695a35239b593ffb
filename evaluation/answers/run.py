"""A run: every question answered once, rows kept as they come, and a fingerprint that says what was measured.

Rows have the original's fields (question_id, prompt, text, answer_id, model_id, metadata); what we add stands in
`metadata`. A run that was stopped goes on where it ended, with the same fingerprint or not at all. It knows neither the
service nor the endpoint, only an AnswerSource.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluation.answers.questions import Question, Questions, check_images, image_path
from evaluation.answers.sources import Answered, AnswerSource
from evaluation.errors import InputError
from evaluation.fingerprint import Fingerprint, learnt, resumed, save
from evaluation.pacing import each
from evaluation.rows import Row, RowFile, by_id, joined, pairs_sha256, row_id
from llava_graph.figure import Figure, FigureError, open_figure


async def answer_all(
    questions: Questions,
    images: Path | None,
    source: AnswerSource,
    out: Path,
    wanted: Fingerprint,
    *,
    concurrency: int,
    advance: Callable[[int, int], None],
) -> Fingerprint:
    """Answers whatever `out` does not yet hold an answer to; returns the run's complete fingerprint.

    `advance` is called with the number of answers and of questions: once at the start and after each answer. Raises
    InputError for a missing or broken image, MismatchError when `out` holds another run or the endpoint becomes another
    model on the way, EndpointError when a question gets no answer.
    """
    check_images(questions.questions, images)
    fingerprint = resumed(out, wanted)
    rows = RowFile(out)
    done = by_id(rows.rows, str(out))
    if strangers := [key for key in done if key not in {item.question_id for item in questions.questions}]:
        raise InputError(f"{out} holds answers to other questions (the first: {strangers[0]})")
    advance(len(done), len(questions.questions))

    async def ask(question: Question) -> None:
        nonlocal fingerprint
        figure = await asyncio.to_thread(_opened, question, images)
        answered = await source.answer(question, figure)
        updated = learnt(fingerprint, **answered.learnt)
        if updated != fingerprint:
            fingerprint = updated
            save(fingerprint, out)
        rows.add(_row(question, figure, answered))
        advance(len(rows.rows), len(questions.questions))

    await each([item for item in questions.questions if item.question_id not in done], ask, concurrency)
    return _finished(questions.questions, rows, out, fingerprint)


def _finished(questions: Sequence[Question], rows: RowFile, out: Path, fingerprint: Fingerprint) -> Fingerprint:
    """Puts the rows into the questions' order and completes the fingerprint from them."""
    answers = by_id(rows.rows, str(out))
    asked = by_id([item.to_row() for item in questions], "the questions")
    rows.rewrite([answers[key] for key in joined(asked, "the questions", answers, str(out))])
    # Hosted endpoints change these from request to request, so they are gathered instead of compared on the way.
    systems = sorted(
        {str(row["metadata"]["system_fingerprint"]) for row in rows.rows if "system_fingerprint" in row["metadata"]}
    )
    complete = dataclasses.replace(
        fingerprint,
        engine_version=fingerprint.engine_version or ", ".join(systems) or None,
        prompts_sha256=_hash_of(rows.rows, "prompt_sha256"),
        pixels_sha256=_hash_of(rows.rows, "pixels_sha256"),
    )
    save(complete, out)
    return complete


def _hash_of(rows: Sequence[Row], name: str) -> str | None:
    """One hash over what every row says of itself; None where a row does not say."""
    values = [(row_id(row), row["metadata"].get(name)) for row in rows]
    known = [(key, value) for key, value in values if value is not None]
    return pairs_sha256(known) if known and len(known) == len(values) else None


def _opened(question: Question, images: Path | None) -> Figure | None:
    if question.image is None or images is None:
        return None
    path = image_path(images, question.image)
    try:
        return open_figure(path.read_bytes())
    except (FigureError, OSError) as error:
        raise InputError(f"question {question.question_id}: {path}: {error}") from error


def _row(question: Question, figure: Figure | None, answered: Answered) -> Row:
    metadata = {
        "category": question.category,
        "image": question.image,
        "caption": question.caption,
        "prompt_sha256": answered.prompt_sha256,
        "pixels_sha256": figure.id if figure else "no image",
        **answered.metadata,
    }
    return {
        "question_id": question.written_id,
        "prompt": question.text,
        "text": answered.text,
        "answer_id": uuid.uuid4().hex,
        "model_id": answered.model_id,
        "metadata": metadata,
    }
