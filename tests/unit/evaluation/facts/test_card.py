"""The tables of a model's card: `llava-graph eval card`, the blank image, and the comparison of another run."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from evaluation import cli as evaluation_cli
from evaluation.suites.facts import card
from evaluation.suites.facts.blank import prompt_sha256
from evaluation.suites.facts.measuring import identity
from evaluation.suites.facts.report import Cell
from evaluation.suites.facts.run import BLANK, COLUMNS, FactsError
from evaluation.suites.facts.truth import DrawnByOthers
from tests.paths import REPOSITORY
from tests.unit.evaluation.facts.wire import Wire, served

_MANIFEST = """
name = "some-model"
revision = "1"
context_template = "located"
context_length = 1024
max_new_tokens = 77
"""
_SAMPLE = REPOSITORY / "evaluation/suites/charts/sample"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.toml").write_text(_MANIFEST, encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


async def _asked(wire: Wire, *arguments: str) -> Result:
    async with served(wire) as gateway:
        where = ["--url", str(gateway.base_url).rstrip("/")]
        if arguments[0] == "card":
            where += ["--engine-url", where[1]]
        command = [*arguments, *where, "--seed", "7", "--count", "2", "--follow-ups", "1"]
        return await asyncio.to_thread(CliRunner().invoke, evaluation_cli.main, command)


async def test_a_card_holds_every_column_the_blank_image_and_the_sets(tmp_path: Path, model: Path) -> None:
    out = tmp_path / "card"
    arguments = ("card", "--model", str(model), "--out", str(out), "--set", str(_SAMPLE), "--set-count", "3")
    wire = Wire()
    result = await _asked(wire, *arguments)
    assert result.exit_code == 0, result.output
    text = (out / "card.md").read_text(encoding="utf-8")
    assert f"|  | {' | '.join([*COLUMNS, BLANK])} |" in text
    assert "| figures | 2 | 2 | 2 | 2 | 2 | 2 |" in text
    assert "| figures | 3 | 3 | 3 | 3 | 3 |" in text
    assert "--count 2 --seed 7 --follow-ups 1" in text
    assert "--count 3 --set sample" in text
    asked, blindly = len(wire.asked), len(wire.engine_asked)
    assert (asked, blindly) == (2 * 5 + 3 * 4, 2 + 3)
    again = await _asked(wire, *arguments)
    assert again.exit_code == 0, again.output
    assert (len(wire.asked), len(wire.engine_asked)) == (asked, blindly)


async def test_the_blank_image_is_asked_with_the_prompt_that_was_sent_and_nothing_to_see(
    tmp_path: Path, model: Path
) -> None:
    wire = Wire()
    result = await _asked(wire, "card", "--model", str(model), "--out", str(tmp_path / "card"))
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "card/generated/answers.jsonl").read_text().splitlines()]
    captions = {row["caption"] for row in rows if row["column"] == "all"}
    assert {row["answer"] for row in rows if row["column"] == BLANK} == {"It falls."}
    for asked in wire.engine_asked:
        assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("some-model", 0.0, 77)
        image, text = asked["messages"][0]["content"]
        png = base64.b64decode(image["image_url"]["url"].partition("base64,")[2])
        with Image.open(io.BytesIO(png)) as opened:
            assert (opened.size, opened.convert("L").getextrema()) == ((10, 10), (255, 255))
        assert "Rate" in text["text"]
        assert any(caption in text["text"] for caption in captions)


async def test_an_answer_to_another_prompt_than_the_gateways_does_not_count(tmp_path: Path, model: Path) -> None:
    wire = Wire()
    wire.prompt_sha256 = prompt_sha256([{"role": "user", "content": [{"type": "text", "text": "another"}]}])
    result = await _asked(wire, "card", "--model", str(model), "--out", str(tmp_path / "card"))
    assert result.exit_code == 1
    assert "the gateway's prompt is another than the template located gives" in result.output


async def test_a_run_says_that_it_agrees_with_the_card_of_the_same_model(tmp_path: Path, model: Path) -> None:
    kept = await _asked(Wire(), "card", "--model", str(model), "--out", str(tmp_path / "card"), "--keep")
    assert kept.exit_code == 0, kept.output
    result = await _asked(Wire(), "facts", "--model", str(model), "--out", str(tmp_path / "run"))
    assert result.exit_code == 0, result.output
    assert "10 of 10 answers scored exactly as the card's about the same figures." in result.output
    compared = card.compare(*(card.load(model)[0],) * 2)
    judged = sum(each.agrees is not None for each in compared if each.column != BLANK)
    assert f"{judged} of {judged} scores agree with the card" in result.output

    (model / "model.safetensors").write_bytes(b"other weights")
    other = await _asked(Wire(), "facts", "--model", str(model), "--out", str(tmp_path / "other"))
    assert "is of another weights_sha256 than was measured here: not compared" in other.output


async def test_a_model_without_a_card_is_measured_all_the_same(tmp_path: Path, model: Path) -> None:
    result = await _asked(Wire(), "facts", "--model", str(model), "--out", str(tmp_path / "run"))
    assert result.exit_code == 0, result.output
    assert "has no measured/card.json" in result.output


async def test_a_score_outside_the_cards_interval_is_named(tmp_path: Path, model: Path) -> None:
    await _asked(Wire(), "card", "--model", str(model), "--out", str(tmp_path / "card"), "--keep")
    (found,) = card.load(model)
    column = found.columns["all"]
    better = replace(column, cells={**column.cells, "trend_right": Cell(95, 100, 0.95, 0.89, 0.98)})
    worse = replace(column, cells={**column.cells, "trend_right": Cell(10, 100, 0.1, 0.05, 0.17)})
    here, cards = (replace(found, columns={"all": one}) for one in (worse, better))
    text = card.comparison(here, [cards], model)
    assert "- not trend statements right under all: 10.0 % (5.0–17.0), n = 100 here" in text
    assert "10 % / 95 % ≠" in text
    assert "≠" not in card.comparison(here, [here], model)


def test_a_card_of_another_shape_is_refused(model: Path) -> None:
    (model / card.MEASURED_FILE).parent.mkdir()
    (model / card.MEASURED_FILE).write_text('{"sets": [{"settings": {}}]}', encoding="utf-8")
    with pytest.raises(FactsError, match=r"measured/card\.json"):
        card.load(model)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "model_repo").glob(f"*/{card.MEASURED_FILE}")), ids=str)
def test_card_in_the_repository_is_of_the_weights_beside_it(file: Path) -> None:
    model_dir = file.parent.parent
    for one in card.load(model_dir):
        assert {name: one.settings[name] for name in card.IDENTITY} == identity(model_dir)


def test_some_figures_of_a_set_are_taken_evenly_from_all_its_tools() -> None:
    every = DrawnByOthers(_SAMPLE, 100).ids
    some = DrawnByOthers(_SAMPLE, 3).ids
    assert len(some) == 3 < len(every)
    assert [every.index(name) for name in some] == [0, len(every) // 3, 2 * len(every) // 3]
