"""What an explanation consists of: the parts that go out one by one as events, or together as one JSON object.

An answer in a conversation about a kept figure consists of the same parts.

The models here are the documentation of the interface too. They know nothing of HTTP or of how they are sent.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class FigurePart(_Part):
    """The figure as it was understood."""

    id: str = Field(description="Hash of the upright pixels: the same figure has the same id, whatever file it came in")
    width: int = Field(description="Pixels of the upright image")
    height: int = Field(description="Pixels of the upright image")


ContextParts = Literal["both", "caption", "ocr", "none"]
"""What the model is told besides the image: caption and text of the figure, one of them, or nothing."""

OcrStatus = Literal["ok", "cached", "off", "timeout", "failed"]
OCR_STATUSES: tuple[OcrStatus, ...] = ("ok", "cached", "off", "timeout", "failed")


class OcrLine(_Part):
    text: str
    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels of the upright image")
    confidence: float = Field(ge=0, le=1)


class OcrPart(_Part):
    """The text read in the figure. With `timeout` and `failed` the answer goes on from image and caption alone."""

    status: OcrStatus
    ms: float = Field(description="What the explanation waited for it")
    lines: list[OcrLine] = Field(description="In reading order")
    neutralised: int = Field(
        description="Spots in all that the model is told (this text, caption, questions, earlier answers) that could "
        "have been read as commands, and were made harmless: special tokens, role markers, invisible characters. Where "
        "several figures are explained together, all of them have the same number"
    )


class DeltaPart(_Part):
    """The next piece of the answer."""

    text: str


class Usage(_Part):
    """Tokens as the engine counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Timings(_Part):
    """Milliseconds. `first_token` and `answer` count from the request to the engine, `total` from the moment the
    request was complete."""

    decode: float = Field(description="Until the figure was at hand: an upload decoded, or a kept figure fetched")
    ocr: float
    first_token: float | None = Field(description="Null when the answer is empty")
    answer: float
    total: float


class Link(_Part):
    """A stretch of the answer and the OCR line that it names: answer[start:end] stands on ocr.lines[line].

    Where several figures are explained together, `line` counts through the lines of all of them."""

    start: int = Field(description="Characters (Unicode code points) from the beginning of the answer")
    end: int
    line: int = Field(description="Index into the lines of the ocr part")


class Mention(_Part):
    """A stretch of the answer that stands neither in the figure's text nor in the caption, as the model was told them.

    It may be read off the figure all the same, as the height of a curve, or be made up."""

    start: int = Field(description="Characters (Unicode code points) from the beginning of the answer")
    end: int
    kind: Literal["number", "name"]


class ReceiptModel(_Part):
    """What answered, and how it was told of the figure."""

    id: str
    revision: str
    template: str = Field(description="The context template, which puts caption and text into words")
    template_version: int


class ReceiptOcr(_Part):
    """What was read in a figure, as far as the model was told of it."""

    status: OcrStatus
    engine: str | None = Field(description="Revision of the OCR engine that read it; null where none did")
    lines: int = Field(description="How many the model was told of")
    sha256: str = Field(description='Of these lines as compact JSON: [[x0,y0,x1,y1,"text"],…], x and y in 0 to 999')


class ReceiptFigure(_Part):
    id: str = Field(description="Hash of the upright pixels")
    width: int
    height: int
    turn: int = Field(description="Index of the turn that shows it")
    context: ContextParts
    caption: str = Field(description="As it was used: empty where the context leaves it out")
    ocr: ReceiptOcr


class ReceiptTurn(_Part):
    role: Literal["user", "assistant"]
    text: str = Field(description="As it was sent, but for halves of characters")


class ReceiptSampling(_Part):
    """How it was generated, the model's defaults filled in."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: list[str]
    max_repeats: int | None = Field(description="How often the same words in a row end the answer: the model's own")


class Receipt(_Part):
    """What is needed to ask the same again (`llava-graph replay`), and to see what differs when the answer does."""

    format: int = Field(description="Version of this format", examples=[1])
    gateway: str = Field(description="Version of the gateway")
    model: ReceiptModel
    figures: list[ReceiptFigure] = Field(description="In the order in which the turns show them")
    turns: list[ReceiptTurn]
    sampling: ReceiptSampling
    prompt_sha256: str = Field(
        description='Of the prompt as compact JSON: [["user",["text",…]],…], the parts of each message but for images'
    )
    answer_sha256: str = Field(description="Of the answer's text in UTF-8")


class Answer(_Part):
    """What is known when the answer is complete."""

    text: str
    finish_reason: str = Field(
        description="stop; length when max_tokens cut the answer; repetition when it said the same again and again",
        examples=["stop", "length"],
    )
    usage: Usage | None = Field(description="Null when the engine did not say")
    timings_ms: Timings
    grounding: list[Link]
    unsupported: list[Mention] = Field(
        description="Numbers and names that stand neither in the figure's text nor in the caption"
    )
    receipt: Receipt


class ErrorPart(_Part):
    """The end of a stream that failed after it had begun; the codes are those of the error responses."""

    code: str
    message: str
    retryable: bool


class Explanation(Answer):
    """Everything at once, for stream=false."""

    figure: FigurePart
    ocr: OcrPart


Part = FigurePart | OcrPart | DeltaPart | Answer | ErrorPart

_NAMES: dict[type[_Part], str] = {
    FigurePart: "figure",
    OcrPart: "ocr",
    DeltaPart: "delta",
    Answer: "done",
    ErrorPart: "error",
}


def event_name(part: Part) -> str:
    """The name under which a part travels in a stream."""
    return _NAMES[type(part)]
