"""What can go wrong with training data, as one tree.

    DataError
        FormatError    a source is not what its reader reads: file and place are in the message
        ShardError     a folder of shards is missing, incomplete, damaged, or not the one that a position belongs to
        StageError     an output folder holds the work of other settings, or a part of the work failed
        BuildError     a promise about the built data does not hold, for example a paper in two splits
        OcrError       the OCR service cannot be used at all
        DialogueError  the endpoint of the dialogue model cannot be used at all

One bad row among good ones raises none of these: it is counted (see tally.py).
"""

from __future__ import annotations


class DataError(Exception):
    """The words are for the person who runs the command."""


class FormatError(DataError):
    """A source is not in the format that its reader reads."""


class ShardError(DataError):
    """A folder of shards cannot be read, or a position does not belong to it."""


class StageError(DataError):
    """A stage cannot go on: its folder belongs to other settings, or the work on a shard failed."""


class BuildError(DataError):
    """Something that the built data promise does not hold."""


class OcrError(DataError):
    """Nothing reads figures where the command was told to ask."""


class DialogueError(DataError):
    """The language model's endpoint refuses all requests, or cannot be reached."""
