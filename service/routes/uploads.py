"""Multipart fields of a figure upload, image and caption, and their checks; shared by the routes that take a figure."""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from typing import Annotated, TypedDict

from fastapi import File, Form, Request, UploadFile

from service.content_type import check_content_type
from service.errors import CaptionTooLong, FieldProblem, FieldsInvalid
from service.settings import GatewaySettings

Image = Annotated[UploadFile, File(description="PNG, JPEG, WebP, GIF (first frame) or TIFF (first page)")]
Caption = Annotated[str, Form(description="The figure's caption. Must be sent, may be empty")]


class FormLimits(TypedDict, total=False):
    max_files: int
    max_fields: int
    max_part_size: int


FORM_LIMITS: FormLimits = {"max_files": 1, "max_fields": 32, "max_part_size": 1 << 40}
"""A field may be as long as the body, which service/middleware/body_bound.py bounds: the calls' own bounds answer with
better words."""


async def multipart_with_caption(request: Request) -> None:
    """What FastAPI does not see: another kind of body reads as an empty form, an empty field as one not sent."""
    check_content_type(request, "multipart/form-data")
    if "caption" not in await request.form():
        missing = [FieldProblem(field="caption", message="Field required; it may be empty")]
        raise FieldsInvalid("caption: the field is missing; it may be empty.", missing)


def checked(caption: str, settings: GatewaySettings) -> str:
    """The caption, which is short enough. Raises CaptionTooLong."""
    if len(caption) > settings.max_caption_chars:
        raise CaptionTooLong(f"{len(caption)} characters; at most {settings.max_caption_chars} are accepted.")
    return caption
