"""The gateway's errors, each with its code and HTTP status, and their two forms: RFC 9457 problem+json, and OpenAI's
for OpenAI's clients.

    GatewayError
    ├── RequestError                      the request is at fault: the client can correct it
    │   ├── HeadMalformed         400     head_malformed       request line, headers or chunks are not HTTP
    │   ├── HeadTooLarge          431     head_too_large
    │   ├── RequestTooSlow        408     request_too_slow     head or body came too slowly
    │   ├── HostNotAllowed        421     host_not_allowed     not a name of this gateway
    │   ├── OriginNotAllowed      403     origin_not_allowed   a page of another site asks for a change
    │   ├── BodyMalformed         400     body_malformed
    │   ├── Unauthorized          401     unauthorized         no key, or none that is known
    │   ├── LengthRequired        411     length_required      bytes are limited, and Content-Length is missing
    │   ├── RateLimited           429     rate_limited         this caller has asked for too much
    │   ├── BodyTooLarge          413     body_too_large
    │   ├── BodyTypeUnsupported   415     content_type_unsupported
    │   ├── FieldsInvalid         422     fields_invalid
    │   ├── FieldUnsupported      422     field_unsupported    OpenAI's, would change the answer, and is not ours
    │   ├── ModelUnknown          404     model_not_found      none that is served here
    │   ├── CaptionTooLong        422     caption_too_long
    │   ├── QuestionTooLong       422     question_too_long
    │   ├── MessagesInvalid       422     messages_invalid
    │   ├── ConversationTooLong   422     conversation_too_long
    │   ├── PromptTooLong         422     prompt_too_long
    │   ├── TooManyFigures        422     too_many_figures     more than the model takes in one conversation
    │   ├── ImageUrlNotAllowed    422     image_url_not_allowed
    │   ├── ImageUrlFailed        422     image_url_failed     a listed host did not give an image
    │   ├── FigureRefused       413, 422  image_empty, image_undecodable, image_too_large, image_too_small
    │   ├── FigureUnknown         404     figure_unknown       never kept, forgotten, or dropped since
    │   ├── ChartNotRead          409     chart_not_read       the figure waits to be read, or could not be
    │   ├── FeedbackOff           404     feedback_off         the operator has not turned it on
    │   └── ReceiptMismatch       422     receipt_mismatch     a receipt that is not of the answer, or not of the figure
    ├── Overloaded                503     overloaded
    ├── FiguresUnavailable        503     figures_unavailable  the figures that are kept are out of reach
    ├── FeedbackFull              507     feedback_full        as much is stored as may be
    ├── FeedbackUnavailable       503     feedback_unavailable where it is stored cannot be written to
    ├── Draining                  503     draining             the gateway is being stopped
    └── EngineFailure                     the engine failed
        ├── EngineUnavailable     503     engine_unavailable   no answer, or a proxy reports that
        ├── EngineTimeout         504     engine_timeout       connected, then silence past the deadline
        ├── EngineRefused         502     engine_refused       a 4xx that the client cannot correct
        ├── EngineError           502     engine_error         a 5xx, or an error within the stream
        ├── EngineGarbled         502     engine_garbled       not a stream of chat completion chunks
        └── EngineInterrupted     502     engine_interrupted   the stream ended before the answer did

Errors that the framework raises have the same form: `not_found`, `method_not_allowed`, `http_<status>`, and
`internal_error` for unexpected exceptions. Once a stream has begun, its `error` event carries the same codes.

OpenAI's form has the same codes and statuses, except that 422 becomes 400, which is what OpenAI answers there.

This module defines the errors; it does not decide when to raise them.
"""

# Each name says what happened; "Error" at the end of every one would say nothing more.
# ruff: noqa: N818

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Self

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from llava_graph.figure import FigureError

PROBLEM_JSON = "application/problem+json"

_MAX_FIELDS = 32
"""Most wrong fields that one error lists: a body can have a hundred thousand."""

_FRAMEWORK_CODES = {400: "body_malformed", 404: "not_found", 405: "method_not_allowed"}


class GatewayError(HTTPException):
    """A refusal with a stable `code`. Subclasses fix code, title and status; `detail` says what happened this time.

    It is a Starlette HTTPException because FastAPI lets only those pass from within the reading of a body.
    """

    code = "internal_error"
    title = "The gateway failed"
    status = 500
    retry_after_s: int | None = None
    """Whole seconds until a retry can succeed (Retry-After); None where waiting does not help."""
    param: str | None = None
    """The field of the request that is at fault, where it is known to be one: for OpenAI's shape."""

    def __init__(self, detail: str) -> None:
        headers = None if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        super().__init__(self.status, detail, headers)

    @property
    def retryable(self) -> bool:
        return self.retry_after_s is not None

    def at(self, param: str) -> Self:
        """The same refusal, of that field."""
        self.param = param
        return self


