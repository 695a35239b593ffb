"""An OCR worker of the product at work, with an engine that reads numbers, and a reader that sees one chart in all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from llava_graph.chart import Chart, Panel, Point, Series
from llava_graph.jobs import Keys, connect
from llava_graph.ocr import Line
from ocr_worker import Worker, WorkerOptions
from ocr_worker.engines import Pixels
from ocr_worker.metrics import WorkerMetrics
from tests.fakes.ocr_worker import Numbers

CHART = Chart((Panel("bar", (0.0, 0.0, 9.0, 9.0), series=(Series("A", points=(Point("x", 1.0, 2.0, 3.0),)),)),))


class OneChart:
    """In place of the reader of charts, whose process takes seconds to start."""

    revision = "one/1"

    def read(self, _image: Pixels, _lines: Sequence[Line]) -> Chart:
        return CHART


@asynccontextmanager
async def worker(redis_url: str) -> AsyncIterator[None]:
    """A worker of the product, at work."""
    redis = connect(redis_url)
    running = Worker(
        redis,
        Numbers(),
        keys=Keys(),
        consumer="w1",
        host="here",
        metrics=WorkerMetrics(CollectorRegistry()),
        log=structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger(50)
        ),
        options=WorkerOptions(),
        charts=OneChart(),
    )
    task = asyncio.create_task(running.run())
    try:
        async with asyncio.timeout(30):
            while not await redis.exists(Keys().worker("w1")):  # noqa: ASYNC110  Redis sends no event of it
                await asyncio.sleep(0.01)
        yield
    finally:
        running.stop()
        await task
        await redis.aclose()
