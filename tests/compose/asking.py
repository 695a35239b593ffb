"""A figure, sent to a gateway in containers, and its explanation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2

from llava_graph import client
from llava_graph.client import Event
from tests.harness.gateway import png


async def explained(
    gateway: httpx2.AsyncClient, text: str, *, image: bytes | None = None, ocr: bool = True
) -> dict[str, Any]:
    """The parts of the explanation of a figure that says `text`, or of another one."""
    events: AsyncIterator[Event] = client.explain(
        gateway, image or png(text), "Growth of three strains.", max_tokens=24, ocr=ocr
    )
    return {event.name: event.data async for event in events}
