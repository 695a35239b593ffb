"""/v1/figures: a figure sent once, then read, asked about as often as one likes, and forgotten.

    POST   /v1/figures             keep a figure; the reading of its text begins
    GET    /v1/figures/{id}        what is known of it
    GET    /v1/figures/{id}/image  its pixels, as engines get them
    POST   /v1/figures/{id}/chat   the next answer in a conversation about it
    DELETE /v1/figures/{id}        forget it

A conversation is the client's: each call brings all of it. Image and context stand in its first turn and stay the same,
so an engine with prefix and image caches computes only what is new.
"""

# No `from __future__ import annotations` here: FastAPI reads the bounds in these annotations, and they are not global.

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.types import Message as AsgiMessage

from llava_graph.context import Turn
from llava_graph.manifest import ModelManifest
from service.errors import BodyTooLarge, BodyTypeUnsupported, ConversationTooLong, MessagesInvalid
from service.events import OcrLine
from service.explain import Ask, Explainer
from service.figure_store import ANYONE, FigureAbout, FigureStore
from service.figures import FigureOpener
from service.ocr_client import OcrClient, Reading, ReadingState
from service.openapi import problem
from service.record import record_of
from service.routes.answers import ANSWER_RESPONSES, respond
from service.routes.uploads import Caption, Image, checked, form_limits, multipart_with_caption
from service.settings import GatewaySettings

_IMAGE_HEADERS = {"Cache-Control": "private, max-age=3600, immutable"}
"""The bytes under an id never change."""

StoredId = Annotated[
    str, Path(alias="id", description="As POST /v1/figures gave it", examples=["fig_" + "0123456789abcdef" * 4])
]


class FigureText(BaseModel):
    """How the reading of a figure's text stands."""

    status: ReadingState = Field(
        description="pending: it waits for an OCR worker or is being read. ok: read. failed: it could not be read. "
        "unread: nobody reads it (too much was waiting, or it waited too long); the next chat has it tried again"
    )
    lines: list[OcrLine] = Field(description="In reading order; empty unless the status is ok")


class KeptFigure(BaseModel):
    """A figure that is kept."""

    id: str = Field(description="Names this figure with this caption", examples=["fig_" + "0123456789abcdef" * 4])
    pixels: str = Field(description="Hash of the upright pixels alone: the `id` in the `figure` event of an answer")
    width: int = Field(description="Pixels of the upright image", examples=[640])
    height: int = Field(description="Pixels of the upright image", examples=[480])
    caption: str
    ocr: FigureText


class Message(BaseModel):
    role: Literal["user", "assistant"]
    content: str


_CONVERSATION = [
    {"role": "user", "content": "Explain this figure."},
    {"role": "assistant", "content": "The figure shows accuracy over training steps."},
    {"role": "user", "content": "Which run is best?"},
]

_UNKNOWN = problem("There is no such figure, or no longer")
_OUT_OF_REACH = problem("The figures that are kept cannot be reached", retry=True)
_LOCATION = {"Location": {"description": "Where the figure is", "schema": {"type": "string"}}}


