"""What schemathesis cannot read from the description, because JSON Schema has no words for it: what an image is, and
whose turn it is in a conversation. Loaded by schemathesis itself (schemathesis.toml beside this file)."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

from llava_graph.figure import FORMATS

BEYOND_SCHEMAS = {
    "conversation_too_long": "how long all messages are together",
    "field_unsupported": "that OpenAI's other fields may be there while they ask for nothing",
    "image_url_not_allowed": "which URLs are fetched",
    "feedback_full": "how much is stored already",
    "messages_invalid": "that user and assistant take turns, and the user is the last",
    "too_many_figures": "how many images all messages show together",
}
"""Codes that a request may be refused with though each part of it is as described; and what no description can say."""

GIVEN_AN_IMAGE: set[str] = set()
"""Cases that were right as they were made, but for their image. With one they are judged anew, by the schema alone, to
which bytes are no string: so they count as wrong, and must not."""

_TEXT_OF_FORM = re.compile(r"violates `type` at /properties/(caption|question) \(was string")


def _image(form: str, side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(file, form)
    return file.getvalue()


IMAGES = {form: [_image(form, side) for side in (8, 33)] for form in FORMATS}
PNG = IMAGES["PNG"][0]
PNG_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}

for name, images in IMAGES.items():
    schemathesis.openapi.media_type(f"image/{name.lower()}", st.sampled_from(images))


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, __: dict[str, Any]) -> None:
    """Gives requests that are to be accepted what makes them so: an image, a conversation."""
    body = case.body
    if not isinstance(body, dict) or case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if case.media_type == "multipart/form-data":
        if not any(body.get("image") in images for images in IMAGES.values()):
            case.body = {**body, "image": PNG}
            GIVEN_AN_IMAGE.add(case.id)
    elif "receipt" in body:
        answer = body["answer"]
        receipt = {**body["receipt"], "format": 1, "answer_sha256": hashlib.sha256(answer.encode()).hexdigest()}
        case.body = {**body, "receipt": receipt}
    elif messages := body.get("messages"):
        spoken = messages[: len(messages) - 1 + len(messages) % 2]
        case.body = {**body, "messages": [_turn(i, said) for i, said in enumerate(spoken)]}
        if (wishes := body.get("figure")) not in (None, []):
            case.body["messages"][0]["content"] = [PNG_PART, {"type": "text", "text": "Why?"}]
            case.body["figure"] = wishes[:1] if isinstance(wishes, list) else wishes


def _turn(i: int, said: dict[str, Any]) -> dict[str, Any]:
    if i % 2:
        return {**said, "role": "assistant", "content": str(said.get("content"))}
    return {**said, "role": "user", "content": f"Why? {said.get('content')}"}


@schemathesis.hook
def filter_failure(_: schemathesis.HookContext, failure: Failure, case: schemathesis.Case, response: Response) -> bool:
    """Whether it is one."""
    if failure.title == "Schema-valid request rejected":
        said = json.loads(response.content)
        return said.get("error", said)["code"] not in BEYOND_SCHEMAS
    if failure.title == "Schema-violating request accepted" and case.media_type == "multipart/form-data":
        if case.id in GIVEN_AN_IMAGE:
            return False
        # All that stands in a form is text: none of it can be of another type than the description has.
        wrong = [line for line in failure.message.splitlines() if "violates" in line]
        return not wrong or not all(map(_TEXT_OF_FORM.search, wrong))
    return True
