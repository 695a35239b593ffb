"""What can go wrong in training, as one tree.

    TrainingError
        TemplateError   a conversation format cannot be used with this tokenizer or chat template
        SampleError     one sample cannot be trained on; `kind` says why, and it is counted (see counts.py)
        StreamError     a data set cannot be streamed, or a saved position does not belong to it

One bad sample among good ones stops nothing: SampleError never leaves samples.py.
"""

from __future__ import annotations


class TrainingError(Exception):
    """The words are for the person who runs the command."""


class TemplateError(TrainingError):
    """A conversation format cannot be used with this tokenizer or chat template."""


class SampleError(TrainingError):
    """One sample cannot be trained on. `kind` is one of counts.KINDS."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class StreamError(TrainingError):
    """A data set cannot be streamed, or a position does not belong to it."""