def figures_router(
    explainer: Explainer,
    opener: FigureOpener,
    store: FigureStore,
    reader: OcrClient,
    manifest: ModelManifest,
    settings: GatewaySettings,
) -> APIRouter:
    router = APIRouter(tags=["figures"])
    talk = APIRouter(tags=["figures"], route_class=_bounded_route(settings.max_chat_bytes))

    class ChatRequest(BaseModel):
        messages: list[Message] = Field(
            description="The conversation so far: the user's and the assistant's messages in turns, the first and the "
            "last the user's. Send earlier answers back as they came: then the engine need not read them again",
            examples=[_CONVERSATION],
        )
        ocr: Literal["auto", "off"] = Field("auto", description="Whether the model is given the text in the figure")
        max_tokens: int | None = Field(None, ge=1, le=manifest.max_new_tokens, description="Longest answer")
        temperature: float | None = Field(None, ge=0, le=2, description="0 is greedy; default: the model's")
        stream: bool = Field(True, description="Events as they come, or one JSON object at the end")

    @router.post(
        "/v1/figures",
        summary="Keep a figure",
        status_code=201,
        response_model=KeptFigure,
        responses={
            200: {
                "model": KeptFigure,
                "description": "It was kept already, and is for longer now",
                "headers": _LOCATION,
            },
            201: {"description": "It is kept from now on", "headers": _LOCATION},
            400: problem("The body could not be read"),
            413: problem("Body or image too large"),
            415: problem("Not multipart/form-data"),
            422: problem("A field or the image cannot be used"),
            503: problem("Figures cannot be kept now, or too much is asked at once", retry=True),
        },
        dependencies=[Depends(multipart_with_caption)],
        form_limits=form_limits(settings),
    )
    async def keep(request: Request, image: Image, caption: Caption = "") -> JSONResponse:
        """Keeps a figure for conversations about it, and has the text in it read. Does not wait for the text.

        The same figure with the same caption gets the same id. It is kept for a time after its last use, and no longer
        than there is room: those used longest ago go first."""
        caption = checked(caption, settings)
        record = record_of(request.scope)
        figure = await opener.open(await image.read())
        kept = await store.keep(figure, caption, scope=ANYONE)
        record.facts |= {"figure_id": figure.figure_id, "stored_id": kept.stored_id}
        reading = await reader.begin(figure, deadline_s=settings.ocr_upload_deadline_s, request_id=record.request_id)
        about = FigureAbout(kept.stored_id, figure.figure_id, figure.width, figure.height, caption)
        return JSONResponse(
            _described(about, reading).model_dump(),
            201 if kept.new else 200,
            {"Location": f"/v1/figures/{kept.stored_id}"},
        )

    @router.get("/v1/figures/{id}", summary="What is known of a figure", responses={404: _UNKNOWN, 503: _OUT_OF_REACH})
    async def describe(stored_id: StoredId) -> KeptFigure:
        """Its size and caption, and its text as far as it is read. Asking counts as a use."""
        about = await store.about(stored_id, scope=ANYONE)
        return _described(about, await reader.progress(about.figure_id))

    @router.get(
        "/v1/figures/{id}/image",
        summary="The image of a figure",
        response_class=Response,
        responses={
            200: {
                "description": "A PNG of the upright pixels, byte for byte what the model's server gets",
                "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
            },
            404: _UNKNOWN,
            503: _OUT_OF_REACH,
        },
    )
    async def image(stored_id: StoredId) -> Response:
        stored = await store.load(stored_id, scope=ANYONE)
        return Response(stored.figure.png, media_type="image/png", headers=_IMAGE_HEADERS)

    @router.delete(
        "/v1/figures/{id}",
        summary="Forget a figure",
        status_code=204,
        responses={404: _UNKNOWN, 503: _OUT_OF_REACH},
    )
    async def forget(stored_id: StoredId) -> Response:
        """Forgets image and caption. The text that was read stays cached for its time, under the hash of the pixels."""
        await store.forget(stored_id, scope=ANYONE)
        return Response(status_code=204)

    @talk.post(
        "/v1/figures/{id}/chat",
        summary="Talk about a figure",
        responses={
            **ANSWER_RESPONSES,
            400: problem("The body could not be read"),
            404: _UNKNOWN,
            413: problem("Body too large"),
            415: problem("Not application/json"),
            422: problem("A field or the conversation cannot be used"),
        },
        response_class=JSONResponse,
        dependencies=[Depends(_json)],
    )
    async def chat(
        request: Request,
        stored_id: StoredId,
        asked: ChatRequest,
    ) -> Response:
        """Answers the last message of a conversation about a figure that is kept. The image is not sent again."""
        ask = Ask(_turns(asked.messages, settings), asked.ocr, asked.max_tokens, asked.temperature)
        record = record_of(request.scope)
        record.facts["stored_id"] = stored_id
        parts = explainer.explain(await explainer.stored(stored_id, scope=ANYONE), ask, record)
        return await respond(parts, stream=asked.stream, record=record, settings=settings)

    router.include_router(talk)
    return router


def _described(about: FigureAbout, reading: Reading) -> KeptFigure:
    lines = [OcrLine.model_validate(line.to_json()) for line in reading.lines]
    return KeptFigure(
        id=about.stored_id,
        pixels=about.figure_id,
        width=about.width,
        height=about.height,
        caption=about.caption,
        ocr=FigureText(status=reading.state, lines=lines),
    )


def _turns(messages: Sequence[Message], settings: GatewaySettings) -> list[Turn]:
    """Raises ConversationTooLong, or MessagesInvalid for what is no conversation that waits for an answer."""
    if len(messages) > settings.max_messages:
        raise ConversationTooLong(f"{len(messages)} messages; at most {settings.max_messages} are accepted.")
    chars = sum(len(message.content) for message in messages)
    if chars > settings.max_conversation_chars:
        raise ConversationTooLong(f"{chars} characters; at most {settings.max_conversation_chars} are accepted.")
    if len(messages) % 2 == 0:
        raise MessagesInvalid(f"There are {len(messages)} messages; the first and the last must be the user's.")
    for i, message in enumerate(messages):
        expected = ("user", "assistant")[i % 2]
        if message.role != expected:
            raise MessagesInvalid(f"messages.{i} is the {message.role}'s, and should be the {expected}'s.")
        if message.role == "user" and not message.content.strip():
            raise MessagesInvalid(f"messages.{i} is empty; only answers may be.")
    return [Turn(message.role, message.content) for message in messages]


async def _json(request: Request) -> None:
    """FastAPI takes another kind of body for a wrong value."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BodyTypeUnsupported(f"Send application/json, not {content_type or 'a body without a content type'}.")


def _bounded_route(max_bytes: int) -> type[APIRoute]:
    """Routes whose bodies are parsed in one piece, and may therefore not be as large as an image."""

    class BoundedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def bounded(request: Request) -> Response:
                received = 0

                async def receive() -> AsgiMessage:
                    nonlocal received
                    message = await request.receive()
                    received += len(message.get("body", b""))
                    if received > max_bytes:
                        raise BodyTooLarge(f"The body has more than {max_bytes} bytes.")
                    return message

                return await handle(Request(request.scope, receive))

            return bounded

    return BoundedRoute
