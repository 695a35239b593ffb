"""`llava-graph explain` against a real gateway with two models: which of them answers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.openai_engine import speaks
from tests.harness.engines import Fleet, fleet
from tests.harness.gateway import closed_port_url, gateway, png

_EXPLAIN = "import sys; from launcher.explaining import explain; explain(sys.argv[1:])"


@asynccontextmanager
async def two_models(redis_url: str, folder: Path) -> AsyncIterator[tuple[Fleet, str]]:
    """A gateway with the models `first` and `second` on an engine each."""
    async with fleet(folder, "a", "b") as engines:
        engines.engines["a"].behaviour = speaks("The first.")
        engines.engines["b"].behaviour = speaks("The second.")
        engines.write({"first": ["a"], "second": ["b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            yield engines, str(service.http.base_url)


async def explained(folder: Path, url: str, *options: str) -> tuple[int | None, str]:
    """Exit status and output of the command for one figure."""
    (folder / "figure.png").write_bytes(png("x"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _EXPLAIN, "figure.png", "--caption", "Loss.", "--url", url, "--no-ocr", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, output.decode()


async def test_model_that_is_named_answers(redis_url: str, tmp_path: Path) -> None:
    async with two_models(redis_url, tmp_path) as (_, url):
        status, output = await explained(tmp_path, url, "--model", "second", "--json")
    answer = json.loads(output)
    assert (status, answer["text"], answer["receipt"]["model"]["id"]) == (0, "The second.", "second")


async def test_first_model_answers_where_none_is_named(redis_url: str, tmp_path: Path) -> None:
    async with two_models(redis_url, tmp_path) as (engines, url):
        status, output = await explained(tmp_path, url)
        assert engines.with_requests() == {"a"}
    assert status == 0
    assert "The first." in output


async def test_model_that_is_not_served_is_an_error(redis_url: str, tmp_path: Path) -> None:
    async with two_models(redis_url, tmp_path) as (engines, url):
        status, output = await explained(tmp_path, url, "--model", "gpt-5")
        assert engines.with_requests() == set()
    assert status == 1
    assert "model_not_found" in output


async def test_named_model_answers_many_figures_into_a_file(redis_url: str, tmp_path: Path) -> None:
    async with two_models(redis_url, tmp_path) as (_, url):
        status, output = await explained(tmp_path, url, "--model", "second", "--out", "answers.jsonl")
    assert status == 0, output
    [line] = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["text"] == "The second."
