"""vLLM against `transformers serve` on the same prompts; benchmarks/agreement.py does it on more figures."""

from __future__ import annotations

import sys

import pytest

from benchmarks import agreement
from llava_graph.manifest import load_manifest
from tests.e2e.conftest import REPOSITORY, RunningStack

pytestmark = pytest.mark.timeout(300)

MODEL_DIR = REPOSITORY / "model_repo" / "llava-graph-tiny"


async def test_greedy_answers_in_float32_are_those_of_transformers(stack: RunningStack) -> None:
    manifest = load_manifest(MODEL_DIR)
    figures = agreement.asked_figures(6)
    ours = await agreement.answers(stack.state["engine_url"], manifest, figures, at_once=len(figures))
    async with agreement.engine(MODEL_DIR, "transformers", sys.executable, "float32") as url:
        theirs = await agreement.answers(url, manifest, figures)
    assert [answer.text for answer in ours] == [answer.text for answer in theirs]
