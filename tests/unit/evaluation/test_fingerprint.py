"""Fingerprints: a run goes on as the same run or not at all, and comparisons say in what runs differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.errors import InputError, MismatchError
from evaluation.fingerprint import Fingerprint, compared, fingerprint_path, learnt, load, resumed, save
from tests.fakes.evaluation_files import lines

BASE = Fingerprint("answers", model="m", context="all", questions_sha256="q", sampling={"temperature": 0.0})


def test_fingerprint_survives_its_file(tmp_path: Path) -> None:
    rows = tmp_path / "answers.jsonl"
    save(BASE, rows)
    assert fingerprint_path(rows).name == "answers.fingerprint.json"
    assert load(rows) == BASE


def test_run_with_another_sampling_is_not_resumed(tmp_path: Path) -> None:
    rows = tmp_path / "answers.jsonl"
    resumed(rows, BASE)
    other = Fingerprint("answers", model="m", context="all", questions_sha256="q", sampling={"temperature": 0.7})
    with pytest.raises(MismatchError, match="Differing: sampling"):
        resumed(rows, other)


def test_rows_without_a_fingerprint_are_not_resumed(tmp_path: Path) -> None:
    rows = lines(tmp_path / "answers.jsonl", [{"question_id": 1}])
    with pytest.raises(MismatchError, match="without a fingerprint"):
        resumed(rows, BASE)


def test_what_is_not_known_at_the_start_is_kept_from_the_earlier_part(tmp_path: Path) -> None:
    rows = tmp_path / "answers.jsonl"
    save(BASE, rows)
    again = Fingerprint("answers", context="all", questions_sha256="q", sampling={"temperature": 0.0})
    assert resumed(rows, again).model == "m"


def test_endpoint_that_becomes_another_model_ends_the_run() -> None:
    first = learnt(Fingerprint("answers"), model="m1", revision=None)
    assert (first.model, first.revision) == ("m1", None)
    with pytest.raises(MismatchError, match="changed during the run: model: m1 / m2"):
        learnt(first, model="m2")


def test_runs_on_other_pixels_are_compared_only_by_permission() -> None:
    other = Fingerprint("answers", model="n", context="all", questions_sha256="q", pixels_sha256="x")
    with pytest.raises(MismatchError, match="--differing pixels_sha256"):
        compared(BASE, other)
    found = compared(BASE, other, ["pixels_sha256"])
    assert found is not None
    assert {item.name for item in found} == {"model", "pixels_sha256", "sampling"}


def test_file_of_another_shape_is_no_fingerprint() -> None:
    with pytest.raises(InputError, match="no fingerprint"):
        Fingerprint.from_json({"kind": "answers", "format": 99})
