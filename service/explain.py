"""How a figure is explained: at hand, read, put into the model's context, answered, grounded. The product's story.

A figure is at hand because it was just sent (`opened`) or because it is kept (`stored`); from there on the two are the
same. The parts of the answer come out of one generator as they are known. Who sends them, and in which form, is not
known here; nor is anything of HTTP, Redis or the engine's wire.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from llava_graph.context import FigureContext, Turn, conversation
from llava_graph.grounding import ground
from llava_graph.manifest import ModelManifest
from llava_graph.support import unsupported
from service.admission import Admission
from service.engine import Engine, Finish, Sampling
from service.errors import EngineInterrupted
from service.events import Answer, DeltaPart, Explanation, FigurePart, Link, Mention, OcrLine, OcrPart, Part, Timings
from service.figure_store import FigureStore
from service.figures import FigureOpener, OpenedFigure
from service.metrics import Metrics
from service.ocr_client import OFF, OcrClient, OcrText
from service.record import RequestRecord

ContextParts = Literal["both", "caption", "ocr", "none"]
"""What the model is told besides the image: caption and text of the figure, one of them, or nothing."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked about a figure: the conversation so far, the last turn the user's. None stands for the model's
    default, or for another `seed` each time. The text is read only when it is wanted by `ocr` and by `context`. The
    answer ends before the first of the `stop` strings, none of which is empty."""

    turns: Sequence[Turn]
    context: ContextParts
    ocr: Literal["auto", "off"]
    max_tokens: int | None
    temperature: float | None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: a figure at hand, and its caption."""

    figure: OpenedFigure
    caption: str
    clock: Stopwatch
    """Runs from the moment the request was complete."""
    ready_ms: float
    """On that clock, when the figure was at hand."""


