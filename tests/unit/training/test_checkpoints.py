"""A checkpoint has its name when it is complete, and loses it before anything of it is removed."""

from __future__ import annotations

import json
from pathlib import Path

from training.checkpoints import PARTIAL, clear, complete, finish


def written(out: Path, step: int) -> str:
    """A checkpoint as the trainer leaves it before it is finished."""
    folder = out / PARTIAL / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in ("trainer_state.json", "position.json"):
        (folder / name).write_text(json.dumps({"step": step}))
    return folder.name


def test_checkpoint_appears_when_finished_and_older_ones_go(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        name = written(tmp_path, step)
        assert name not in [path.name for path in complete(tmp_path)]
        finish(tmp_path, name, keep=2)
    assert [path.name for path in complete(tmp_path)] == ["checkpoint-4", "checkpoint-10"]
    assert list((tmp_path / PARTIAL).iterdir()) == []


def test_folder_that_lacks_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    finish(tmp_path, written(tmp_path, 2), keep=1)
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-x").mkdir()
    assert [path.name for path in complete(tmp_path)] == ["checkpoint-2"]


def test_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    finish(tmp_path, written(tmp_path, 2), keep=1)
    (tmp_path / "checkpoint-2" / "stale").touch()
    finish(tmp_path, written(tmp_path, 2), keep=1)
    assert not (tmp_path / "checkpoint-2" / "stale").exists()


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    written(tmp_path, 2)
    clear(tmp_path)
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []
