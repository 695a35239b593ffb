"""What the shipped model says of the examples in `make demo`, against the data that growth.png is drawn from."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from data.synthetic.spec import FigureSpec
from evaluation.suites.facts.score import score
from evaluation.suites.facts.truth import truth_of_spec
from llava_graph import client
from llava_graph.example_figures import Example
from llava_graph.manifest import DEFAULT_MODEL_DIR
from tests.e2e.conftest import REPOSITORY, RunningStack

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("stack"), "--model", str(DEFAULT_MODEL_DIR))
    yield running
    running.stop()


def growth() -> FigureSpec:
    """What examples/growth.py draws."""
    described = importlib.util.spec_from_file_location("growth", REPOSITORY / "examples" / "growth.py")
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    spec = module.SPEC
    assert isinstance(spec, FigureSpec)
    return spec


async def explained(url: str, example: Example) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT) as gateway:
        events = client.explain(gateway, example.image.read_bytes(), example.caption)
        return {event.name: event async for event in events}["done"].data


async def test_every_statement_about_the_growth_curves_is_true(stack: RunningStack, examples: list[Example]) -> None:
    [example] = [example for example in examples if example.image.name == "growth.png"]
    text = (await explained(stack.url, example))["text"]
    found = score(truth_of_spec(growth(), random.Random(0)), example.caption, text)
    for name in ("axis_labels", "series_named", "trend_right", "numbers_near", "extremum_right"):
        assert found[name].hits == found[name].of, (name, text)
    # Silence would be true as well.
    assert found["trend_coverage"].hits >= 2, text
    assert found["numbers_near"].of >= 3, text
    for name in ("hallucinated", "trend_unfounded", "contradicted"):
        assert found[name].hits == 0, (name, text)


async def test_no_statement_about_an_example_is_contradicted_by_what_was_read(
    stack: RunningStack, examples: list[Example]
) -> None:
    for example in examples:
        done = await explained(stack.url, example)
        verdicts = [check["verdict"] for check in done["checks"]]
        assert "read" in verdicts, done["text"]
        assert "contradicted" not in verdicts, done["text"]
