"""vLLM loads what our commands write, and answers as it does with the weights that they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import agreement
from llava_graph.manifest import load_manifest
from tests.e2e.conftest import REPOSITORY
from tests.unit.weights.rounds import whole_round

pytestmark = pytest.mark.timeout(600)

MODEL_DIR = REPOSITORY / "model_repo" / "llava-graph-tiny"


async def test_answers_of_vllm_are_the_same_after_a_whole_round(vllm_python: str, tmp_path: Path) -> None:
    manifest = load_manifest(MODEL_DIR)
    figures = agreement.asked_figures(4)
    texts = []
    for folder in (MODEL_DIR, whole_round(MODEL_DIR, tmp_path)):
        async with agreement.engine(folder, "vllm", vllm_python, "float32") as url:
            texts.append([answer.text for answer in await agreement.answers(url, manifest, figures)])
    before, after = texts
    assert after == before
    assert len(set(before)) == len(figures)
