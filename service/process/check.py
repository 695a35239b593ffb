"""`llava-graph gateway --check`: asks /readyz whether the gateway at an address is ready.

Runs in a process of its own beside the gateway and knows it only over HTTP.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

CHECK_DEADLINE_S = 5.0
"""/readyz asks engine and Redis itself, at the same time, for a second each unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Found:
    """`ok` while figures can be explained; `words` say how things stand, or what is wrong."""

    ok: bool
    words: str


async def check_gateway(url: str, *, deadline_s: float = CHECK_DEADLINE_S) -> Found:
    """How the gateway at `url` is. Whatever keeps it from answering is a `Found`, too."""
    try:
        timeout = aiohttp.ClientTimeout(total=deadline_s)
        # A proxy from the environment is for the outside world; the gateway is here.
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(f"{url}/readyz", allow_redirects=False) as response,
        ):
            return _judge(url, response.status, await response.text())
    except TimeoutError:
        return Found(False, f"{url} did not answer within {deadline_s:g} s")
    except (aiohttp.ClientError, UnicodeDecodeError) as error:
        return Found(False, f"{url} does not answer: {error}")


def _judge(url: str, status: int, body: str) -> Found:
    try:
        state: Any = json.loads(body)
        engine, redis, ocr = (state[part]["state"] for part in ("engine", "redis", "ocr"))
        words = f"{url}: {state['status']} (engine {engine}, Redis {redis}, OCR {ocr})"
    except (ValueError, KeyError, TypeError):
        return Found(False, f"{url}/readyz answers {status}, and not as a gateway does")
    return Found(status == 200, words)
