"""Which errors say that the machine has run out of something."""

from __future__ import annotations

import errno
import os

import pytest
from starlette.exceptions import HTTPException

from service.errors import Overloaded
from service.exhaustion import exhausted


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM])
def test_what_runs_out_is_told_and_may_be_tried_again(number: int) -> None:
    refusal = exhausted(OSError(number, os.strerror(number), "/a/path"))
    assert isinstance(refusal, Overloaded)
    assert refusal.retryable
    assert "/a/path" not in refusal.detail


def test_what_another_error_came_of_counts() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError as error:
            raise HTTPException(400, "There was an error parsing the body") from error
    except HTTPException as error:
        assert exhausted(error) is not None


def test_no_folder_for_temporary_files_is_a_full_disk() -> None:
    assert exhausted(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")) is not None


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "no", "/a"), PermissionError(errno.EACCES, "no"), ValueError("no"), OSError()],
)
def test_other_errors_are_none_of_these(error: Exception) -> None:
    assert exhausted(error) is None