class RequestError(GatewayError):
    """The request itself is at fault."""


class HeadMalformed(RequestError):
    code, title, status = "head_malformed", "The request could not be read", 400


class HeadTooLarge(RequestError):
    code, title, status = "head_too_large", "Request line and headers are too large", 431


class RequestTooSlow(RequestError):
    code, title, status = "request_too_slow", "The request did not come in time", 408


class HostNotAllowed(RequestError):
    code, title, status = "host_not_allowed", "The gateway has another name", 421


class OriginNotAllowed(RequestError):
    code, title, status = "origin_not_allowed", "Another site's page may not ask for this", 403


class BodyMalformed(RequestError):
    code, title, status = "body_malformed", "The body could not be read", 400


class Unauthorized(RequestError):
    """`wrong_key` tells a key that is not accepted from one that was not sent (RFC 6750)."""

    code, title, status = "unauthorized", "A key is needed", 401

    def __init__(self, detail: str, *, wrong_key: bool = False) -> None:
        super().__init__(detail)
        challenge = 'Bearer realm="llava-graph"' + (', error="invalid_token"' if wrong_key else "")
        self.headers = {"WWW-Authenticate": challenge}


class LengthRequired(RequestError):
    code, title, status = "length_required", "The length of the body must be told", 411


class RateLimited(RequestError):
    code, title, status = "rate_limited", "This caller has asked for too much", 429
    retry_after_s = 1

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail)


class BodyTooLarge(RequestError):
    code, title, status = "body_too_large", "The body is too large", 413


class BodyTypeUnsupported(RequestError):
    code, title, status = "content_type_unsupported", "The body has the wrong content type", 415


class FieldsInvalid(RequestError):
    """`fields` lists what is wrong."""

    code, title, status = "fields_invalid", "Some fields are missing or wrong", 422

    def __init__(self, detail: str, fields: list[FieldProblem]) -> None:
        super().__init__(detail)
        self.fields = fields
        self.param = fields[0].field if fields else None


class FieldUnsupported(RequestError):
    code, title, status = "field_unsupported", "A field asks for what this service cannot do", 422


class ModelUnknown(RequestError):
    code, title, status = "model_not_found", "This model is not served here", 404


class CaptionTooLong(RequestError):
    code, title, status = "caption_too_long", "The caption is too long", 422


class QuestionTooLong(RequestError):
    code, title, status = "question_too_long", "The question is too long", 422


class MessagesInvalid(RequestError):
    code, title, status = "messages_invalid", "The messages are no conversation that can be answered", 422


class ConversationTooLong(RequestError):
    code, title, status = "conversation_too_long", "The conversation is too long", 422


class PromptTooLong(RequestError):
    code, title, status = "prompt_too_long", "Caption, text of the figure and answer do not fit the model", 422


class TooManyFigures(RequestError):
    code, title, status = "too_many_figures", "The model does not take so many figures at once", 422


class ImageUrlNotAllowed(RequestError):
    code, title, status = "image_url_not_allowed", "An image is not fetched from there", 422


class ImageUrlFailed(RequestError):
    code, title, status = "image_url_failed", "The image could not be fetched", 422


class FigureRefused(RequestError):
    """The image is none that can be explained; the code is the one of llava_graph.figure."""

    code, title, status = "image_refused", "The image cannot be used", 422

    def __init__(self, error: FigureError) -> None:
        self.code = error.code
        if error.code == "image_too_large":
            self.status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        super().__init__(error.message)


class FigureUnknown(RequestError):
    code, title, status = "figure_unknown", "The figure is not kept here", 404


class ChartNotRead(RequestError):
    """There is no data of a figure, since it waits to be read or could not be."""

    code, title, status = "chart_not_read", "The data of the figure is not read", 409

    def __init__(self, detail: str, *, is_pending: bool) -> None:
        self.retry_after_s = 2 if is_pending else None
        super().__init__(detail)


class FeedbackOff(RequestError):
    code, title, status = "feedback_off", "Feedback is not taken here", 404


class ReceiptMismatch(RequestError):
    code, title, status = "receipt_mismatch", "The receipt is of something else", 422


class Overloaded(GatewayError):
    code, title, status = "overloaded", "The gateway has more to do than it can", 503
    retry_after_s = 5


class FiguresUnavailable(GatewayError):
    code, title, status = "figures_unavailable", "The figures that are kept cannot be reached", 503
    retry_after_s = 5


class FeedbackFull(GatewayError):
    """Only the operator can make room, so waiting does not help."""

    code, title, status = "feedback_full", "There is no room for more feedback", 507


class FeedbackUnavailable(GatewayError):
    code, title, status = "feedback_unavailable", "Feedback cannot be stored", 503
    retry_after_s = 5


class Draining(GatewayError):
    """Closes the connection, so that the client's next request finds another gateway."""

    code, title, status = "draining", "The gateway is being stopped", 503
    retry_after_s = 5

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers = {**(self.headers or {}), "Connection": "close"}


