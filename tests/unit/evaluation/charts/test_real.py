"""The manifest of real figures is complete, and only the files that were labelled are taken."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from evaluation.suites.charts import truth
from evaluation.suites.charts.real import Clones, FetchError, RealFigure, fetch, manifest
from evaluation.suites.charts.truth import TruthFigure

FIGURES = manifest()


def test_manifest_holds_enough_figures_of_each_kind_in_both_splits() -> None:
    counts = Counter((figure.truth.split, figure.truth.panels[0].kind) for figure in FIGURES)
    assert len(FIGURES) >= 80
    for split in ("dev", "test"):
        assert sum(n for (of, _), n in counts.items() if of == split) >= 40
        assert counts[split, "line"] >= 15
        assert counts[split, "other"] >= 10


def test_each_figure_stands_once_in_the_manifest() -> None:
    for key in ("id", "file"):
        assert max(Counter(getattr(figure.truth, key) for figure in FIGURES).values()) == 1
    assert max(Counter((figure.repository, figure.path) for figure in FIGURES).values()) == 1


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.truth.id)
def test_entry_of_the_manifest_is_complete(figure: RealFigure) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", figure.repository)
    assert re.fullmatch(r"[0-9a-f]{40}", figure.commit)
    assert re.fullmatch(r"[0-9a-f]{64}", figure.sha256)
    assert Path(figure.path).suffix == Path(figure.truth.file).suffix
    for panel in figure.truth.panels:
        for series in panel.series:
            assert len(panel.series) == 1 or series.name
            values = [fact.y for fact in series.facts if fact.kind in ("first", "last", "maximum", "minimum")]
            assert series.points or series.facts
            assert all(value is not None for value in values)
            if {fact.kind for fact in series.facts} >= {"maximum", "minimum"}:
                labelled = {fact.kind: fact.y or 0.0 for fact in series.facts if fact.kind != "trend"}
                assert labelled["minimum"] == min(labelled.values())
                assert labelled["maximum"] == max(labelled.values())


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    """A folder with a clone of owner/name that holds one file."""
    repository = tmp_path / "clones" / "owner" / "name"
    repository.mkdir(parents=True)
    (repository / "a.png").write_bytes(b"pixels")
    for command in (["init", "-q"], ["add", "a.png"], ["commit", "-qm", "Add a figure"]):
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", "-C", str(repository), *who, *command], check=True)
    return tmp_path / "clones"


def test_file_with_the_right_hash_is_taken_and_others_are_named(
    clones: Path, tmp_path: Path, two_curves: TruthFigure
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    right = RealFigure("owner/name", "0" * 40, "a.png", hashlib.sha256(b"pixels").hexdigest(), two_curves)
    changed = dataclasses.replace(
        right, sha256="0" * 64, truth=dataclasses.replace(two_curves, id="changed", file="b.png")
    )
    absent = dataclasses.replace(right, path="c.png", truth=dataclasses.replace(two_curves, id="absent", file="c.png"))
    missing = fetch([right, changed, absent], Clones(clones), out)
    assert set(missing) == {"changed", "absent"}
    assert truth.load(out) == [two_curves]
    assert sorted(path.name for path in out.iterdir()) == [two_curves.file, truth.TRUTH_FILE]


def test_repository_without_a_clone_is_said(clones: Path) -> None:
    with pytest.raises(FetchError, match="owner/other"):
        Clones(clones).get("owner/other", "HEAD", "a.png")
