"""What the interface's description shows as examples: one answer, part by part, and every error.

They are the gateway's own objects, so none can be in a form that is never sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict

from llava_graph.figure import FigureError
from service.errors import (
    BodyMalformed,
    BodyTooLarge,
    BodyTypeUnsupported,
    CaptionTooLong,
    ChartNotRead,
    ConversationTooLong,
    Draining,
    EngineError,
    EngineGarbled,
    EngineInterrupted,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    FeedbackFull,
    FeedbackOff,
    FeedbackUnavailable,
    FieldProblem,
    FieldsInvalid,
    FieldUnsupported,
    FigureRefused,
    FiguresUnavailable,
    FigureUnknown,
    GatewayError,
    HeadMalformed,
    HeadTooLarge,
    HostNotAllowed,
    ImageUrlFailed,
    ImageUrlNotAllowed,
    LengthRequired,
    MessagesInvalid,
    ModelUnknown,
    OriginNotAllowed,
    Overloaded,
    PromptTooLong,
    QuestionTooLong,
    RateLimited,
    ReceiptMismatch,
    RequestTooSlow,
    TooManyFigures,
    Unauthorized,
)
from service.events import (
    Answer,
    AnswerCheck,
    ChartAxis,
    ChartFact,
    ChartPanel,
    ChartPart,
    ChartPoint,
    ChartSeries,
    DeltaPart,
    ErrorPart,
    Explanation,
    FigurePart,
    Link,
    OcrLine,
    OcrPart,
    Part,
    Receipt,
    ReceiptChart,
    ReceiptFigure,
    ReceiptModel,
    ReceiptOcr,
    ReceiptSampling,
    ReceiptTurn,
    Timings,
    Usage,
)
from service.openai.answer import AboutFigure, AssistantMessage, ChatCompletion, Choice, FigureLink, Head

REQUEST_ID = "5f0c1d9e8b7a46c3a2d1e0f9b8c7d6a5"

_TEXT = "The figure shows accuracy."
_FIGURE = FigurePart(id="0b7c" * 16, width=640, height=480)
_OCR = OcrPart(
    status="ok",
    ms=412.0,
    lines=[OcrLine(text="accuracy", box=(12.0, 180.0, 30.0, 260.0), confidence=0.99)],
    neutralised=0,
)
_CHART = ChartPart(
    status="ok",
    ms=180.0,
    abstained=None,
    panels=[
        ChartPanel(
            kind="line",
            area=(60.0, 20.0, 620.0, 420.0),
            x=ChartAxis(label="epoch", line=None, unit=None, scale="linear", low=0.0, high=10.0, categories=[]),
            y=ChartAxis(label="accuracy", line=0, unit=None, scale="linear", low=0.0, high=1.0, categories=[]),
            series=[
                ChartSeries(
                    name=None,
                    line=None,
                    colour="#1f77b4",
                    points=[
                        ChartPoint(x=0.0, y=0.5, px=60.0, py=220.0),
                        ChartPoint(x=10.0, y=0.9, px=620.0, py=60.0),
                    ],
                    coverage=1.0,
                    x_tolerance=0.005,
                    y_tolerance=0.005,
                    first_known=True,
                    last_known=True,
                    values_printed=False,
                    abstained=None,
                    facts=[ChartFact(kind="trend", x=None, y=None, text="rises", other=None)],
                )
            ],
            abstained=None,
            horizontal=False,
        )
    ],
)
_RECEIPT = Receipt(
    format=1,
    gateway="0.1.0",
    model=ReceiptModel(
        id="llava-graph-tiny",
        revision="2026-11-23",
        template="located",
        template_version=1,
        engine="vllm 0.32.0",
    ),
    figures=[
        ReceiptFigure(
            id=_FIGURE.id,
            width=640,
            height=480,
            turn=0,
            context="all",
            caption="Accuracy over time.",
            ocr=ReceiptOcr(status="ok", engine="rapid/1", lines=1, sha256=hashlib.sha256(b"lines").hexdigest()),
            chart=ReceiptChart(status="ok", sha256=hashlib.sha256(b"rows").hexdigest()),
        )
    ],
    turns=[ReceiptTurn(role="user", text="Explain this figure.")],
    sampling=ReceiptSampling(max_tokens=256, temperature=0.0, top_p=1.0, seed=7, stop=[], max_repeats=12),
    prompt_sha256=hashlib.sha256(b"prompt").hexdigest(),
    answer_sha256=hashlib.sha256(_TEXT.encode()).hexdigest(),
)
_CHECK = AnswerCheck(
    start=17,
    end=25,
    kind="name",
    verdict="printed",
    panel=None,
    series=None,
    point=None,
    fact=None,
    line=0,
    instead=None,
)
_ANSWER = Answer(
    text=_TEXT,
    finish_reason="stop",
    usage=Usage(prompt_tokens=310, completion_tokens=5, total_tokens=315),
    timings_ms=Timings(decode=21.0, ocr=412.0, first_token=90.1, answer=160.4, total=596.0),
    grounding=[Link(start=17, end=25, line=0)],
    checks=[_CHECK],
    unsupported=[],
    receipt=_RECEIPT,
)

ANSWERED: tuple[Part, ...] = (
    _FIGURE,
    _OCR,
    _CHART,
    DeltaPart(text="The figure shows "),
    DeltaPart(text="accuracy."),
    _ANSWER,
)
"""A stream that came to its end."""

BROKEN_OFF = EngineInterrupted("The connection to the model's server broke.")
UNFINISHED: tuple[Part, ...] = (_FIGURE, _OCR, _CHART, DeltaPart(text="The figure "))
"""What came before that."""

EVENTS: tuple[Part, ...] = (
    *UNFINISHED,
    _ANSWER,
    ErrorPart(code=BROKEN_OFF.code, message=BROKEN_OFF.detail, retryable=BROKEN_OFF.retryable),
)
"""One of each kind."""

WHOLE = Explanation(figure=_FIGURE, ocr=_OCR, chart=_CHART, **dict(_ANSWER))
"""The same answer as one object."""

COMPLETION_HEAD = Head(
    id="chatcmpl-7c9e" + "0" * 28,
    created=1_790_000_000,
    model=_RECEIPT.model.id,
    system_fingerprint=_RECEIPT.model.revision,
)
COMPLETION = ChatCompletion(
    **asdict(COMPLETION_HEAD),
    choices=[Choice(message=AssistantMessage(content=_TEXT), finish_reason="stop")],
    usage=_ANSWER.usage,
    figure=AboutFigure(
        **dict(_FIGURE),
        ocr=_OCR,
        chart=_CHART,
        grounding=[FigureLink(start=17, end=25, figure=0, line=0)],
        checks=[_CHECK],
        unsupported=[],
        timings_ms=_ANSWER.timings_ms,
        receipt=_RECEIPT,
    ),
)
"""And as OpenAI's clients get it."""