class EngineFailure(GatewayError):
    """The engine failed, or the network between gateway and engine."""


class EngineUnavailable(EngineFailure):
    code, title, status = "engine_unavailable", "The model is not being served", 503
    retry_after_s = 5


class EngineTimeout(EngineFailure):
    code, title, status = "engine_timeout", "The model did not answer in time", 504
    retry_after_s = 10


class EngineRefused(EngineFailure):
    code, title, status = "engine_refused", "The model's server did not accept the request", 502


class EngineError(EngineFailure):
    code, title, status = "engine_error", "The model's server failed", 502
    retry_after_s = 5


class EngineGarbled(EngineFailure):
    code, title, status = "engine_garbled", "The model's server sent something else than an answer", 502


class EngineInterrupted(EngineFailure):
    code, title, status = "engine_interrupted", "The answer broke off", 502
    retry_after_s = 5


ENGINE_CODES = tuple(
    failure.code
    for failure in (EngineUnavailable, EngineTimeout, EngineRefused, EngineError, EngineGarbled, EngineInterrupted)
)
"""What an engine can fail with."""


class FieldProblem(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """The error response (RFC 9457, application/problem+json)."""

    type: str = Field(examples=["urn:llava-graph:problem:image_undecodable"])
    title: str = Field(description="The same for every problem with this code")
    status: int
    detail: str = Field(description="What was wrong this time, in words")
    instance: str = Field(description="The request's id, as in X-Request-Id and in the logs")
    code: str = Field(description="What to program against", examples=["image_undecodable"])
    retryable: bool = Field(description="Whether the same request may succeed later; Retry-After says when to try")
    fields: list[FieldProblem] | None = Field(None, description="Each field that is missing or wrong")


class OpenAIFault(BaseModel):
    message: str = Field(description="What was wrong this time, in words")
    type: str = Field(
        description="Roughly whose fault it is",
        examples=["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"],
    )
    param: str | None = Field(description="The field at fault, where it is one", examples=["messages.0.content"])
    code: str = Field(description="What to program against", examples=["image_undecodable"])


class OpenAIProblem(BaseModel):
    """The error response to OpenAI's clients, and the last line of a stream that failed after it had begun."""

    error: OpenAIFault


def fields_invalid(errors: Sequence[Mapping[str, Any]]) -> FieldsInvalid:
    """FieldsInvalid from pydantic's errors, by `loc` and `msg`; other keys of an entry may hold what was sent.

    Steps of a `loc` that begin with @ are names that we gave to the members of a union, and stand in no request."""
    fields = []
    for entry in errors[:_MAX_FIELDS]:
        steps = [str(step) for step in entry["loc"]]
        path = ".".join(step for step in steps if not step.startswith("@"))
        fields.append(FieldProblem(field=path or "body", message=entry["msg"]))
    more = f" And {len(errors) - _MAX_FIELDS} more." if len(errors) > _MAX_FIELDS else ""
    return FieldsInvalid("; ".join(f"{f.field}: {f.message}" for f in fields) + f".{more}", fields)


def problem_of(error: HTTPException, request_id: str) -> JSONResponse:
    """The response for a refusal of ours or of the framework."""
    if isinstance(error, GatewayError):
        title, retryable = error.title, error.retryable
    else:
        title, retryable = HTTPStatus(error.status_code).phrase, False
    code = code_of(error)
    problem = Problem(
        type=f"urn:llava-graph:problem:{code}",
        title=title,
        status=error.status_code,
        detail=error.detail,
        instance=request_id,
        code=code,
        retryable=retryable,
        fields=error.fields if isinstance(error, FieldsInvalid) else None,
    )
    return JSONResponse(problem.model_dump(exclude_none=True), error.status_code, error.headers, PROBLEM_JSON)


def openai_problem_of(error: HTTPException) -> OpenAIProblem:
    """The same refusal in the words of OpenAI's interface."""
    match error.status_code:
        case 401:
            kind = "authentication_error"
        case 429:
            kind = "rate_limit_error"
        case status if status >= 500:
            kind = "server_error"
        case _:
            kind = "invalid_request_error"
    param = error.param if isinstance(error, GatewayError) else None
    return OpenAIProblem(error=OpenAIFault(message=error.detail, type=kind, param=param, code=code_of(error)))


def openai_response_of(error: HTTPException) -> JSONResponse:
    """The response that OpenAI's clients understand."""
    status = 400 if error.status_code == HTTPStatus.UNPROCESSABLE_ENTITY else error.status_code
    return JSONResponse(openai_problem_of(error).model_dump(), status, error.headers)


def code_of(error: HTTPException) -> str:
    """The stable code of a refusal of ours or of the framework."""
    if isinstance(error, GatewayError):
        return error.code
    return _FRAMEWORK_CODES.get(error.status_code, f"http_{error.status_code}")
