"""Explains a figure, step by step: obtain it, read it, build the model's context, stream the answer, check the answer.

A figure was just uploaded (`opened`) or is kept in the store (`stored`); from there on the two are treated alike.
Several can be explained together, and a conversation may have none. One generator yields the parts of the answer as
they become known. This module does not know how they are sent, and nothing of HTTP, Redis or the engine's protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from llava_graph.chart import Chart
from llava_graph.checks import Check, as_unsupported, checks
from llava_graph.context import FigureContext, dialogue
from llava_graph.context_parts import ContextParts
from llava_graph.grounding import ground
from service.engine.client import Finish, Sampling
from service.engine.models import ServedModel
from service.errors import EngineInterrupted
from service.events import (
    Answer,
    AnswerCheck,
    ChartPart,
    DeltaPart,
    FigurePart,
    Link,
    Mention,
    OcrLine,
    OcrPart,
    Part,
    ReceiptFigure,
    Timings,
)
from service.figures.chart import chart_reading
from service.figures.decode import EncodedFigure, FigureOpener
from service.figures.ocr_client import OFF, OcrClient, OcrText
from service.figures.store import FigureStore
from service.generation import GenerationRequest, OcrWish
from service.metrics import Metrics
from service.middleware.admission import Admission
from service.middleware.request_context import RequestRecord
from service.read_ahead import read_ahead
from service.receipt import FigureReading, prompt_sha256, receipt, receipt_figure

_PATIENCE_S = 0.5
"""How long a client may keep an answer waiting, in all, before the engine's slot is no longer held for it."""


@dataclass(frozen=True, slots=True)
class ContextChoice:
    """What the model is told of a figure besides the image. With `ocr` off, neither text nor data is read."""

    context: ContextParts = field(default_factory=ContextParts)
    ocr: OcrWish = "auto"

    @property
    def text(self) -> bool:
        """Whether the text is told."""
        return self.ocr == "auto" and self.context.ocr

    @property
    def chart(self) -> bool:
        """Whether the data is told."""
        return self.ocr == "auto" and self.context.chart


@dataclass(frozen=True, slots=True)
class RequestedFigure:
    """A requested figure: the image, its caption, and the turn of the conversation that shows it."""

    figure: EncodedFigure
    caption: str
    told: ContextChoice
    clock: Stopwatch
    """Runs from the moment the request was complete."""
    ready_ms: float
    """On that clock, when the figure was at hand."""
    turn: int = 0