_ERRORS: tuple[GatewayError, ...] = (
    GatewayError("The gateway had an unexpected error."),
    HeadMalformed("There are 2 Host headers; there must be one."),
    HeadTooLarge("Request line and headers have more than 32768 bytes."),
    HostNotAllowed("This gateway does not go by that name: LLAVA_GRAPH_ALLOWED_HOSTS lists its names."),
    OriginNotAllowed("The page that sends this is not the gateway's own."),
    RequestTooSlow("The body came with less than 4096 bytes a second."),
    BodyMalformed("The body is not JSON."),
    Unauthorized("Send a key of this gateway: `Authorization: Bearer …`."),
    LengthRequired("Send a Content-Length: the bytes of this caller are limited."),
    RateLimited("60 requests a minute are allowed.", retry_after_s=7),
    BodyTooLarge("The body has more than 22108096 bytes."),
    BodyTypeUnsupported("Send multipart/form-data, not text/plain."),
    FieldsInvalid(
        "max_tokens: Input should be greater than or equal to 1.",
        [FieldProblem(field="max_tokens", message="Input should be greater than or equal to 1")],
    ),
    FieldUnsupported("tools is not supported here."),
    ModelUnknown("There is no model 'gpt-5' here; it is 'llava-graph-tiny'."),
    CaptionTooLong("50000 characters; at most 20000 are accepted."),
    QuestionTooLong("2001 characters; at most 2000 are accepted."),
    MessagesInvalid("messages.1 is the user's, and should be the assistant's."),
    ConversationTooLong("67 messages; at most 64 are accepted."),
    PromptTooLong("The model's context is too short for this figure's text, caption and answer together."),
    TooManyFigures("2 images; the model takes 1 in one conversation."),
    ImageUrlNotAllowed("This gateway does not fetch images from that host."),
    ImageUrlFailed("The host of the image answered with HTTP 404."),
    FigureRefused(FigureError("image_empty", "The image is empty: it has no bytes.")),
    FigureRefused(FigureError("image_undecodable", "The image is broken or truncated.")),
    FigureRefused(FigureError("image_too_large", "The image has 10000 × 10000 pixels; at most 40000000 are accepted.")),
    FigureRefused(FigureError("image_too_small", "The image has 4 × 4 pixels; each side must have at least 8.")),
    FigureUnknown("There is no such figure, or no longer: send it again."),
    ChartNotRead("The reading of the figure is pending.", is_pending=True),
    FeedbackOff("The operator of this gateway has not turned feedback on."),
    ReceiptMismatch("The receipt is of another answer: send both as they came."),
    FeedbackFull("268435310 bytes of feedback are stored; there is room for 268435456."),
    FeedbackUnavailable("Feedback cannot be stored now."),
    Overloaded("768 answers are being made or wait for it."),
    FiguresUnavailable("Kept figures cannot be reached now. POST /v1/explain needs none."),
    Draining("Another process takes over, or this one comes back."),
    EngineUnavailable("The model's server does not answer."),
    EngineTimeout("The model's server was silent for too long."),
    EngineRefused("The model's server did not accept the request (HTTP 401)."),
    EngineError("The model's server failed (HTTP 500)."),
    EngineGarbled("The model's server sent a line that is not JSON."),
    BROKEN_OFF,
)


def examples_of(kind: type[GatewayError]) -> Iterator[GatewayError]:
    """Each error of exactly this kind: several where one kind has several codes."""
    return (error for error in _ERRORS if type(error) is kind)
