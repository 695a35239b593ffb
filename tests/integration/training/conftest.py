"""What the tests of training share: parts of a LLaVA and samples, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.integration.training.small_llava import write_parts, write_samples


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lm`, `tower` and `built/train`."""
    folder = tmp_path_factory.mktemp("room")
    write_parts(folder)
    write_samples(folder)
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the processes that are compared with have it: the order of additions is that of the threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
