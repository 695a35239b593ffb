"""`llava-graph eval facts` and `llava-graph data synthetic`: what they ask, what they write, how they go on.

The gateway here is a stand-in at the wire that knows the truth: it speaks the gateway's events, and stages its faults.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from data import cli as synthetic_cli
from data.synthetic.sample import sample_figure
from evaluation import cli as evaluation_cli
from evaluation.suites.facts.follow_ups import questions
from evaluation.suites.facts.run import (
    ANSWERS_FILE,
    COLUMNS,
    FOLLOW_UPS,
    TRIES,
    FactsError,
    Plan,
    ScoredAnswerFile,
    follow_ups,
    run,
    summarise,
)
from evaluation.suites.facts.score import METRICS
from evaluation.suites.facts.truth import Generated
from tests.unit.evaluation.facts.wire import Wire, served

_PLAN = Plan(Generated(7, 2), tuple(COLUMNS), concurrency=2, pause_s=0.0)
_ALL = 2 * len(COLUMNS)
_SETTINGS = {"model": "m", "first_seed": 7, "count": 2}

_MANIFEST = """
name = "some-model"
revision = "1"
context_template = "located"
context_length = 1024
max_new_tokens = 256
"""


async def _run(wire: Wire, answers: ScoredAnswerFile) -> int:
    """Runs the plan; how many answers came."""
    ticks: list[None] = []
    async with served(wire) as gateway:
        await run(gateway, _PLAN, answers, told=lambda: ticks.append(None))
    return len(ticks)


async def test_each_figure_is_asked_about_in_each_column_with_what_belongs_to_it(tmp_path: Path) -> None:
    wire, answers = Wire(), ScoredAnswerFile(tmp_path, _SETTINGS)
    assert await _run(wire, answers) == _ALL
    assert answers.done() == {(figure, column) for figure in ("7", "8") for column in COLUMNS}
    assert all(asked["temperature"] == "0.0" for asked in wire.asked)
    for record in answers.records:
        context = COLUMNS[record["column"]]
        assert record["ocr"]["status"] == ("ok" if context.ocr or context.chart else "off")
        assert context.caption or record["caption"] == ""
        assert record["answer"] == "It rises."
        assert list(record["scores"]) == list(METRICS)
    assert {(asked["context"], asked["ocr"]) for asked in wire.asked} == {
        ("none", "off"),
        ("caption", "off"),
        ("both", "auto"),
        ("caption,chart", "auto"),
        ("all", "auto"),
    }


async def test_a_stopped_run_goes_on_where_it_ended_and_drops_a_torn_line(tmp_path: Path) -> None:
    await _run(Wire(), ScoredAnswerFile(tmp_path, _SETTINGS))
    path = tmp_path / ANSWERS_FILE
    whole = path.read_bytes()
    kept = whole.splitlines(keepends=True)[:4]
    path.write_bytes(b"".join(kept) + b'{"figure": "8", "colu')
    wire = Wire()
    assert await _run(wire, ScoredAnswerFile(tmp_path, _SETTINGS)) == _ALL - 4
    assert len(wire.asked) == _ALL - 4
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


async def test_follow_up_questions_are_asked_in_one_conversation_and_judged(tmp_path: Path) -> None:
    plan = Plan(Generated(7, 2), (), concurrency=1, follow_ups=3, pause_s=0.0)
    truths = {figure.id: figure.truth for figure in plan.figures.made(plan.figures.ids)}
    asked = [q for name, truth in truths.items() for q in questions(truth, random.Random(f"follow-ups-{name}"), 3)]
    expected = {question.text: question.expected for question in asked}
    wire, answers = Wire(), ScoredAnswerFile(tmp_path, _SETTINGS)
    wire.says = lambda question: f"I think: {expected[question]}"
    async with served(wire) as gateway:
        await run(gateway, plan, answers, told=lambda: None)
    assert [len(turns) for turns in wire.conversations] == [1, 3, 5] * (len(asked) // 3)
    assert answers.done() == {("7", FOLLOW_UPS), ("8", FOLLOW_UPS)}
    cells = follow_ups(answers)
    assert cells["all"].of == len(asked)
    right = sum(question.is_right(f"I think: {question.expected}") for question in asked)
    assert cells["all"].hits == right > 0


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    ScoredAnswerFile(tmp_path, _SETTINGS)
    with pytest.raises(FactsError, match="another count, model"):
        ScoredAnswerFile(tmp_path, {**_SETTINGS, "model": "other", "count": 3})


async def test_what_can_be_tried_again_is(tmp_path: Path) -> None:
    wire, answers = Wire("overloaded", "overloaded", "overloaded"), ScoredAnswerFile(tmp_path, _SETTINGS)
    assert await _run(wire, answers) == _ALL
    assert len(wire.asked) == _ALL + 3


async def test_an_answer_without_the_text_does_not_count_as_one_with_it(tmp_path: Path) -> None:
    wire, answers = Wire(first_readings_are_late=True), ScoredAnswerFile(tmp_path, _SETTINGS)
    await _run(wire, answers)
    assert len(wire.asked) == _ALL + 2
    columns = summarise(answers)
    assert columns["caption + OCR"].notes["text in the figure: ok"] == 2
    assert "text in the figure: timeout" not in columns["caption + OCR"].notes


async def test_a_refusal_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(FactsError, match="image_undecodable"):
        await _run(Wire("refused"), ScoredAnswerFile(tmp_path, _SETTINGS))


async def test_a_gateway_that_never_answers_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(FactsError, match=f"{TRIES} times: overloaded"):
        await _run(Wire(*["overloaded"] * 100), ScoredAnswerFile(tmp_path, _SETTINGS))


async def test_the_command_asks_the_gateway_once_and_writes_table_and_summary(tmp_path: Path) -> None:
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "manifest.toml").write_text(_MANIFEST, encoding="utf-8")
    (model_dir / "model.safetensors").write_bytes(b"weights")
    folder = tmp_path / "out"
    arguments = [
        "facts",
        "--model",
        str(model_dir),
        "--seed",
        "7",
        "--count",
        "2",
        "--follow-ups",
        "0",
        "--out",
        str(folder),
    ]
    wire = Wire()
    async with served(wire) as gateway:
        command = [*arguments, "--url", str(gateway.base_url)]
        result = await asyncio.to_thread(CliRunner().invoke, evaluation_cli.main, command)
        again = await asyncio.to_thread(CliRunner().invoke, evaluation_cli.main, command)
    assert len(wire.asked) == _ALL
    assert again.exit_code == 0, again.output
    assert result.exit_code == 0, result.output
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert table in result.output
    assert "| figures | 2 | 2 | 2 | 2 | 2 |" in table
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["settings"] == {
        "model": "some-model",
        "revision": "1",
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
        "figures": "synthetic heldout",
        "first_seed": 7,
        "count": 2,
    }
    assert summary["follow_ups"] == {}
    assert summary["columns"]["caption + OCR"]["scores"].keys() == set(METRICS)


@pytest.mark.parametrize(("key", "said"), [("lg_right", None), ("lg_wrong", "unauthorized"), (None, "unauthorized")])
async def test_the_command_sends_the_key_of_the_environment(tmp_path: Path, key: str | None, said: str | None) -> None:
    (tmp_path / "manifest.toml").write_text(_MANIFEST, encoding="utf-8")
    arguments = ["facts", "--model", str(tmp_path), "--count", "1", "--follow-ups", "0", "--out", str(tmp_path / "out")]
    async with served(Wire(key="lg_right")) as gateway:
        command = [*arguments, "--url", str(gateway.base_url)]
        runner = CliRunner(env={"LLAVA_GRAPH_KEY": key})
        result = await asyncio.to_thread(runner.invoke, evaluation_cli.main, command)
    assert result.exit_code == (0 if said is None else 1), result.output
    assert said is None or said in result.output


def test_the_command_says_why_it_cannot_measure(tmp_path: Path) -> None:
    result = CliRunner().invoke(evaluation_cli.main, ["facts", "--model", str(tmp_path), "--out", str(tmp_path / "o")])
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
