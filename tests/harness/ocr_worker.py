"""A real OCR worker in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from llava_graph.jobs import Keys, connect
from ocr_worker import Worker
from ocr_worker.engines.rapid import RapidEngine
from ocr_worker.metrics import WorkerMetrics

PATIENT_S = 100


@asynccontextmanager
async def working(redis_url: str, rapid: RapidEngine) -> AsyncIterator[Worker]:
    """A real OCR worker beside the test."""
    redis = connect(redis_url)
    worker = Worker(
        redis,
        rapid,
        keys=Keys(),
        consumer="beside-the-test",
        host="here",
        metrics=WorkerMetrics(CollectorRegistry()),
        log=structlog.get_logger(),
    )
    running = asyncio.create_task(worker.run())
    await worker.wait_until_announced()
    try:
        yield worker
    finally:
        worker.stop()
        await running
        await redis.aclose()
