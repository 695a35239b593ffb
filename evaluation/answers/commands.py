"""`llava-graph eval answer`, `questions` and `readings`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evaluation.answers.contexts import CONTEXTS, ContextName, Reading
from evaluation.answers.questions import FORMATS, QuestionFormat, Questions
from evaluation.errors import EvaluationError, InputError
from evaluation.fingerprint import Fingerprint
from evaluation.pacing import Pacer, Pacing
from evaluation.sampling import TOKEN_FIELDS, Sampling, TokenField

if TYPE_CHECKING:
    from evaluation.answers.sources import AnswerSource

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PATH = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)


def asking_options(command: click.decorators.FC) -> click.decorators.FC:
    """What every command that asks a model takes: where, how, and how much at once."""
    for option in reversed(
        (
            click.option("--service", help="Address of our service, such as http://127.0.0.1:8000."),
            click.option("--endpoint", help="Any OpenAI-compatible endpoint, such as http://127.0.0.1:8001/v1."),
            click.option("--model", help="The model's name at the endpoint."),
            click.option("--key-env", help="Environment variable with the endpoint's key; none is sent without it."),
            click.option(
                "--template", default="plain@2", show_default=True, help="Context template for the endpoint, or bare."
            ),
            click.option("--readings", type=FILE, help="Readings of the figures, for the endpoint: `eval readings`."),
            click.option("--revision", help="Revision of the weights, where the endpoint does not say."),
            click.option("--weights", type=FOLDER, help="Folder of the weights: their hash goes into the fingerprint."),
            click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True),
            click.option("--no-temperature", is_flag=True, help="Send none: some models refuse it."),
            click.option("--token-field", type=click.Choice(TOKEN_FIELDS), default=TOKEN_FIELDS[0], show_default=True),
            click.option("--top-p", type=click.FloatRange(0, 1)),
            click.option("--max-tokens", type=click.IntRange(min=1), help="By default the service's own, or 1024."),
            click.option("--seed", type=int, help="Where the temperature is above 0."),
            click.option("--concurrency", type=click.IntRange(1, 256), default=4, show_default=True),
            click.option("--tries", type=click.IntRange(1, 50), default=6, show_default=True),
        )
    ):
        command = option(command)
    return command


class Asking:
    """The options of `asking_options`, checked together."""

    def __init__(
        self,
        service: str | None,
        endpoint: str | None,
        model: str | None,
        key_env: str | None,
        template: str,
        readings: Path | None,
        revision: str | None,
        weights: Path | None,
        temperature: float,
        no_temperature: bool,
        token_field: TokenField,
        top_p: float | None,
        max_tokens: int | None,
        seed: int | None,
        concurrency: int,
        tries: int,
    ) -> None:
        if (service is None) == (endpoint is None):
            raise click.UsageError("name either --service or --endpoint")
        if endpoint is not None and model is None:
            raise click.UsageError("--endpoint needs --model")
        if service is not None and readings is not None:
            raise click.UsageError("the service reads figures itself: --readings is for --endpoint")
        self.service, self.endpoint, self.model = service, endpoint, model
        self.key_env, self.template, self.readings = key_env, template, readings
        self.revision, self.weights = revision, weights
        limit = max_tokens if max_tokens is not None or service is not None else 1024
        if service is not None and (no_temperature or token_field != TOKEN_FIELDS[0]):
            raise click.UsageError("--no-temperature and --token-field are for --endpoint")
        self.sampling = Sampling(None if no_temperature else temperature, top_p, limit, seed, token_field)
        self.pacing = Pacing(concurrency=concurrency, tries=tries)

    def check(self, questions: Questions, context: ContextName) -> dict[str, Reading] | None:
        """What the context needs is there, before the first request. Raises EvaluationError."""
        from evaluation.answers.contexts import check_context, check_template, read_readings

        readings = read_readings(self.readings) if self.readings else None
        if self.endpoint is not None:
            check_template(self.template, context)
        if self.service is not None and any(item.image is None for item in questions.questions):
            raise InputError("our service explains figures: questions without an image need --endpoint")
        check_context(questions.questions, context, readings, live=self.service is not None)
        return readings

    @asynccontextmanager
    async def source(self, context: ContextName, readings: dict[str, Reading] | None) -> AsyncIterator[AnswerSource]:
        from evaluation.answers.sources import EndpointSource, ServiceSource
        from evaluation.endpoint import chat_endpoint, key_from
        from evaluation.gateway import gateway_client

        pacer = Pacer(self.pacing)
        if self.service is not None:
            async with gateway_client(self.service) as gateway:
                yield ServiceSource(gateway, context, self.sampling, pacer)
            return
        key = key_from(self.key_env)
        async with chat_endpoint(self.endpoint or "", self.model or "", key, pacer) as endpoint:
            version = await endpoint.engine_version()
            source = EndpointSource(endpoint, context, self.template, readings, self.sampling)
            if version is not None:
                source.engine = f"OpenAI-compatible endpoint, version {version}"
            yield source

    def fingerprint(self, questions: Questions, context: ContextName, source: AnswerSource) -> Fingerprint:
        from evaluation.answers.contexts import template_label
        from evaluation.fingerprint import software

        return Fingerprint(
            kind="answers",
            model=None,
            revision=self.revision,
            weights_sha256=weights_sha256(self.weights) if self.weights else None,
            engine=source.engine,
            template=None if self.service is not None else template_label(self.template),
            context=context,
            questions_sha256=questions.sha256,
            preprocessing=source.preprocessing,
            sampling=self.sampling.to_json(),
            software=software(),
        )


def weights_sha256(folder: Path) -> str:
    """One hash over all safetensors files of a folder. Raises InputError where there is none."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise InputError(f"{folder} holds no *.safetensors")
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


