"""How a figure is explained: at hand, read, put into the model's context, answered, grounded. The product's story.

A figure is at hand because it was just sent (`opened`) or because it is kept (`stored`); from there on the two are the
same. Several are explained together, and a conversation may have none at all. The parts of the answer come out of one
generator as they are known. Who sends them, and in which form, is not known here; nor is anything of HTTP, Redis or the
engine's wire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from llava_graph.context import FigureContext, Shown, Turn, dialogue
from llava_graph.grounding import ground
from llava_graph.manifest import ModelManifest
from llava_graph.support import unsupported
from service.admission import Admission
from service.engine import Engine, Finish, Sampling
from service.errors import EngineInterrupted
from service.events import (
    Answer,
    ContextParts,
    DeltaPart,
    Explanation,
    FigurePart,
    Link,
    Mention,
    OcrLine,
    OcrPart,
    Part,
    Timings,
)
from service.figure_store import FigureStore
from service.figures import FigureOpener, OpenedFigure
from service.metrics import Metrics
from service.ocr_client import OFF, OcrClient, OcrText
from service.receipt import Exhibit, prompt_sha256, receipt
from service.record import RequestRecord

OcrWish = Literal["auto", "off"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: the conversation so far, the last turn the user's. None stands for the model's default, or for
    another `seed` each time. The answer ends before the first of the `stop` strings, none of which is empty."""

    turns: Sequence[Turn]
    max_tokens: int | None
    temperature: float | None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What the model is told of a figure besides the image. The text is read only when both want it."""

    context: ContextParts = "both"
    ocr: OcrWish = "auto"

    @property
    def caption(self) -> bool:
        return self.context in ("both", "caption")

    @property
    def text(self) -> bool:
        return self.ocr == "auto" and self.context in ("both", "ocr")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: a figure at hand, its caption, and the turn of the conversation that shows it."""

    figure: OpenedFigure
    caption: str
    told: Told
    clock: Stopwatch
    """Runs from the moment the request was complete."""
    ready_ms: float
    """On that clock, when the figure was at hand."""
    turn: int = 0


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

    async def opened(
        self, image: bytes | str, caption: str, told: Told, *, turn: int = 0, clock: Stopwatch | None = None
    ) -> Subject:
        """A figure that was just sent, as a file or in base64 (a str), with the turn that shows it. `clock` has run
        since the request was complete, where more than this came in between.

        Raises FigureRefused, or Overloaded when too many are being decoded.
        """
        clock = clock or Stopwatch()
        figure = await self._figures.open(image)
        return Subject(figure, caption, told, clock, clock.ms, turn)

    async def stored(self, stored_id: str, told: Told, *, scope: str) -> Subject:
        """A figure that is kept, for whom `scope` says. Raises FigureUnknown or FiguresUnavailable."""
        clock = Stopwatch()
        stored = await self._store.load(stored_id, scope=scope)
        return Subject(stored.figure, stored.about.caption, told, clock, clock.ms)

    async def explain(self, subjects: Sequence[Subject], ask: Ask, record: RequestRecord) -> AsyncGenerator[Part]:
        """A FigurePart for each figure, an OcrPart for each, DeltaParts, Answer. Closing the generator stops whatever
        is under way. `subjects` stand in the order in which the turns show them.

        Raises the engine's GatewayErrors, and Overloaded when no turn with it comes. The first part comes only when
        the engine is known to be there.
        """
        total = subjects[0].clock if subjects else Stopwatch()
        ready_ms = max((subject.ready_ms for subject in subjects), default=0.0)
        if subjects:
            record.facts["figure_id"] = ",".join(subject.figure.figure_id for subject in subjects)
        await self._engine.check()
        for part in _figure_parts(subjects):
            yield part
        if not subjects:
            yield DeltaPart(text="")  # says that the answer has begun, as a figure does otherwise

        texts = await self._texts_of(subjects, record)
        shown = [_shown(subject, text) for subject, text in zip(subjects, texts, strict=True)]
        messages, neutralised = dialogue(self._manifest.context_template, ask.turns, shown)
        record.facts["neutralised"] = neutralised
        self._metrics.neutralised.inc(neutralised)
        for text in texts:
            lines = [OcrLine.model_validate(line.to_json()) for line in text.lines]
            yield OcrPart(status=text.status, ms=_rounded(text.wait_ms), lines=lines, neutralised=neutralised)

        contexts = [figure.context for figure in shown]
        all_lines = [line for text in texts for line in text.lines]
        exhibits = [
            Exhibit(subject.figure.figure_id, subject.turn, subject.told.context, context, text)
            for subject, context, text in zip(subjects, contexts, texts, strict=True)
        ]
        prompt, sampling = prompt_sha256(messages), self._sampling(ask)
        stream = self._engine.stream(messages, sampling, record.request_id)
        del subjects, shown, messages  # they hold the images, and answers take long

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
        answered = "".join(pieces)
        yield Answer(
            text=answered,
            finish_reason=finish.reason,
            usage=finish.usage,
            timings_ms=Timings(
                decode=_rounded(ready_ms),
                ocr=_rounded(max((text.wait_ms for text in texts), default=0.0)),
                first_token=None if pace.first_ms is None else _rounded(pace.first_ms),
                answer=_rounded(pace.asked.ms),
                total=_rounded(total.ms),
            ),
            grounding=[Link(start=link.start, end=link.end, line=link.line) for link in ground(answered, all_lines)],
            unsupported=self._unsupported(answered, contexts),
            receipt=receipt(self._manifest, exhibits, ask.turns, sampling, prompt=prompt, answer=answered),
        )

    def _unsupported(self, text: str, contexts: Sequence[FigureContext]) -> list[Mention]:
        """What is asked supports nothing: a number in a leading question is not printed for having been asked about."""
        if not contexts:
            return []
        printed = [words for context in contexts for words in (context.caption, *(line.text for line in context.lines))]
        found = unsupported(text, printed)
        for mark in found:
            self._metrics.unsupported.labels(mark.kind).inc()
        return [Mention(start=mark.start, end=mark.end, kind=mark.kind) for mark in found]

    async def _texts_of(self, subjects: Sequence[Subject], record: RequestRecord) -> list[OcrText]:
        """The texts of all figures, read at the same time."""
        texts = await asyncio.gather(*(self._text_of(subject, record.request_id) for subject in subjects))
        if subjects:
            record.facts["ocr_status"] = ",".join(text.status for text in texts)
        return texts

    async def _text_of(self, subject: Subject, request_id: str) -> OcrText:
        ocr = OFF
        if subject.told.text:
            ocr = await self._reader.read(subject.figure, deadline_s=self._ocr_deadline_s, request_id=request_id)
            self._metrics.ocr_wait_s.observe(ocr.wait_ms / 1000)
        self._metrics.ocr.labels(ocr.status).inc()
        return ocr

    def _sampling(self, ask: Ask) -> Sampling:
        defaults = self._manifest.sampling
        return Sampling(
            max_tokens=self._manifest.max_new_tokens if ask.max_tokens is None else ask.max_tokens,
            temperature=defaults.temperature if ask.temperature is None else ask.temperature,
            top_p=defaults.top_p if ask.top_p is None else ask.top_p,
            seed=ask.seed,
            stop=ask.stop,
            max_repeats=defaults.max_repeats,
        )


def _figure_parts(subjects: Sequence[Subject]) -> list[FigurePart]:
    figures = [subject.figure for subject in subjects]
    return [FigurePart(id=figure.figure_id, width=figure.width, height=figure.height) for figure in figures]


def _shown(subject: Subject, text: OcrText) -> Shown:
    figure = subject.figure
    caption = subject.caption if subject.told.caption else ""
    return Shown(FigureContext(figure.width, figure.height, caption, text.lines), figure.image_part(), subject.turn)


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
