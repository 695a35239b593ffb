"""What can go wrong with weights, as one tree. Every message names the file or tensor and what to do.

WeightsError
├── CheckpointError   a folder or file that is no readable checkpoint: missing, cut off, contradicting itself
├── MismatchError     two checkpoints that do not belong together: another base, another shape, a missing tensor
├── UnsupportedError  readable, but of a kind that this room does not handle
├── TargetError       a target that exists, that is an input as well, or that another process is writing
└── BuildError        a shipped model that cannot be built; its message begins with a code
"""

from __future__ import annotations


class WeightsError(Exception):
    """Any refusal of this room; the command prints its message and exits with 1."""


class CheckpointError(WeightsError):
    """A folder or file that cannot be read as a checkpoint."""


class MismatchError(WeightsError):
    """Two checkpoints that do not belong together; the message names the first difference."""


class UnsupportedError(WeightsError):
    """A checkpoint of a kind that this room does not handle."""


class TargetError(WeightsError):
    """A target that must not, or cannot, be written."""


class BuildError(WeightsError):
    """A shipped model that cannot be built.

    `code` is for scripts: `base_not_fetched`, `base_wrong`, `result_wrong` or `cache_not_writable`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
