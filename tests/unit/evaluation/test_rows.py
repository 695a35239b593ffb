"""JSONL files: nothing is skipped, nothing is joined by place, and a stopped run leaves a file that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.errors import InputError, MismatchError
from evaluation.rows import RowFile, by_id, joined, read_rows, row_id


def test_broken_line_is_named_by_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question_id": 1}\n\n{"question_id": \n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 3: no JSON"):
        read_rows(path)


def test_a_row_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("[1]\n")
    with pytest.raises(InputError, match="line 1: list instead of an object"):
        read_rows(path)


def test_unicode_line_separators_do_not_end_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one\u2028two"}\n', encoding="utf-8")
    assert read_rows(path) == [{"text": "one\u2028two"}]


@pytest.mark.parametrize("value", [None, True, 1.5, "", [1]])
def test_unusable_ids_are_refused(value: object) -> None:
    with pytest.raises(InputError, match="no usable question_id"):
        row_id({"question_id": value})


def test_number_and_text_of_one_id_are_one_id() -> None:
    with pytest.raises(InputError, match="7 comes twice"):
        by_id([{"question_id": 7}, {"question_id": "7"}], "answers")


def test_mismatch_names_both_sides() -> None:
    left, right = by_id([{"question_id": 1}], "a"), by_id([{"question_id": 2}], "b")
    with pytest.raises(MismatchError, match=r"1 ids of a are not in b \(1\); 1 ids of b are not in a \(2\)"):
        joined(left, "a", right, "b")


def test_torn_last_line_of_a_stopped_run_is_cut_off_for_good(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"question_id": 1}\n{"question_id": 2, "te')
    rows = RowFile(path)
    assert rows.rows == [{"question_id": 1}]
    rows.add({"question_id": 2})
    assert read_rows(path) == [{"question_id": 1}, {"question_id": 2}]
