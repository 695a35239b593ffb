"""`llava-graph eval judge` and `summarize`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.errors import EvaluationError, InputError
from evaluation.pacing import Pacer, Pacing
from evaluation.rows import Row, read_rows, row_id, write_json
from evaluation.sampling import TOKEN_FIELDS, Sampling

if TYPE_CHECKING:
    from evaluation.judge.run import Task
    from evaluation.statistics import Estimate

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--questions", type=FILE, required=True, help="JSONL: question_id, text, category, image.")
@click.option("--answers", type=FILE, required=True, help="Answers that are judged; answer 1 of a pair.")
@click.option("--against", type=FILE, help="Answer 2 of each pair. Without it each answer is scored alone, 0 to 10.")
@click.option("--references", type=FILE, help="References for scores alone.")
@click.option("--contexts", type=FILE, help="What the judge is told of the images: JSONL keyed by image.")
@click.option("--rules", type=FILE, help="Rules by category in the original's format, instead of ours.")
@click.option("--unknown-as", help="The rule for categories that have none, such as default.")
@click.option("--endpoint", required=True, help="OpenAI-compatible endpoint of the judge, such as https://…/v1.")
@click.option("--model", required=True, help="The judge's name at the endpoint.")
@click.option("--key-env", default="OPENAI_API_KEY", show_default=True, help="Environment variable with the key.")
@click.option("--no-key", is_flag=True, help="The endpoint wants no key.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.2, show_default=True)
@click.option("--no-temperature", is_flag=True, help="Send none: some models refuse it.")
@click.option("--token-field", type=click.Choice(TOKEN_FIELDS), default=TOKEN_FIELDS[0], show_default=True)
@click.option("--max-tokens", type=click.IntRange(min=8), default=1024, show_default=True)
@click.option("--repeats", type=click.IntRange(1, 20), default=1, show_default=True, help="2 or more: flip rate.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--tries", type=click.IntRange(1, 50), default=6, show_default=True)
@click.option("--usd-in", type=click.FloatRange(min=0), help="US dollars for a million tokens of prompts.")
@click.option("--usd-out", type=click.FloatRange(min=0), help="US dollars for a million tokens of replies.")
@click.option("--estimate-only", is_flag=True, help="Say what it would cost, ask nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before the first request.")
@click.option("--out", type=OUT, required=True, help="JSONL of reviews; a run that was stopped there goes on.")
def judge(questions: Path, answers: Path, out: Path, **options: Any) -> None:
    """Have a language model judge answers: pairs in both orders, or each answer alone.

    Says first what it will cost. Verdicts that cannot be read are asked for again, then left out and counted.
    """
    from evaluation.endpoint import key_from
    from evaluation.judge.run import cost

    temperature = None if options["no_temperature"] else options["temperature"]
    sampling = Sampling(temperature, None, options["max_tokens"], None, options["token_field"])
    try:
        tasks, rules = _tasks(questions, answers, options)
        for line in cost(tasks, options["usd_in"], options["usd_out"], sampling):
            click.echo(line, err=True)
        if options["estimate_only"]:
            return
        key = None if options["no_key"] else key_from(options["key_env"])
        if not options["yes"]:
            click.confirm("Ask the judge?", abort=True, err=True)
        rows = asyncio.run(_judged(tasks, rules, sampling, key, out, options))
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    failures = sum("failure" in row["metadata"] for row in rows)
    click.echo(f"{len(rows)} reviews in {out}, {failures} without a readable verdict")


def _tasks(questions: Path, answers: Path, options: dict[str, Any]) -> tuple[list[Task], Any]:
    from evaluation.judge.contexts import read_contexts
    from evaluation.judge.rules import RULES, read_rules
    from evaluation.judge.run import pair_tasks, single_tasks

    asked, answered = read_rows(questions), read_rows(answers)
    contexts = read_contexts(options["contexts"]) if options["contexts"] else None
    references = read_rows(options["references"]) if options["references"] else None
    if options["against"] is None:
        return single_tasks(asked, answered, references, contexts, repeats=options["repeats"]), None
    if references is not None:
        raise InputError("a pair is judged without references: --references is for scores alone")
    rules = read_rules(options["rules"]) if options["rules"] else RULES
    tasks = pair_tasks(
        asked,
        answered,
        read_rows(options["against"]),
        contexts,
        rules,
        repeats=options["repeats"],
        unknown_as=options["unknown_as"],
    )
    return tasks, rules


async def _judged(
    tasks: list[Task], rules: Any, sampling: Sampling, key: str | None, out: Path, options: dict[str, Any]
) -> list[Row]:
    from evaluation.endpoint import chat_endpoint
    from evaluation.judge.run import judge_all, judge_fingerprint
    from evaluation.progress import progress_bar

    pacer = Pacer(Pacing(concurrency=options["concurrency"], tries=options["tries"]))
    wanted = judge_fingerprint("reviews", tasks, rules, sampling)
    async with chat_endpoint(options["endpoint"], options["model"], key, pacer) as endpoint:
        with progress_bar("reviews") as advance:
            return await judge_all(tasks, endpoint, out, wanted, sampling, advance=advance)


@click.command()
@click.argument("reviews", type=FILE, nargs=-1, required=True)
@click.option("--questions", type=FILE, help="Questions with categories, for reviews that hold none.")
@click.option("--second", type=FILE, help="Reviews of the same answers by a second judge: Cohen's kappa.")
@click.option("--original", is_flag=True, help="The original's arithmetic: −1 averaged in, ratio of rounded means.")
@click.option("--json", "out", type=OUT, help="Write the summary of the first file as JSON.")
def summarize(
    reviews: tuple[Path, ...], questions: Path | None, second: Path | None, original: bool, out: Path | None
) -> None:
    """Summarise reviews per category and over all, and what they tell of the judge."""
    try:
        categories = (
            {row_id(row): str(row["category"]) for row in read_rows(questions) if "category" in row}
            if questions
            else None
        )
        documents = [_summarised(path, categories, second, original) for path in reviews]
        if out is not None:
            write_json(out, documents[0])
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error


def _summarised(path: Path, categories: dict[str, str] | None, second: Path | None, original: bool) -> dict[str, Any]:
    """Prints the tables of one file; returns what `--json` writes."""
    from evaluation import fingerprint
    from evaluation.judge import summary
    from evaluation.judge.reviews import is_single, pair_review, read_reviews, single_review

    rows = read_reviews(path)
    click.echo(f"## {path.name}\n")
    if original:
        table = summary.original_table(rows, categories)
        for category, means, ratio in table:
            click.echo(f"{category} {means} {ratio}")
        click.echo()
        return {"original": [{"category": c, "means": means, "ratio": ratio} for c, means, ratio in table]}
    run = fingerprint.load(path)
    document: dict[str, Any]
    agreement: Estimate | None = None
    if is_single(rows):
        singles = [single_review(row, categories) for row in rows]
        single = summary.summarise_single(singles)
        click.echo(summary.single_table(single))
        document = single.to_json()
        if second is not None:
            others = [single_review(row, categories) for row in read_reviews(second)]
            agreement = summary.single_agreement(singles, others)
    else:
        pairs = [pair_review(row, categories) for row in rows]
        pair = summary.summarise_pairs(pairs)
        click.echo(summary.pair_table(pair))
        document = pair.to_json()
        if second is not None:
            agreement = summary.pair_agreement(pairs, [pair_review(row, categories) for row in read_reviews(second)])
    if second is not None:
        # Refuses judges of other answers or prompts: their disagreement would say nothing about judging.
        differing = fingerprint.compared(run, fingerprint.load(second), ("scorer",), require=False)
        click.echo(f"Cohen's kappa with {second.name}: {agreement.text(3) if agreement else '–'}")
        names = (
            "not known: a fingerprint is missing" if differing is None else "; ".join(map(str, differing)) or "nothing"
        )
        click.echo(f"The two runs of reviews differ in: {names}\n")
        document["kappa"] = agreement.to_json() if agreement else None
    document["run"] = run.to_json() if run else None
    return document
