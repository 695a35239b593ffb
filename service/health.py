"""Readiness: checks engines, Redis and OCR workers for /readyz.

Without an engine of any model there are no explanations: not ready. Without one of some model it is degraded, and still
ready. Without Redis or OCR workers there are explanations from image and caption alone, and without Redis no
conversations about kept figures: degraded, too. A gateway that is being stopped is not ready whatever is there. Every
check has a deadline.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import BaseModel, Field
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llava_graph.jobs import Keys, WireError, live_workers
from service.deadline import within
from service.engine.models import Models, ServedModel
from service.errors import EngineUnavailable
from service.middleware.drain import Drain

State = Literal["ok", "down"]
Status = Literal["ready", "degraded", "unavailable", "draining"]


class EngineState(BaseModel):
    state: State
    model: str


class ModelState(BaseModel):
    model: str
    state: State = Field(description="ok while one of its engines answers")
    engines: int = Field(description="How many engines it has")
    up: int = Field(description="How many of them answer their health checks")
    draining: int = Field(description="How many of them are given nothing new")


class RedisState(BaseModel):
    state: State


class OcrState(BaseModel):
    state: State
    workers: int = Field(description="OCR workers that are alive")
    engines: list[str] = Field(description="Revisions of the OCR engines they run")


class Readiness(BaseModel):
    status: Status
    engine: EngineState = Field(description="Of the model that requests get that name none")
    models: list[ModelState] = Field(description="All models, that one first")
    redis: RedisState
    ocr: OcrState


async def readiness_of(drain: Drain, models: Models, redis: Redis, keys: Keys, *, redis_deadline_s: float) -> Readiness:
    """The state of engines, Redis and OCR workers, asked now."""
    states, (redis_state, ocr_state) = await asyncio.gather(
        asyncio.gather(*(_model(model) for model in models.all)), _redis_and_ocr(redis, keys, redis_deadline_s)
    )
    down = [state.state == "down" for state in states]
    status: Status = "ready"
    if drain.begun:
        status = "draining"
    elif all(down):
        status = "unavailable"
    elif any(down) or "down" in (redis_state.state, ocr_state.state):
        status = "degraded"
    engine = EngineState(state=states[0].state, model=states[0].model)
    return Readiness(status=status, engine=engine, models=states, redis=redis_state, ocr=ocr_state)


async def _model(model: ServedModel) -> ModelState:
    state: State = "ok"
    try:
        await model.pool.check()
    except EngineUnavailable:
        state = "down"
    replicas = model.pool.replicas
    return ModelState(
        model=model.manifest.name,
        state=state,
        engines=len(replicas),
        up=sum(replica.up for replica in replicas),
        draining=sum(replica.draining for replica in replicas),
    )


async def _redis_and_ocr(redis: Redis, keys: Keys, deadline_s: float) -> tuple[RedisState, OcrState]:
    no_workers = OcrState(state="down", workers=0, engines=[])
    try:
        workers = await within(deadline_s, live_workers(redis, keys))
    except (RedisError, OSError):
        return RedisState(state="down"), no_workers
    except WireError:
        return RedisState(state="ok"), no_workers
    engines = sorted({worker.engine for worker in workers})
    state: State = "ok" if workers else "down"
    return RedisState(state="ok"), OcrState(state=state, workers=len(workers), engines=engines)