class Explainer:
    """One per process: holds what every explanation needs, and no state of any one of them."""

    def __init__(
        self,
        figures: FigureOpener,
        store: FigureStore,
        reader: OcrClient,
        admission: Admission,
        metrics: Metrics,
        *,
        ocr_deadline_s: float,
    ) -> None:
        self._figures = figures
        self._store = store
        self._reader = reader
        self._admission = admission
        self._metrics = metrics
        self._ocr_deadline_s = ocr_deadline_s

    async def opened(
        self, image: bytes | str, caption: str, told: ContextChoice, *, turn: int = 0, clock: Stopwatch | None = None
    ) -> RequestedFigure:
        """A figure that was just sent, as a file or in base64 (a str), with the turn that shows it. `clock` has run
        since the request was complete, where more than this came in between.

        Raises FigureRefused, or Overloaded when too many are being decoded.
        """
        clock = clock or Stopwatch()
        figure = await self._figures.open(image)
        return RequestedFigure(figure, caption, told, clock, clock.ms, turn)

    async def stored(self, stored_id: str, told: ContextChoice, *, scope: str) -> RequestedFigure:
        """A kept figure of the owner `scope`. Raises FigureUnknown or FiguresUnavailable."""
        clock = Stopwatch()
        stored = await self._store.load(stored_id, scope=scope)
        return RequestedFigure(stored.figure, stored.about.caption, told, clock, clock.ms)

    async def explain(
        self,
        model: ServedModel,
        subjects: Sequence[RequestedFigure],
        asked: GenerationRequest,
        record: RequestRecord,
    ) -> AsyncGenerator[Part]:
        """The answer of `model`: a FigurePart for each figure, an OcrPart and a ChartPart for each, DeltaParts, Answer.
        Closing the generator stops whatever is under way. `subjects` stand in the order in which the turns show them.

        Raises the engine's GatewayErrors, PromptTooLong, and Overloaded when no slot with it comes free. The first
        part comes only when the engine is known to be there, and the conversation by itself not to be too long.
        """
        total = subjects[0].clock if subjects else Stopwatch()
        ready_ms = max((subject.ready_ms for subject in subjects), default=0.0)
        if subjects:
            record.facts["figure_id"] = ",".join(subject.figure.figure_id for subject in subjects)
        record.facts["model"] = model.manifest.name
        # The first figure begins the prompt, so what engines remember of a prompt is found by it.
        figure_id = subjects[0].figure.figure_id if subjects else None
        said, _ = dialogue(model.manifest.context_template, asked.turns, [])
        await model.prompt_length.check(said, images=len(subjects))
        await model.pool.check(figure_id)
        for part in _figure_parts(subjects):
            yield part
        if not subjects:
            yield DeltaPart(text="")  # says that the answer has begun, as a figure does otherwise

        readings = await self._readings_of(subjects, record)
        prompt = await self._prompt(model, asked, subjects, readings, record)
        for reading in readings:
            yield _ocr_part(reading.text, prompt.neutralised)
        for reading in readings:
            yield reading.chart.part()
        del subjects  # they hold the images, and answers take long

        generation = _Generation(self._metrics, total, record)
        stream = model.pool.stream(prompt.take_messages(), prompt.sampling, record.request_id, figure_id)
        written = self._written(stream, generation)
        async with read_ahead(written, patience_s=_PATIENCE_S, most=prompt.sampling.max_tokens) as pieces:
            async for piece in pieces:
                yield DeltaPart(text=piece)
        timings = generation.timings(ready_ms, max((reading.wait_ms for reading in readings), default=0.0))
        yield self._answer(model, prompt, generation, timings)

    async def _written(self, stream: AsyncGenerator[str | Finish], generation: _Generation) -> AsyncGenerator[str]:
        """The text of the answer as the engine writes it, which has one of the engine's slots until it is written.
        Raises as `explain`."""
        async with self._admission.engine_slot(), aclosing(stream):
            async for piece in stream:
                if isinstance(piece, Finish):
                    generation.end(piece)
                else:
                    generation.add(piece)
                    yield piece

    async def _prompt(
        self,
        model: ServedModel,
        asked: GenerationRequest,
        subjects: Sequence[RequestedFigure],
        readings: Sequence[FigureReading],
        record: RequestRecord,
    ) -> _Prompt:
        """What the engine is sent: every figure with its context, and the turns. Raises PromptTooLong."""
        shown = [_shown(subject, reading) for subject, reading in zip(subjects, readings, strict=True)]
        messages, neutralised = dialogue(model.manifest.context_template, asked.turns, shown)
        record.facts["neutralised"] = neutralised
        await model.prompt_length.check(messages, images=len(subjects))
        self._metrics.neutralised.inc(neutralised)
        figures = [
            receipt_figure(model.manifest, subject.figure.figure_id, subject.told.context, context, reading)
            for subject, context, reading in zip(subjects, shown, readings, strict=True)
        ]
        contexts = [replace(context, image_part={}) for context in shown]  # the parts hold the images
        return _Prompt(messages, asked, figures, contexts, asked.sampling(model.manifest), neutralised)

    def _answer(self, model: ServedModel, prompt: _Prompt, generation: _Generation, timings: Timings) -> Answer:
        """The answer with what of it stands on the figures. Raises EngineInterrupted when it has no end."""
        if generation.finish is None:
            raise EngineInterrupted("The answer ended without a reason.")
        text = generation.text
        lines = [line for context in prompt.contexts for line in context.lines]
        found = self._checks(text, prompt.contexts)
        return Answer(
            text=text,
            finish_reason=generation.finish.reason,
            usage=generation.finish.usage,
            timings_ms=timings,
            grounding=[Link(start=link.start, end=link.end, line=link.line) for link in ground(text, lines)],
            checks=[AnswerCheck.model_validate(check.to_json()) for check in found],
            unsupported=[Mention(start=mark.start, end=mark.end, kind=mark.kind) for mark in as_unsupported(found)],
            receipt=receipt(
                model.manifest,
                prompt.figures,
                prompt.asked.turns,
                prompt.sampling,
                engine=generation.finish.engine,
                prompt=prompt.sha256,
                answer=text,
            ),
        )

    def _checks(self, text: str, contexts: Sequence[FigureContext]) -> list[Check]:
        """Checks the answer against the figures. The question supports nothing: a number in a leading question does not
        count as printed."""
        if not contexts:
            return []
        lines = [line for context in contexts for line in context.lines]
        caption = "\n".join(context.caption for context in contexts)
        panels = tuple(panel for context in contexts if context.chart for panel in context.chart.panels)
        found = checks(text, lines, caption, Chart(panels))
        for check in found:
            self._metrics.checks.labels(check.verdict).inc()
        for mark in as_unsupported(found):
            self._metrics.unsupported.labels(mark.kind).inc()
        return found

    async def _readings_of(self, subjects: Sequence[RequestedFigure], record: RequestRecord) -> list[FigureReading]:
        """Text and data of all figures, read at the same time."""
        readings = await asyncio.gather(*(self._reading_of(subject, record.request_id) for subject in subjects))
        if subjects:
            record.facts["ocr_status"] = ",".join(reading.text.status for reading in readings)
            record.facts["chart_status"] = ",".join(reading.chart.status for reading in readings)
        return readings

    async def _reading_of(self, subject: RequestedFigure, request_id: str) -> FigureReading:
        told, text = subject.told, OFF
        if told.text or told.chart:
            text = await self._reader.read(subject.figure, deadline_s=self._ocr_deadline_s, request_id=request_id)
            self._metrics.ocr_wait_s.observe(text.wait_ms / 1000)
        reading = FigureReading(text if told.text else OFF, chart_reading(text, is_told=told.chart), text.wait_ms)
        self._metrics.ocr.labels(reading.text.status).inc()
        self._metrics.charts.labels(reading.chart.status).inc()
        return reading