@click.command()
@click.option("--questions", "path", type=PATH, required=True, help="JSONL of questions, or a data set's file.")
@click.option("--format", "name", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--images", type=FOLDER, help="Folder of the images.")
@click.option(
    "--context", type=click.Choice(CONTEXTS), default="all", show_default=True, help="What the model is told."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first questions.")
@click.option("--out", type=OUT, required=True, help="JSONL of answers; a run that was stopped there goes on.")
@asking_options
def answer(
    path: Path,
    name: QuestionFormat,
    images: Path | None,
    context: ContextName,
    limit: int | None,
    out: Path,
    **asked: object,
) -> None:
    """Answer questions about figures, through our service or any OpenAI endpoint.

    Writes rows with question_id, prompt, text, answer_id, model_id and metadata, and beside them the fingerprint of the
    run. Run the same command again to go on after a stop.
    """
    asking = Asking(**asked)  # type: ignore[arg-type]
    try:
        questions = read(path, name, limit)
        fingerprint = asyncio.run(answered(asking, questions, images, context, out))
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{len(questions.questions)} answers by {fingerprint.model} in {out}")


def read(path: Path, name: QuestionFormat, limit: int | None) -> Questions:
    """The questions of a file, with a line for each reason why rows gave none."""
    from evaluation.answers.questions import read_questions

    questions = read_questions(path, name)
    for reason, count in questions.left_out.items():
        click.echo(f"left out of {path}: {count} ({reason})", err=True)
    return Questions(questions.questions[:limit], questions.left_out) if limit else questions


async def answered(
    asking: Asking, questions: Questions, images: Path | None, context: ContextName, out: Path, label: str = "answers"
) -> Fingerprint:
    """One run with progress. Raises EvaluationError."""
    from evaluation.answers.run import answer_all
    from evaluation.progress import progress_bar

    readings = asking.check(questions, context)
    async with asking.source(context, readings) as source:
        wanted = asking.fingerprint(questions, context, source)
        with progress_bar(label) as advance:
            return await answer_all(
                questions, images, source, out, wanted, concurrency=asking.pacing.concurrency, advance=advance
            )


@click.command("questions")
@click.argument("path", type=PATH)
@click.option("--format", "name", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first questions.")
@click.option("--out", type=OUT, required=True, help="JSONL of questions in our own format.")
@click.option("--references", type=OUT, help="JSONL of references (question_id, text) for `eval metrics`.")
def questions_command(path: Path, name: QuestionFormat, limit: int | None, out: Path, references: Path | None) -> None:
    """Turn a data set's file into questions and references."""
    from evaluation.rows import write_rows

    try:
        found = read(path, name, limit)
        if references is not None:
            write_rows(references, found.references())
        write_rows(out, [item.to_row() for item in found.questions])
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{len(found.questions)} questions in {out}")


@click.command()
@click.option("--questions", "path", type=PATH, required=True, help="Questions whose figures are read.")
@click.option("--format", "name", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--images", type=FOLDER, required=True, help="Folder of the images.")
@click.option("--service", required=True, help="Address of our service, which reads the figures.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the figures of the first questions.")
@click.option("--out", type=OUT, required=True, help="JSONL: image, lines, chart; goes on where it stopped.")
def readings(
    path: Path, name: QuestionFormat, images: Path, service: str, concurrency: int, limit: int | None, out: Path
) -> None:
    """Have our service read figures (text with boxes, chart data), for models behind other endpoints."""
    try:
        count = asyncio.run(_read_all(read(path, name, limit), images, service, concurrency, out))
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{count} figures read in {out}")


async def _read_all(questions: Questions, images: Path, service: str, concurrency: int, out: Path) -> int:
    from evaluation.answers.questions import check_images, image_path
    from evaluation.gateway import gateway_client, read_figure
    from evaluation.pacing import each
    from evaluation.progress import progress_bar
    from evaluation.rows import RowFile
    from llava_graph.figure import FigureError, open_figure

    check_images(questions.questions, images)
    rows = RowFile(out)
    done = {row.get("image") for row in rows.rows}
    names = list(dict.fromkeys(item.image for item in questions.questions if item.image is not None))
    pacer = Pacer(Pacing(concurrency=concurrency))
    async with gateway_client(service) as gateway:
        with progress_bar("figures read") as advance:
            advance(len(done), len(names))

            async def read_one(image: str) -> None:
                try:
                    figure = await asyncio.to_thread(lambda: open_figure(image_path(images, image).read_bytes()))
                except (FigureError, OSError) as error:
                    raise InputError(f"{image}: {error}") from error
                found = await read_figure(gateway, figure.png(), image, pacer)
                rows.add({"image": image, "pixels_sha256": figure.id, **found.to_json()})
                advance(len(rows.rows), len(names))

            await each([image for image in names if image not in done], read_one, concurrency)
    return len(names)
