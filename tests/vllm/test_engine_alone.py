"""`llava-graph engine --backend vllm` by itself: what it serves, what it refuses, and what a kill leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from launcher.engine.vllm import Build, serve_flags
from llava_graph.address import Address
from llava_graph.manifest import load_manifest
from tests.e2e.conftest import REPOSITORY, RunningCommand, RunningStack, processes_of

pytestmark = pytest.mark.timeout(300)

MODEL_REPO = REPOSITORY / "model_repo"
BUILDS: tuple[Build, ...] = ("gpu", "cpu")

PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
for line in sys.stdin:
    make_arg_parser(FlexibleArgumentParser()).parse_args(json.loads(line))
"""


def test_vllm_itself_knows_every_flag_that_our_manifests_become(vllm_python: str) -> None:
    lines = [
        json.dumps(serve_flags(build, load_manifest(path.parent), path.parent, Address("127.0.0.1", 1)))
        for path in MODEL_REPO.glob("*/manifest.toml")
        for build in BUILDS
    ]
    parsed = subprocess.run(
        [vllm_python, "-c", PARSE], input="\n".join(lines), capture_output=True, text=True, timeout=120
    )
    assert parsed.returncode == 0, parsed.stderr


class Listener:
    """A web server that somebody might be sent to. Counts who came."""

    def __init__(self) -> None:
        self.visits = 0

    async def __call__(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


async def test_vllm_fetches_no_image_from_anywhere(stack: RunningStack) -> None:
    listener = Listener()
    server = await asyncio.start_server(listener, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    urls = [
        f"http://127.0.0.1:{port}/figure.png",
        f"http://localhost:{port}/figure.png",
        f"http://none.invalid@127.0.0.1:{port}/figure.png",
        f"file://{REPOSITORY}/examples/growth.png",
    ]
    async with server, httpx2.AsyncClient(base_url=stack.state["engine_url"], timeout=60, trust_env=False) as engine:
        for url in urls:
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Explain."}]
            body = {"model": "llava-graph-tiny", "messages": [{"role": "user", "content": content}], "max_tokens": 1}
            answer = await engine.post("/v1/chat/completions", json=body)
            assert answer.status_code >= 400, url
    assert listener.visits == 0


@pytest.fixture
def engine(vllm_python: str) -> Iterator[RunningCommand]:
    command = RunningCommand(
        *("engine", "--backend", "vllm", "--python", vllm_python, "--port", "0"), "--", "--max-model-len", "1024"
    )
    yield command
    if command.process.poll() is None:
        command.stop(signal.SIGKILL)


def only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


async def test_a_supervisor_that_is_killed_leaves_nothing_of_vllm_behind(engine: RunningCommand) -> None:
    url = (await asyncio.to_thread(engine.wait_for, "the engine is ready at")).split()[-1]
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        (model,) = (await http.get("/v1/models")).raise_for_status().json()["data"]
    # Our id, and the operator's own flag above the manifest's.
    assert (model["id"], model["max_model_len"]) == ("llava-graph-tiny", 1024)

    group = only_child(engine.process.pid)
    assert any(name.startswith("VLLM::EngineCore") for name in processes_of(group).values())
    os.kill(engine.process.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while processes_of(group):  # noqa: ASYNC110 - they are not our children, and nobody tells us of their end
            await asyncio.sleep(0.05)
