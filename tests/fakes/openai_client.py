"""What OpenAI's own client sends to the gateway: a client for a running one, and messages with figures in them."""

from __future__ import annotations

import base64
from typing import Any

from openai import AsyncOpenAI

from llava_graph.figure import open_figure
from tests.harness.gateway import MANIFEST, Gateway, png
from tests.harness.plain_http import plain_client

MODEL = MANIFEST.name


def client_of(service: Gateway, key: str = "none") -> AsyncOpenAI:
    """Tries nothing again, so that each call is one request; takes no answer that is not as OpenAI's types have it, and
    no response that the description of the interface does not have."""
    http = plain_client(event_hooks=service.http.event_hooks)
    return AsyncOpenAI(
        base_url=f"{service.http.base_url}/v1",
        api_key=key,
        max_retries=0,
        timeout=30,
        http_client=http,
        _strict_response_validation=True,
    )


def image_part(image: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def asks(text: str = "Why?", *images: bytes) -> dict[str, Any]:
    """A message of the user, its images before its text."""
    return {"role": "user", "content": [*map(image_part, images), {"type": "text", "text": text}]}


def answers(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def wish(**figure: object) -> dict[str, Any]:
    """The field of our own; without OCR unless it is asked for."""
    return {"figure": {"ocr": "off", **figure}}


def figure_id(text: str = "") -> str:
    return open_figure(png(text)).id
