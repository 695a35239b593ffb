"""The chat completion response: in one piece or in chunks, with our own `figure` field in both.

What OpenAI's interface has no place for (the figure as it was understood, the text in it, what of the answer stands on
that text) is in one field of our own, `figure`: of the completion, or of the chunk that ends the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_core import to_json

from service.errors import GatewayError, openai_problem_of
from service.events import (
    Answer,
    AnswerCheck,
    ChartPart,
    DeltaPart,
    FigurePart,
    Mention,
    OcrPart,
    Part,
    Receipt,
    Timings,
    Usage,
)
from service.explain import Explained

_DONE = b"data: [DONE]\n\n"


FinishReason = Literal["stop", "length"]


class FigureLink(BaseModel):
    """A stretch of the answer and the OCR line that it names: answer[start:end] stands on line `line` of a figure."""

    start: int = Field(description="Characters (Unicode code points) from the beginning of the answer")
    end: int
    figure: int = Field(description="Which of the figures, counted from 0 in the order of their images")
    line: int = Field(description="Index into the lines of its ocr")


class ReadFigure(FigurePart):
    """The figure as it was understood, the text in it, and its data."""

    ocr: OcrPart
    chart: ChartPart


class _Known(BaseModel):
    grounding: list[FigureLink]
    checks: list[AnswerCheck] = Field(
        description="What the figures say to the answer; `line` and `panel` count through all figures"
    )
    unsupported: list[Mention] = Field(
        description="Numbers and names that stand neither in a figure's text nor in its caption"
    )
    timings_ms: Timings
    receipt: Receipt


class AboutFigure(_Known, ReadFigure):
    """What is known of an answer about one figure."""


class AboutFigures(_Known):
    """What is known of an answer about several figures, or about none."""

    figures: list[ReadFigure] = Field(description="In the order of their images")


About = AboutFigure | AboutFigures


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: Literal[0] = 0
    message: AssistantMessage
    finish_reason: FinishReason = Field(description="length when the answer was cut: by max_tokens, or for repetition")
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since 1970")
    model: str
    system_fingerprint: str = Field(description="The model's revision")
    choices: list[Choice]
    usage: Usage | None = Field(description="Null when the engine did not say")
    figure: About


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    index: Literal[0] = 0
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: None = None


class ChatCompletionChunk(BaseModel):
    """A piece of an answer that is streamed."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = Field(None, description="Only with stream_options.include_usage, and in the last chunk")
    figure: About | None = Field(None, description="In the chunk with the finish_reason")


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in every piece of one answer."""

    id: str
    created: int
    model: str
    system_fingerprint: str


def _about(
    figures: Sequence[FigurePart], texts: Sequence[OcrPart], charts: Sequence[ChartPart], answer: Answer
) -> About:
    """What is known of an answer about these figures, each with its text and its data."""
    read = [
        ReadFigure(**dict(figure), ocr=text, chart=chart)
        for figure, text, chart in zip(figures, texts, charts, strict=True)
    ]
    known = _Known(
        grounding=_links(texts, answer),
        checks=answer.checks,
        unsupported=answer.unsupported,
        timings_ms=answer.timings_ms,
        receipt=answer.receipt,
    )
    if len(read) == 1:
        return AboutFigure(**dict(read[0]), **dict(known))
    return AboutFigures(figures=read, **dict(known))


def _links(texts: Sequence[OcrPart], answer: Answer) -> list[FigureLink]:
    """The links of an answer count lines through all figures."""
    places = [(figure, line) for figure, text in enumerate(texts) for line in range(len(text.lines))]
    links = []
    for link in answer.grounding:
        figure, line = places[link.line]
        links.append(FigureLink(start=link.start, end=link.end, figure=figure, line=line))
    return links


def completion_of(explained: Explained, head: Head) -> ChatCompletion:
    """All parts of an answer as one."""
    answer = explained.answer
    return ChatCompletion(
        **asdict(head),
        choices=[Choice(message=AssistantMessage(content=answer.text), finish_reason=_reason(answer))],
        usage=answer.usage,
        figure=_about(explained.figures, explained.texts, explained.charts, answer),
    )


class Chunks:
    """The wire (service/sse.py) of one completion that is streamed."""

    def __init__(self, head: Head, *, include_usage: bool) -> None:
        self._head = head
        self._include_usage = include_usage
        self._figures: list[FigurePart] = []
        self._texts: list[OcrPart] = []
        self._charts: list[ChartPart] = []
        self._begun = False
        self._usage: Usage | None = None
        name = b'"content":'
        before, _, self._after_text = self._chunk(Delta(content="")).partition(name + b'""')
        self._before_text = before + name

    def part(self, part: Part) -> bytes:
        begins = b"" if self._begun else self._chunk(Delta(role="assistant", content=""))
        self._begun = True
        if isinstance(part, DeltaPart):
            # Nearly all parts are these: the general way takes many times as long.
            return begins + self._before_text + to_json(part.text) + self._after_text if part.text else begins
        if isinstance(part, FigurePart):
            self._figures.append(part)
        elif isinstance(part, OcrPart):
            self._texts.append(part)
        elif isinstance(part, ChartPart):
            self._charts.append(part)
        if not isinstance(part, Answer):
            return begins
        self._usage = part.usage
        return begins + self._chunk(
            Delta(), _reason(part), figure=_about(self._figures, self._texts, self._charts, part)
        )

    def failure(self, error: GatewayError) -> bytes:
        return _event(openai_problem_of(error))

    def end(self) -> bytes:
        if self._include_usage and self._usage is not None:
            return self._event([], usage=self._usage) + _DONE
        return _DONE

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None, **more: About) -> bytes:
        choice = ChunkChoice(index=0, delta=delta, finish_reason=finish_reason, logprobs=None)
        # OpenAI's clients are promised the field in every chunk once they ask for it, null in all but the last.
        return self._event([choice], **more, **({"usage": None} if self._include_usage else {}))

    def _event(self, choices: list[ChunkChoice], **more: object) -> bytes:
        fields = {"object": "chat.completion.chunk", "choices": choices, **asdict(self._head), **more}
        return _event(ChatCompletionChunk.model_validate(fields))


def _reason(answer: Answer) -> FinishReason:
    """In words that OpenAI's clients know: whatever else ended an answer has cut it."""
    return "stop" if answer.finish_reason == "stop" else "length"


def _event(data: BaseModel) -> bytes:
    """One event, with the fields that were given a value."""
    return f"data: {data.model_dump_json(exclude_unset=True)}\n\n".encode()