class _Prompt:
    """What the engine is sent, and what is told of it afterwards. The messages hold the images: they are given away
    once (`take_messages`), so that nothing here keeps them while the answer is written."""

    def __init__(
        self,
        messages: list[dict[str, object]],
        asked: GenerationRequest,
        figures: Sequence[ReceiptFigure],
        contexts: Sequence[FigureContext],
        sampling: Sampling,
        neutralised: int,
    ) -> None:
        self._messages: list[dict[str, object]] | None = messages
        self.asked = asked
        self.figures = figures
        self.contexts = contexts
        self.sampling = sampling
        self.neutralised = neutralised
        self.sha256 = prompt_sha256(messages)

    def take_messages(self) -> list[dict[str, object]]:
        messages, self._messages = self._messages, None
        assert messages is not None
        return messages


def _figure_parts(subjects: Sequence[RequestedFigure]) -> list[FigurePart]:
    figures = [subject.figure for subject in subjects]
    return [FigurePart(id=figure.figure_id, width=figure.width, height=figure.height) for figure in figures]


def _shown(subject: RequestedFigure, reading: FigureReading) -> FigureContext:
    figure = subject.figure
    return FigureContext(
        figure.width,
        figure.height,
        subject.caption if subject.told.context.caption else "",
        reading.text.lines,
        None if reading.chart.status == "off" else reading.chart.chart,
        figure.image_part(),
        subject.turn,
    )


def _ocr_part(text: OcrText, neutralised: int) -> OcrPart:
    lines = [OcrLine.model_validate(line.to_json()) for line in text.lines]
    return OcrPart(status=text.status, ms=_rounded(text.wait_ms), lines=lines, neutralised=neutralised)


@dataclass(frozen=True, slots=True)
class Explained:
    """All parts of an explanation: for each figure what it is, its text and its data; and the answer."""

    figures: Sequence[FigurePart]
    texts: Sequence[OcrPart]
    charts: Sequence[ChartPart]
    answer: Answer


async def collected(parts: AsyncGenerator[Part]) -> Explained:
    """All parts of an explanation at once. Raises what the generator raises, and closes it."""
    figures: list[FigurePart] = []
    texts: list[OcrPart] = []
    charts: list[ChartPart] = []
    answer: Answer | None = None
    async with aclosing(parts):
        async for part in parts:
            match part:
                case FigurePart():
                    figures.append(part)
                case OcrPart():
                    texts.append(part)
                case ChartPart():
                    charts.append(part)
                case Answer():
                    answer = part
    assert answer is not None
    return Explained(figures, texts, charts, answer)


class Stopwatch:
    def __init__(self) -> None:
        self._started_s = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._started_s) * 1000


class _Generation:
    """One answer while it is written: its text, its end, and how fast it comes."""

    def __init__(self, metrics: Metrics, total: Stopwatch, record: RequestRecord) -> None:
        self.finish: Finish | None = None
        self._pieces: list[str] = []
        self._metrics = metrics
        self._total = total
        self._record = record
        self._since_last = self._asked = Stopwatch()
        self._first_ms: float | None = None

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        """The next piece, come from the engine now."""
        self._pieces.append(piece)
        if self._first_ms is None:
            self._first_ms = self._asked.ms
            self._metrics.first_token_s.observe(self._total.ms / 1000)
            self._record.facts["first_token_ms"] = _rounded(self._total.ms)
        else:
            self._metrics.between_tokens_s.observe(self._since_last.ms / 1000)
        self._since_last = Stopwatch()

    def end(self, finish: Finish) -> None:
        self.finish = finish
        if finish.usage is not None:
            self._metrics.tokens.labels("in").inc(finish.usage.prompt_tokens)
            self._metrics.tokens.labels("out").inc(finish.usage.completion_tokens)
            self._record.facts |= {
                "tokens_in": finish.usage.prompt_tokens,
                "tokens_out": finish.usage.completion_tokens,
            }

    def timings(self, ready_ms: float, ocr_ms: float) -> Timings:
        """Up to now. `ready_ms`: when the figures were at hand; `ocr_ms`: what was waited for their text."""
        return Timings(
            decode=_rounded(ready_ms),
            ocr=_rounded(ocr_ms),
            first_token=None if self._first_ms is None else _rounded(self._first_ms),
            answer=_rounded(self._asked.ms),
            total=_rounded(self._total.ms),
        )


def _rounded(ms: float) -> float:
    return round(ms, 1)
