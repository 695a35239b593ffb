"""The interface against its own description: schemathesis asks it right and wrong things for about half a minute, and
looks at every answer. All its checks are on; tests/schemathesis holds how it is run."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from llava_graph.api_keys import digest, new_key
from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import Gateway, gateway, serving
from tests.paths import REPOSITORY

PATIENT = {"redis_deadline_s": 30, "engine_connect_s": 30}
"""Server errors are failures here, also those that a busy machine could cause."""


async def _assert_conforms(service: Gateway, *options: str) -> None:
    command = ["--config-file", str(REPOSITORY / "tests/schemathesis/schemathesis.toml"), "run", "--checks", "all"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", *command, f"{service.http.base_url}/openapi.json", *options),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()
    assert service.metric("problems_total", code="internal_error") == 0


@pytest.mark.timeout(300)
async def test_open_gateway_does_what_its_description_says(redis_url: str, tmp_path: Path) -> None:
    feedback = {"feedback": "on", "feedback_dir": tmp_path}
    async with (
        serving(OpenAIEngine(), lifespan=False) as url,
        gateway(redis_url, url, **PATIENT, **feedback) as service,
    ):
        await _assert_conforms(service)
        chats = ("/v1/figures/{id}/chat", "/v1/chat/completions")
        for route in ("/v1/explain", "/v1/figures", *chats, "/v1/feedback"):
            assert service.metric("requests_total", route=route, outcome="ok") > 0


@pytest.mark.timeout(300)
async def test_gateway_with_keys_does_so_too_and_lets_nobody_in_without_one(redis_url: str, tmp_path: Path) -> None:
    feedback = {"feedback": "on", "feedback_dir": tmp_path}
    key = new_key()
    keys = f'keys.alice.sha256 = ["{digest(key.encode())}"]\nkeys.alice.requests_per_minute = 1_000_000'
    async with (
        serving(OpenAIEngine(), lifespan=False) as url,
        gateway(redis_url, url, keys=keys, **PATIENT, **feedback) as service,
    ):
        await _assert_conforms(service, "--header", f"Authorization: Bearer {key}")
        assert service.metric("problems_total", code="unauthorized") > 0  # it tries without, and with another
