"""What a user gets when a part is away: an answer without the figure's text, or a refusal with a time to come back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from launcher import services
from launcher.addresses import choose_addresses
from launcher.run_folder import RunFolder
from launcher.supervisor import Change, RestartPolicy, State, Supervisor
from llava_graph import client
from llava_graph.address import Address
from llava_graph.client import Event
from llava_graph.example_figures import Example
from tests.e2e.conftest import REPOSITORY, RunningStack, until_known_to_be_gone

MODEL_DIR = Path(os.environ.get("LLAVA_GRAPH_MODEL_DIR", REPOSITORY / "model_repo" / "llava-graph-tiny"))

STAYS_DOWN = RestartPolicy(first_pause_s=600, longest_pause_s=600)


@asynccontextmanager
async def own_gateway(
    stack: RunningStack, folder: RunFolder, *, engine_url: str | None = None, redis_url: str | None = None
) -> AsyncIterator[str]:
    """A second gateway beside the stack's, which shares engine, Redis and OCR worker except where told otherwise."""
    addresses = choose_addresses("127.0.0.1", 0)
    service = services.gateway_service(addresses, MODEL_DIR, folder)
    env = {
        **service.env,
        "LLAVA_GRAPH_REDIS_URL": redis_url or stack.state["redis_url"],
        "LLAVA_GRAPH_ENGINE_URL": engine_url or stack.state["engine_url"],
        "LLAVA_GRAPH_OCR_DEADLINE_S": "1",
    }
    async with Supervisor([replace(service, env=env, needs=())], lambda _: None).running(60):
        yield addresses.gateway.url


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def never_seen(example: Example, side: int) -> bytes:
    """The example in another size: another figure to the OCR cache."""
    with Image.open(example.image) as image, BytesIO() as file:
        image.convert("RGB").resize((side, side)).save(file, "PNG")
        return file.getvalue()


def children(parent: int) -> list[int]:
    """The processes that do the work of a parent."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    assert found
    return [int(pid) for pid in found]


async def explained(url: str, image: bytes) -> dict[str, Event]:
    async with httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT) as gateway:
        return {event.name: event async for event in client.explain(gateway, image, "A caption.", max_tokens=24)}


async def test_with_the_ocr_worker_stopped_the_answer_comes_from_the_caption(
    stack: RunningStack, folder: RunFolder, examples: list[Example]
) -> None:
    readers = children(stack.pid("ocr-worker"))
    async with own_gateway(stack, folder) as url:
        for reader in readers:
            os.kill(reader, signal.SIGSTOP)
        try:
            parts = await explained(url, never_seen(examples[0], 500))
        finally:
            for reader in readers:
                os.kill(reader, signal.SIGCONT)
    assert parts["ocr"].data["status"] == "timeout"
    assert parts["ocr"].data["lines"] == []
    assert parts["done"].data["usage"]["completion_tokens"] > 0


async def test_with_redis_stopped_the_answer_comes_from_the_caption(
    stack: RunningStack, folder: RunFolder, examples: list[Example]
) -> None:
    addresses = choose_addresses("127.0.0.1", 0)
    changes: asyncio.Queue[Change] = asyncio.Queue()
    redis = Supervisor([services.redis_service(addresses, folder)], changes.put_nowait, STAYS_DOWN)
    async with redis.running(30), own_gateway(stack, folder, redis_url=addresses.redis_url) as url:
        os.kill(changes.get_nowait().pid, signal.SIGKILL)
        while (await changes.get()).state is not State.DIED:
            pass
        parts = await explained(url, examples[0].image.read_bytes())
        async with httpx2.AsyncClient(base_url=url) as gateway:
            ready = await gateway.get("/readyz")
    assert parts["ocr"].data["status"] == "failed"
    assert parts["done"].data["usage"]["completion_tokens"] > 0
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")


async def test_with_the_engine_gone_clients_hear_when_to_come_back_and_it_is_started_again(
    stack: RunningStack, examples: list[Example]
) -> None:
    image = examples[0].image.read_bytes()
    async with httpx2.AsyncClient(base_url=stack.url, timeout=client.TIMEOUT) as gateway:
        os.kill(stack.pid("engine"), signal.SIGKILL)
        await asyncio.to_thread(stack.wait_for, "was ended by SIGKILL; starting it again")
        await until_known_to_be_gone(gateway)
        refused = await gateway.post("/v1/explain", data={"caption": "A caption."}, files={"image": image})
        assert refused.status_code == 503
        assert refused.headers["content-type"].startswith("application/problem+json")
        assert refused.json()["code"] == "engine_unavailable"
        assert int(refused.headers["retry-after"]) > 0

        await asyncio.to_thread(stack.wait_for, "engine      ready after")
        assert (await gateway.get("/readyz")).status_code == 200
    assert "done" in await explained(stack.url, image)


class Tap:
    """A relay in front of the engine that lets the first piece of an answer through, then holds the rest back.

    So an answer is under way for certain when the client hangs up, however fast the model is.
    """

    def __init__(self, engine: Address) -> None:
        self._engine = engine
        self.hung_up = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        async with server:
            yield Address("127.0.0.1", server.sockets[0].getsockname()[1]).url

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_connection(self._engine.host, self._engine.port)
        down = asyncio.create_task(self._until_first_piece(engine_reader, writer))
        try:
            answering = False
            while data := await reader.read(65536):
                answering |= data.startswith(b"POST /v1/chat/completions")
                engine_writer.write(data)
                await engine_writer.drain()
            if answering:
                self.hung_up.set()
        finally:
            down.cancel()
            engine_writer.close()
            writer.close()

    async def _until_first_piece(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
            if b'"content"' in data:
                return


async def test_a_client_that_hangs_up_ends_its_request_to_the_engine(
    stack: RunningStack, folder: RunFolder, examples: list[Example]
) -> None:
    engine = httpx2.URL(stack.state["engine_url"])
    assert engine.port is not None
    tap = Tap(Address(engine.host, engine.port))
    async with (
        tap.listening() as engine_url,
        own_gateway(stack, folder, engine_url=engine_url) as url,
        httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT) as gateway,
    ):
        events = client.explain(gateway, examples[0].image.read_bytes(), "A caption.")
        async for event in events:
            if event.name == "delta":
                break
        assert not tap.hung_up.is_set()
        await events.aclose()
        await asyncio.wait_for(tap.hung_up.wait(), 10)
    # The engine heard it, too: it answers the next one at once instead of finishing for nobody.
    assert "done" in await explained(stack.url, examples[0].image.read_bytes())
