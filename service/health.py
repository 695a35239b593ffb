"""Whether the gateway can do its work now: what /readyz tells.

Without an engine there are no explanations: not ready. Without Redis or OCR workers there are, from image and caption
alone, and without Redis no conversations about kept figures: degraded, and still ready. A gateway that is being stopped
is not ready whatever is there. Every check has a deadline.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import BaseModel, Field
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llava_graph.jobs import Keys, WireError, live_workers
from service.deadline import within
from service.drain import Drain
from service.engine import Engine
from service.errors import EngineUnavailable

State = Literal["ok", "down"]
Status = Literal["ready", "degraded", "unavailable", "draining"]


class EngineState(BaseModel):
    state: State
    model: str


class RedisState(BaseModel):
    state: State


class OcrState(BaseModel):
    state: State
    workers: int = Field(description="OCR workers that are alive")
    engines: list[str] = Field(description="Revisions of the OCR engines they run")


class Readiness(BaseModel):
    status: Status
    engine: EngineState
    redis: RedisState
    ocr: OcrState


async def readiness(drain: Drain, engine: Engine, redis: Redis, keys: Keys, *, redis_deadline_s: float) -> Readiness:
    """The state of all that the gateway leans on, asked now."""
    engine_state, (redis_state, ocr_state) = await asyncio.gather(
        _engine(engine), _redis_and_ocr(redis, keys, redis_deadline_s)
    )
    status: Status = "ready"
    if drain.begun:
        status = "draining"
    elif engine_state.state == "down":
        status = "unavailable"
    elif "down" in (redis_state.state, ocr_state.state):
        status = "degraded"
    return Readiness(status=status, engine=engine_state, redis=redis_state, ocr=ocr_state)


async def _engine(engine: Engine) -> EngineState:
    try:
        await engine.check()
    except EngineUnavailable:
        return EngineState(state="down", model=engine.model)
    return EngineState(state="ok", model=engine.model)


async def _redis_and_ocr(redis: Redis, keys: Keys, deadline_s: float) -> tuple[RedisState, OcrState]:
    nobody = OcrState(state="down", workers=0, engines=[])
    try:
        workers = await within(deadline_s, live_workers(redis, keys))
    except (RedisError, TimeoutError):
        return RedisState(state="down"), nobody
    except WireError:
        return RedisState(state="ok"), nobody
    engines = sorted({worker.engine for worker in workers})
    state: State = "ok" if workers else "down"
    return RedisState(state="ok"), OcrState(state=state, workers=len(workers), engines=engines)
