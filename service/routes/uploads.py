"""What calls that take a figure have in common: image and caption as multipart fields, and the checks on the two."""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from typing import Annotated, TypedDict

from fastapi import File, Form, Request, UploadFile

from service.errors import BodyTypeUnsupported, CaptionTooLong, FieldProblem, FieldsInvalid
from service.settings import GatewaySettings

Image = Annotated[UploadFile, File(description="PNG, JPEG, WebP, GIF (first frame) or TIFF (first page)")]
Caption = Annotated[str, Form(description="The figure's caption. Must be sent, may be empty")]


class FormLimits(TypedDict, total=False):
    max_files: int
    max_fields: int
    max_part_size: int


def form_limits(settings: GatewaySettings) -> FormLimits:
    """A field may be as long as the body: the calls' own bounds answer with better words."""
    return {"max_files": 1, "max_fields": 32, "max_part_size": settings.max_body_bytes}


async def multipart_with_caption(request: Request) -> None:
    """What FastAPI does not see: another kind of body reads as an empty form, an empty field as one not sent."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise BodyTypeUnsupported(f"Send multipart/form-data, not {content_type or 'a body without a content type'}.")
    if "caption" not in await request.form():
        missing = [FieldProblem(field="caption", message="Field required; it may be empty")]
        raise FieldsInvalid("caption: the field is missing; it may be empty.", missing)


def checked(caption: str, settings: GatewaySettings) -> str:
    """The caption as it can be stored and sent on. Raises CaptionTooLong."""
    if len(caption) > settings.max_caption_chars:
        raise CaptionTooLong(f"{len(caption)} characters; at most {settings.max_caption_chars} are accepted.")
    # In some charsets (UTF-7) a field can spell half a character, a lone surrogate, which nothing could encode again.
    return caption.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
