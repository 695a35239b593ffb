"""What vLLM and the gateway count of themselves, read from their Prometheus pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from prometheus_client.parser import text_string_to_metric_families

POLL_INTERVAL_S = 0.02

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Counts:
    """One reading of vLLM's metrics."""

    running: float
    waiting: float
    finished: dict[str, float]
    """Requests by the reason of their end: `stop`, `length`, `error`, …"""
    tokens_generated: float
    kv_cache_used: float
    """Share of the cache that running requests hold."""
    prefix_tokens_asked: float
    prefix_tokens_hit: float
    images_asked: float
    images_hit: float


class EngineMetrics:
    """The metrics of the vLLM at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read(self) -> Counts:
        samples = await _samples(self._url)
        return Counts(
            running=samples["vllm:num_requests_running", ""],
            waiting=samples["vllm:num_requests_waiting", ""],
            finished={
                reason: value for (name, reason), value in samples.items() if name == "vllm:request_success_total"
            },
            tokens_generated=samples["vllm:generation_tokens_total", ""],
            kv_cache_used=samples["vllm:kv_cache_usage_perc", ""],
            prefix_tokens_asked=samples["vllm:prefix_cache_queries_total", ""],
            prefix_tokens_hit=samples["vllm:prefix_cache_hits_total", ""],
            images_asked=samples["vllm:mm_cache_queries_total", ""],
            images_hit=samples["vllm:mm_cache_hits_total", ""],
        )

    async def until(self, condition: Callable[[Counts], bool], deadline_s: float = 20.0) -> Counts:
        """The first reading for which the condition holds; fails with the last one when none does in time."""
        return await _until(self.read, condition, deadline_s)

    async def at_rest(self) -> Counts:
        """A reading with nothing under way."""
        return await self.until(lambda counts: counts.running == counts.waiting == 0)


async def until_gateway_rests(url: str, deadline_s: float = 20.0) -> None:
    """Returns when the gateway at `url` is answering nobody but us."""

    async def in_flight() -> float:
        return (await _samples(url))["llava_graph_gateway_in_flight", ""]

    await _until(in_flight, lambda requests: requests <= 1, deadline_s)


async def _samples(url: str) -> dict[tuple[str, str], float]:
    """Values by name and, where there is one, by reason of the end."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        page = (await http.get("/metrics")).raise_for_status().text
    return {
        (sample.name, sample.labels.get("finished_reason", "")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def _until(read: Callable[[], Awaitable[Read]], condition: Callable[[Read], bool], deadline_s: float) -> Read:
    """Nobody tells us of a change in another process's metrics: they are read until it shows."""
    end = asyncio.get_running_loop().time() + deadline_s
    while not condition(seen := await read()):
        assert asyncio.get_running_loop().time() < end, f"still {seen} after {deadline_s:g} s"
        await asyncio.sleep(POLL_INTERVAL_S)
    return seen
