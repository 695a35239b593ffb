"""`llava-graph eval synthetic` and `llava-graph data synthetic`: what they ask, what they write, how they go on.

The gateway here is a stand-in at the wire that knows the truth: it speaks the gateway's events, and stages its faults.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evaluation import cli as evaluation_cli
from evaluation.facts_score import METRICS
from evaluation.synthetic import ANSWERS_FILE, COLUMNS, TRIES, AnswerFile, EvaluationError, Plan, run, summarise
from llava_graph import client
from synthetic import cli as synthetic_cli
from synthetic.sample import sample_figure
from tests.fakes.gateway import serving

_PLAN = Plan(first_seed=7, count=2, concurrency=2, pause_s=0.0)
_SETTINGS = {"model": "m", "first_seed": 7, "count": 2}

_MANIFEST = """
name = "some-model"
revision = "1"
context_template = "located"
context_length = 1024
max_new_tokens = 256
"""


class _Wire:
    """A server of /v1/explain. `fates` says what happens to the first requests, one after the other."""

    def __init__(self, *fates: str, first_readings_are_late: bool = False, key: str | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.key = key
        self.first_readings_are_late = first_readings_are_late
        self._fates = list(fates)
        self._read: set[str] = set()

    def _is_new(self, caption: str) -> bool:
        """Whether this figure was not asked to be read before."""
        new = caption not in self._read
        self._read.add(caption)
        return new

    async def explain(self, request: Request) -> Response:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return _problem(401, "unauthorized", retryable=False)
        form = await request.form()
        self.asked.append({key: value for key, value in form.items() if isinstance(value, str)})
        fate = self._fates.pop(0) if self._fates else "fine"
        if fate == "refused":
            return _problem(422, "image_undecodable", retryable=False)
        if fate == "overloaded":
            return _problem(503, "overloaded", retryable=True)
        read = form["ocr"] == "auto"
        if self.first_readings_are_late and read and self._is_new(str(form["caption"])):
            fate = "late"
        status = ("timeout" if fate == "late" else "ok") if read else "off"
        lines = [{"text": "Rate", "box": [1, 2, 3, 4], "confidence": 0.9}] if status == "ok" else []
        return Response(
            _events(
                figure={"id": "f", "width": 10, "height": 10},
                ocr={"status": status, "ms": 1.0, "lines": lines},
                delta={"text": "It rises."},
                done={"text": "It rises.", "finish_reason": "stop", "usage": None, "timings_ms": {}, "grounding": []},
            ),
            media_type="text/event-stream",
        )


def _events(**events: Mapping[str, object]) -> str:
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events.items())


def _problem(status: int, code: str, *, retryable: bool) -> Response:
    return JSONResponse(
        {"code": code, "title": code, "retryable": retryable}, status, media_type="application/problem+json"
    )


@asynccontextmanager
async def _served(wire: _Wire) -> AsyncIterator[httpx2.AsyncClient]:
    app = Starlette(routes=[Route("/v1/explain", wire.explain, methods=["POST"])])
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT, trust_env=False) as gateway,
    ):
        yield gateway


async def _run(wire: _Wire, answers: AnswerFile) -> int:
    """Runs the plan; how many answers came."""
    ticks: list[None] = []
    async with _served(wire) as gateway:
        await run(gateway, _PLAN, answers, told=lambda: ticks.append(None))
    return len(ticks)


async def test_each_figure_is_asked_about_in_each_column_with_what_belongs_to_it(tmp_path: Path) -> None:
    wire, answers = _Wire(), AnswerFile(tmp_path, _SETTINGS)
    assert await _run(wire, answers) == 6
    assert answers.done() == {(seed, column) for seed in (7, 8) for column in COLUMNS}
    assert all(asked["temperature"] == "0.0" for asked in wire.asked)
    for record in answers.records:
        context = COLUMNS[record["column"]]
        assert record["ocr"]["status"] == ("ok" if context.ocr else "off")
        assert context.caption or record["caption"] == ""
        assert record["answer"] == "It rises."
        assert list(record["scores"]) == list(METRICS)
    assert {(bool(asked["caption"]), asked["ocr"]) for asked in wire.asked} >= {(False, "off")}


async def test_a_stopped_run_goes_on_where_it_ended_and_drops_a_torn_line(tmp_path: Path) -> None:
    await _run(_Wire(), AnswerFile(tmp_path, _SETTINGS))
    path = tmp_path / ANSWERS_FILE
    whole = path.read_bytes()
    kept = whole.splitlines(keepends=True)[:4]
    path.write_bytes(b"".join(kept) + b'{"seed": 8, "colu')
    wire = _Wire()
    assert await _run(wire, AnswerFile(tmp_path, _SETTINGS)) == 2
    assert len(wire.asked) == 2
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    AnswerFile(tmp_path, _SETTINGS)
    with pytest.raises(EvaluationError, match="another count, model"):
        AnswerFile(tmp_path, {**_SETTINGS, "model": "other", "count": 3})


async def test_what_can_be_tried_again_is(tmp_path: Path) -> None:
    wire, answers = _Wire("overloaded", "overloaded", "overloaded"), AnswerFile(tmp_path, _SETTINGS)
    assert await _run(wire, answers) == 6
    assert len(wire.asked) == 9


async def test_an_answer_without_the_text_does_not_count_as_one_with_it(tmp_path: Path) -> None:
    wire, answers = _Wire(first_readings_are_late=True), AnswerFile(tmp_path, _SETTINGS)
    await _run(wire, answers)
    assert len(wire.asked) == 8
    columns = summarise(answers)
    assert columns["caption + OCR"].notes["text in the figure: ok"] == 2
    assert "text in the figure: timeout" not in columns["caption + OCR"].notes


async def test_a_refusal_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="image_undecodable"):
        await _run(_Wire("refused"), AnswerFile(tmp_path, _SETTINGS))


async def test_a_gateway_that_never_answers_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=f"{TRIES} times: overloaded"):
        await _run(_Wire(*["overloaded"] * 100), AnswerFile(tmp_path, _SETTINGS))


async def test_the_command_asks_the_gateway_once_and_writes_table_and_summary(tmp_path: Path) -> None:
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "manifest.toml").write_text(_MANIFEST, encoding="utf-8")
    (model_dir / "model.safetensors").write_bytes(b"weights")
    folder = tmp_path / "out"
    arguments = ["synthetic", "--model", str(model_dir), "--seed", "7", "--count", "2", "--out", str(folder)]
    wire = _Wire()
    async with _served(wire) as gateway:
        command = [*arguments, "--url", str(gateway.base_url)]
        result = await asyncio.to_thread(CliRunner().invoke, evaluation_cli.main, command)
        again = await asyncio.to_thread(CliRunner().invoke, evaluation_cli.main, command)
    assert len(wire.asked) == 6
    assert again.exit_code == 0, again.output
    assert result.exit_code == 0, result.output
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert table in result.output
    assert "| figures | 2 | 2 | 2 |" in table
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["settings"] == {
        "model": "some-model",
        "revision": "1",
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
        "figures": "synthetic heldout",
        "first_seed": 7,
        "count": 2,
    }
    assert summary["columns"]["caption + OCR"]["scores"].keys() == set(METRICS)


@pytest.mark.parametrize(("key", "said"), [("lg_right", None), ("lg_wrong", "unauthorized"), (None, "unauthorized")])
async def test_the_command_sends_the_key_of_the_environment(tmp_path: Path, key: str | None, said: str | None) -> None:
    (tmp_path / "manifest.toml").write_text(_MANIFEST, encoding="utf-8")
    arguments = ["synthetic", "--model", str(tmp_path), "--count", "1", "--out", str(tmp_path / "out")]
    async with _served(_Wire(key="lg_right")) as gateway:
        command = [*arguments, "--url", str(gateway.base_url)]
        runner = CliRunner(env={"LLAVA_GRAPH_KEY": key})
        result = await asyncio.to_thread(runner.invoke, evaluation_cli.main, command)
    assert result.exit_code == (0 if said is None else 1), result.output
    assert said is None or said in result.output


def test_the_command_says_why_it_cannot_measure(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        evaluation_cli.main, ["synthetic", "--model", str(tmp_path), "--out", str(tmp_path / "o")]
    )
    assert result.exit_code == 1
    assert "manifest.toml" in result.output


def test_figures_captions_and_truth_are_written_to_files(tmp_path: Path) -> None:
    arguments = ["synthetic", "--split", "heldout", "--start", "3", "--count", "2", "--out"]
    assert CliRunner().invoke(synthetic_cli.main, [*arguments, str(tmp_path / "a")]).exit_code == 0
    assert CliRunner().invoke(synthetic_cli.main, [*arguments, str(tmp_path / "b")]).exit_code == 0
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["captions.jsonl", "heldout-0000003.png", "heldout-0000004.png", "truth.jsonl"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)

    truths = [json.loads(line) for line in (tmp_path / "a" / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    captions = [
        json.loads(line) for line in (tmp_path / "a" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [caption.keys() for caption in captions] == [{"file", "caption"}] * 2
    for seed, truth in zip((3, 4), truths, strict=True):
        with Image.open(tmp_path / "a" / truth["file"]) as image:
            assert image.size == (truth["width"], truth["height"])
        labels = {text["text"] for text in truth["texts"]}
        assert {panel.y.label for panel in sample_figure(seed, "heldout").panels} <= labels
        assert all(0 <= x0 < x1 <= truth["width"] for x0, _, x1, _ in (text["box"] for text in truth["texts"]))
