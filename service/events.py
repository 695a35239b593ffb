"""The parts of an explanation: sent one by one as server-sent events, or together as one JSON object.

An answer in a conversation about a kept figure consists of the same parts.

These models are the schema of the API documentation too. They know nothing of HTTP or of how they are sent.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from llava_graph.chart import ChartKind, FactKind


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class FigurePart(_Part):
    """The figure as it was understood."""

    id: str = Field(description="Hash of the upright pixels: the same figure has the same id, whatever file it came in")
    width: int = Field(description="Pixels of the upright image")
    height: int = Field(description="Pixels of the upright image")


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


ChartStatus = Literal["ok", "cached", "abstained", "off", "timeout", "failed"]
CHART_STATUSES: tuple[ChartStatus, ...] = ("ok", "cached", "abstained", "off", "timeout", "failed")


class ChartAxis(_Part):
    """One axis. Values on an axis of dates are in days since 1970-01-01."""

    label: str | None = None
    line: int | None = Field(None, description="Index of the OCR line that holds the label")
    unit: str | None = None
    scale: Literal["linear", "log", "date", "category"] | None = Field(
        None, description="Null where the axis could not be calibrated: then no value along it is claimed"
    )
    low: float | None = Field(None, description="What the axis shows")
    high: float | None = None
    categories: list[str]


class ChartPoint(_Part):
    x: float | str = Field(description="In units of the x axis, or the text of a category")
    y: float
    px: float = Field(description="Where it lies in the upright image, in pixels")
    py: float


class ChartFact(_Part):
    """Something that is true of a series."""

    kind: FactKind
    x: float | str | None = None
    y: float | None = None
    text: str | None = Field(None, description="Of a trend: rises, falls, flat, peaks, dips or unclear")
    other: int | None = Field(None, description="Index of another series of the panel")


class ChartSeries(_Part):
    """A curve, the bars of one colour or a cloud of points. Nothing of an abstained one is claimed."""

    name: str | None = None
    line: int | None = Field(None, description="Index of the OCR line that names it")
    colour: str | None = Field(None, description="As #rrggbb")
    points: list[ChartPoint]
    coverage: float = Field(description="Share of its extent along x that was traced")
    x_tolerance: float = Field(description="Of points and facts, as a share of the axis")
    y_tolerance: float
    first_known: bool = Field(
        description="False where it goes on past the left border, so that no first value is claimed"
    )
    last_known: bool
    values_printed: bool = Field(description="Values of bars come from the labels at them, not from their lengths")
    abstained: str | None = Field(None, description="Why nothing of it is claimed", examples=["same_colour_dashes"])
    facts: list[ChartFact]


class ChartPanel(_Part):
    """One plot area with its axes."""

    kind: ChartKind
    area: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels of the upright image")
    x: ChartAxis
    y: ChartAxis
    series: list[ChartSeries]
    abstained: str | None = Field(None, description="Why nothing of it is claimed", examples=["axis_not_calibrated"])
    horizontal: bool = Field(
        description="Bars lie: `x`, the axis of their categories, is drawn upright, and `y` along the bottom"
    )


class ChartPart(_Part):
    """The data read from the figure. Where there is none, `status` says so, and the answer goes on without."""

    status: ChartStatus = Field(
        description="ok and cached: read; abstained: looked at, and nothing is claimed; off: not wanted, or no worker "
        "reads data; timeout and failed: as with the text"
    )
    ms: float = Field(description="What the worker took for it")
    abstained: str | None = Field(None, description="Why nothing is claimed of the whole figure", examples=["no_axes"])
    panels: list[ChartPanel]


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
    """A number or name of the answer that is neither printed in the figure or caption nor agrees with its data."""

    start: int = Field(description="Characters (Unicode code points) from the beginning of the answer")
    end: int
    kind: Literal["number", "name"]


class AnswerCheck(_Part):
    """What the figure says to a stretch of the answer: a number, a name, a trend or a comparison.

    printed: it stands in the figure or the caption. read: it agrees with the data that was read. contradicted: the data
    says something else. unsupported: none of these, which is no reproach. Where several figures are explained together,
    `line` and `panel` count through all of them."""

    start: int = Field(description="Characters (Unicode code points) from the beginning of the answer")
    end: int
    kind: Literal["number", "name", "trend", "comparison"]
    verdict: Literal["printed", "read", "contradicted", "unsupported"]
    panel: int | None = Field(None, description="Where in the chart part it was read: panel, series, and point or fact")
    series: int | None = None
    point: int | None = None
    fact: int | None = None
    line: int | None = Field(None, description="The OCR line where a printed number stands; null for the caption")
    instead: str | None = Field(None, description="Of a contradicted one: what was read")


class ReceiptModel(_Part):
    """What answered, and how it was told of the figure."""

    id: str
    revision: str
    template: str = Field(description="The context template, which puts caption and text into words")
    template_version: int
    engine: str | None = Field(
        None,
        description="Name and version of the engine that answered, as it told them; null where it did not",
        examples=["vllm 0.32.0"],
    )


class ReceiptOcr(_Part):
    """What was read in a figure, as far as the model was told of it."""

    status: OcrStatus
    engine: str | None = Field(description="Revision of the OCR engine that read it; null where none did")
    lines: int = Field(description="How many the model was told of")
    sha256: str = Field(description='Of these lines as compact JSON: [[x0,y0,x1,y1,"text"],…], x and y in 0 to 999')


class ReceiptChart(_Part):
    """The data that was read from a figure, as far as the model was told of it."""

    status: ChartStatus
    sha256: str = Field(description="Of the rows that the model was told, as compact JSON: a list of texts")


class ReceiptFigure(_Part):
    id: str = Field(description="Hash of the upright pixels")
    width: int
    height: int
    turn: int = Field(description="Index of the turn that shows it")
    context: str = Field(description="What the model was told", examples=["all", "both", "caption,chart"])
    caption: str = Field(description="As it was used: empty where the context leaves it out")
    ocr: ReceiptOcr
    chart: ReceiptChart


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
    checks: list[AnswerCheck] = Field(description="By `start`, never overlapping")
    unsupported: list[Mention] = Field(
        description="Numbers and names of the checks that are neither printed nor read. A view of `checks`, kept until "
        "version 0.3"
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
    chart: ChartPart


Part = FigurePart | OcrPart | ChartPart | DeltaPart | Answer | ErrorPart

_NAMES: dict[type[_Part], str] = {
    FigurePart: "figure",
    OcrPart: "ocr",
    ChartPart: "chart",
    DeltaPart: "delta",
    Answer: "done",
    ErrorPart: "error",
}


def event_name(part: Part) -> str:
    """The name under which a part travels in a stream."""
    return _NAMES[type(part)]
