"""Explains a figure over a running stack, with an answer of a few tokens."""

from __future__ import annotations

import httpx2

from llava_graph import client
from llava_graph.client import Event

SHORT = 24
"""Tokens: what an answer says is not tested here, so it need not be long."""


async def explained(url: str, image: bytes, caption: str) -> list[Event]:
    async with httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT) as gateway:
        return [event async for event in client.explain(gateway, image, caption, max_tokens=SHORT)]
