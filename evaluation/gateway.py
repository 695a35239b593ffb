"""A client of our own service for the evaluation, and what it reads in a figure without a question.

The key, where the service wants one, is taken from LLAVA_GRAPH_KEY. It knows HTTP and the interface, no model.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx2

from evaluation.answers.contexts import Reading
from evaluation.errors import EndpointError
from evaluation.pacing import BusyError, Pacer
from llava_graph import client
from llava_graph.chart import ChartFormatError, from_json
from llava_graph.ocr import Line

KEY_VARIABLE = "LLAVA_GRAPH_KEY"

_LOOK_EVERY_S = 0.5
_LOOKS = 240  # two minutes: a figure waits behind those that others sent


def gateway_client(url: str) -> httpx2.AsyncClient:
    """A client of the service at `url`; how much is under way is for the caller to bound."""
    key = os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
    # A proxy from the environment is for the outside world; the service is ours.
    return httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT, trust_env=False, headers=headers, limits=limits)


async def read_figure(gateway: httpx2.AsyncClient, png: bytes, what: str, pacer: Pacer) -> Reading:
    """What the service reads in one figure: its lines and, where it has a chart reader, its chart. Raises
    EndpointError when reading fails as often as it may."""

    async def once() -> Reading:
        try:
            kept = await client.add_figure(gateway, png, "")
            described = await _when_read(gateway, str(kept["id"]))
        except client.ExplainError as error:
            if error.retryable:
                raise BusyError(str(error), error.retry_after_s) from error
            raise EndpointError(f"{what}: {error}") from error
        return _reading(described, what)

    return await pacer.call(what, once)


async def _when_read(gateway: httpx2.AsyncClient, figure_id: str) -> dict[str, Any]:
    """The description of a kept figure once nothing of it is being read any more."""
    described: dict[str, Any] = {}
    for _ in range(_LOOKS):
        described = await _described(gateway, figure_id)
        states = [(described.get(part) or {}).get("status") for part in ("ocr", "chart")]
        if "pending" not in states:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    return described


async def _described(gateway: httpx2.AsyncClient, figure_id: str) -> dict[str, Any]:
    try:
        response = await gateway.get(f"/v1/figures/{figure_id}")
    except httpx2.HTTPError as error:
        raise BusyError(f"the service broke off: {error}") from error
    if response.is_error:
        raise BusyError(f"HTTP {response.status_code} for the description of a figure")
    described = response.json()
    if not isinstance(described, dict):
        raise BusyError("the description of a figure is no JSON object")
    return described


def _reading(described: dict[str, Any], what: str) -> Reading:
    ocr = described.get("ocr") or {}
    if ocr.get("status") not in ("ok", "cached"):
        raise BusyError(f"the text is not read yet ({ocr.get('status')})")
    chart = described.get("chart")
    try:
        lines = tuple(Line.from_json(line) for line in ocr.get("lines") or [])
        read = None if chart is None else from_json(chart)
    except (KeyError, TypeError, ValueError, ChartFormatError) as error:
        raise EndpointError(f"{what}: the service's reading has another shape: {error}") from error
    return Reading(lines, read, ocr.get("engine"))
