"""Engines and gateway as processes of their own: engines that are killed, before and after an answer has begun."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from llava_graph import client
from llava_graph.client import ExplainError
from llava_graph.figure import open_figure
from service.engine.rendezvous import ranked
from tests.harness.engines import Fleet, write_manifest
from tests.harness.gateway import closed_port_url, png
from tests.harness.gateway_process import started
from tests.paths import REPOSITORY

NAMES = ("a", "b", "c")
ENDLESS = 1024
PATIENT_S = 120


class Engines:
    """Fake engines, each a process at an address of its own."""

    def __init__(self) -> None:
        self.urls = {name: closed_port_url() for name in NAMES}
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "tests.fakes.engine_process", str(urlsplit(self.urls[name]).port)]
        self._processes[name] = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY)
        async with httpx2.AsyncClient(trust_env=False) as http:
            await eventually(lambda: _answers(http, f"{self.urls[name]}/health"))

    def send(self, name: str, number: signal.Signals) -> None:
        os.kill(self._processes[name].pid, number)

    async def kill(self, name: str) -> None:
        self._processes[name].kill()
        await self._processes[name].wait()

    async def end(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it holds. What other processes do can only be asked."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


async def _answers(http: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx2.HTTPError:
        return False


@asynccontextmanager
async def running(redis_url: str, folder: Path) -> AsyncIterator[tuple[Engines, httpx2.AsyncClient]]:
    """Two models on three engines, and the gateway."""
    for model in ("first", "second"):
        write_manifest(folder, model, max_new_tokens=ENDLESS)
    engines = Engines()
    file = Fleet({}, engines.urls, folder / "engines.toml")
    file.write({"first": NAMES, "second": ("b", "c")})
    try:
        await asyncio.gather(*(engines.start(name) for name in NAMES))
        settings = {"engines_file": file.path, "engine_health_interval_s": 0.1, "ocr_deadline_s": 0.3}
        async with started(folder, redis_url=redis_url, engine_url=closed_port_url(), **settings) as (_, http):
            yield engines, http
    finally:
        await engines.end()


def figure_of(engine: str) -> bytes:
    """A figure for which the engine comes first."""
    images = (png(f"Figure {number}") for number in range(100))
    return next(image for image in images if ranked(open_figure(image).id, NAMES)[0] == engine)


async def answered(http: httpx2.AsyncClient, image: bytes, model: str = "first", tokens: int = 3) -> str:
    """The text of a whole answer. Raises ExplainError."""
    events = client.explain(http, image, "", model=model, ocr=False, max_tokens=tokens)
    [text] = [event.data["text"] async for event in events if event.name == "done"]
    return str(text)


async def in_flight(http: httpx2.AsyncClient, engine: str) -> float:
    samples = (await http.get("/metrics")).text.splitlines()
    name = f'llava_graph_gateway_engine_in_flight{{engine="{engine}",model="first"}} '
    return next(float(line.removeprefix(name)) for line in samples if line.startswith(name))


async def up(http: httpx2.AsyncClient) -> list[int]:
    """How many engines of each model are up."""
    return [model["up"] for model in json.loads((await http.get("/readyz")).text)["models"]]


async def test_killed_engines_cost_only_the_answers_that_had_begun(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as (engines, http):

        async def all_are_up() -> bool:
            return await up(http) == [3, 2]

        await eventually(all_are_up)

        # A is stopped, so that it has a request and does not begin to answer, and then killed.
        engines.send("a", signal.SIGSTOP)
        waiting = [asyncio.create_task(answered(http, figure_of("a"))) for _ in range(3)]

        async def a_has_them() -> bool:
            return await in_flight(http, "a") == 3

        await eventually(a_has_them)
        await engines.kill("a")
        async with asyncio.timeout(PATIENT_S):
            assert all(await asyncio.gather(*waiting))

        # B is killed while it answers.
        begun = asyncio.Event()

        async def endless() -> ExplainError:
            try:
                async for event in client.explain(http, figure_of("b"), "", ocr=False, max_tokens=ENDLESS):
                    if event.name == "delta":
                        begun.set()
            except ExplainError as error:
                return error
            raise AssertionError("the answer had an end")

        answering = asyncio.create_task(endless())
        async with asyncio.timeout(PATIENT_S):
            await begun.wait()
            await engines.kill("b")
            error = await answering
        assert (error.code, error.retryable) == ("engine_interrupted", True)

        # C does it all, for both models.
        texts = [await answered(http, figure_of(name), model) for name in NAMES for model in ("first", "second")]
        assert all(texts)

        # What comes back is given requests again.
        await engines.start("b")

        async def b_is_back() -> bool:
            return await up(http) == [2, 2]

        await eventually(b_is_back)
        assert await answered(http, figure_of("b"))