class Explainer:
    """One per process: holds what every explanation needs, and no state of any one of them."""

    def __init__(
        self,
        manifest: ModelManifest,
        figures: FigureOpener,
        store: FigureStore,
        reader: OcrClient,
        engine: Engine,
        admission: Admission,
        metrics: Metrics,
        *,
        ocr_deadline_s: float,
    ) -> None:
        self._manifest = manifest
        self._figures = figures
        self._store = store
        self._reader = reader
        self._engine = engine
        self._admission = admission
        self._metrics = metrics
        self._ocr_deadline_s = ocr_deadline_s

    async def opened(self, image: bytes, caption: str) -> Subject:
        """A figure that was just sent. Raises FigureRefused, or Overloaded when too many are being decoded."""
        clock = Stopwatch()
        figure = await self._figures.open(image)
        return Subject(figure, caption, clock, clock.ms)

    async def stored(self, stored_id: str, *, scope: str) -> Subject:
        """A figure that is kept, for whom `scope` says. Raises FigureUnknown or FiguresUnavailable."""
        clock = Stopwatch()
        stored = await self._store.load(stored_id, scope=scope)
        return Subject(stored.figure, stored.about.caption, clock, clock.ms)

    async def explain(self, subject: Subject, ask: Ask, record: RequestRecord) -> AsyncGenerator[Part]:
        """FigurePart, OcrPart, DeltaParts, Answer. Closing the generator stops whatever is under way.

        Raises the engine's GatewayErrors, and Overloaded when no turn with it comes. The first part comes only when
        the engine is known to be there.
        """
        figure, total, ready_ms = subject.figure, subject.clock, subject.ready_ms
        record.facts["figure_id"] = figure.figure_id
        await self._engine.check()
        yield FigurePart(id=figure.figure_id, width=figure.width, height=figure.height)

        ocr = await self._text_of(figure, ask, record)
        lines = [OcrLine.model_validate(line.to_json()) for line in ocr.lines]
        yield OcrPart(status=ocr.status, ms=_rounded(ocr.wait_ms), lines=lines)

        caption = subject.caption if ask.context in ("both", "caption") else ""
        context = FigureContext(figure.width, figure.height, caption, ocr.lines)
        messages, neutralised = conversation(self._manifest.context_template, context, ask.turns, figure.image_part())
        record.facts["neutralised"] = neutralised
        stream = self._engine.stream(messages, self._sampling(ask), record.request_id)
        del subject, figure, messages  # they hold the image, and answers take long

        pace = _Pace(self._metrics, total, record)
        pieces: list[str] = []
        finish: Finish | None = None
        async with self._admission.turn(), aclosing(stream) as answer:
            async for piece in answer:
                if isinstance(piece, Finish):
                    finish = piece
                else:
                    pace.piece()
                    pieces.append(piece)
                    yield DeltaPart(text=piece)
        if finish is None:
            raise EngineInterrupted("The answer ended without a reason.")

        if finish.usage is not None:
            self._metrics.tokens.labels("in").inc(finish.usage.prompt_tokens)
            self._metrics.tokens.labels("out").inc(finish.usage.completion_tokens)
            record.facts |= {"tokens_in": finish.usage.prompt_tokens, "tokens_out": finish.usage.completion_tokens}
        text = "".join(pieces)
        mentions = self._unsupported(text, context, ask)
        yield Answer(
            text=text,
            finish_reason=finish.reason,
            usage=finish.usage,
            timings_ms=Timings(
                decode=_rounded(ready_ms),
                ocr=_rounded(ocr.wait_ms),
                first_token=None if pace.first_ms is None else _rounded(pace.first_ms),
                answer=_rounded(pace.asked.ms),
                total=_rounded(total.ms),
            ),
            grounding=[Link(start=link.start, end=link.end, line=link.line) for link in ground(text, ocr.lines)],
            unsupported=mentions,
        )

    def _unsupported(self, text: str, context: FigureContext, ask: Ask) -> list[Mention]:
        told = [context.caption, *(line.text for line in context.lines)]
        told += [turn.text for turn in ask.turns if turn.role == "user"]
        found = unsupported(text, told)
        for mark in found:
            self._metrics.unsupported.labels(mark.kind).inc()
        return [Mention(start=mark.start, end=mark.end, kind=mark.kind) for mark in found]

    async def _text_of(self, figure: OpenedFigure, ask: Ask, record: RequestRecord) -> OcrText:
        ocr = OFF
        if ask.ocr == "auto" and ask.context in ("both", "ocr"):
            ocr = await self._reader.read(figure, deadline_s=self._ocr_deadline_s, request_id=record.request_id)
            self._metrics.ocr_wait_s.observe(ocr.wait_ms / 1000)
        self._metrics.ocr.labels(ocr.status).inc()
        record.facts["ocr_status"] = ocr.status
        return ocr

    def _sampling(self, ask: Ask) -> Sampling:
        defaults = self._manifest.sampling
        return Sampling(
            max_tokens=self._manifest.max_new_tokens if ask.max_tokens is None else ask.max_tokens,
            temperature=defaults.temperature if ask.temperature is None else ask.temperature,
            top_p=defaults.top_p if ask.top_p is None else ask.top_p,
            seed=ask.seed,
            stop=ask.stop,
        )


async def whole(parts: AsyncGenerator[Part]) -> Explanation:
    """All parts of an explanation as one. Raises what the generator raises, and closes it."""
    figure: FigurePart | None = None
    ocr: OcrPart | None = None
    answer: Answer | None = None
    async with aclosing(parts):
        async for part in parts:
            match part:
                case FigurePart():
                    figure = part
                case OcrPart():
                    ocr = part
                case Answer():
                    answer = part
    assert figure is not None
    assert ocr is not None
    assert answer is not None
    return Explanation(figure=figure, ocr=ocr, **dict(answer))


class Stopwatch:
    def __init__(self) -> None:
        self._started_s = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._started_s) * 1000


class _Pace:
    """Times the pieces of one answer, from the moment it is asked for."""

    def __init__(self, metrics: Metrics, total: Stopwatch, record: RequestRecord) -> None:
        self._metrics = metrics
        self._total = total
        self._record = record
        self._since_last = self.asked = Stopwatch()
        self.first_ms: float | None = None

    def piece(self) -> None:
        if self.first_ms is None:
            self.first_ms = self.asked.ms
            self._metrics.first_token_s.observe(self._total.ms / 1000)
            self._record.facts["first_token_ms"] = _rounded(self._total.ms)
        else:
            self._metrics.between_tokens_s.observe(self._since_last.ms / 1000)
        self._since_last = Stopwatch()


def _rounded(ms: float) -> float:
    return round(ms, 1)
