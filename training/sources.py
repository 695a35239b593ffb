"""Where samples come from: a folder of shards that `llava-graph data build` wrote, or a LLaVA list-JSON with its
images.

A source gives raw samples in an order that (seed, epoch) decides, each with the position after it, and can begin at any
position. Nothing here tokenises or decodes an image.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from data import record as records
from data.build.prompts import as_read
from data.errors import DataError
from data.images import ImageMissingError, ImagePlaces, UnsafeNameError
from data.readers import READERS
from data.readers.base import Source as ReaderSource
from data.shards import Position, ShardStream, row_count, shard_paths
from data.tally import Tally
from llava_graph.context import Turn
from training.errors import StreamError

BEGINNING = Position()


@dataclass(frozen=True, slots=True)
class RawSample:
    """A conversation with its image's bytes. `error` is a kind of counts.KINDS that makes the sample unusable.

    `image` is None for text alone, and where images were not asked for (`has_image` tells). `size` is width and height
    in pixels, 0 where the source does not say.
    """

    id: str
    turns: tuple[Turn, ...]
    has_image: bool
    image: bytes | None = field(default=None, repr=False)
    size: tuple[int, int] = (0, 0)
    neutralised: bool = False
    error: str | None = None


class Source(Protocol):
    """Samples in an order of their own for each epoch."""

    @property
    def fingerprint(self) -> str:
        """Changes when positions would mean other samples."""
        ...

    def __len__(self) -> int:
        """Rows, whether they can be trained on or not."""
        ...

    def rows(
        self, epoch: int, start: Position = BEGINNING, *, with_images: bool = True
    ) -> Iterator[tuple[Position, RawSample]]:
        """Each row from `start` on with the position after it. Raises StreamError where the data cannot be read."""
        ...


class Shards:
    """The shards of one split, as `llava-graph data build` writes them. Without a seed, in their own order."""

    def __init__(self, folder: Path, seed: int | None) -> None:
        """Raises StreamError where there is no shard."""
        self._folder = folder
        self._seed = seed
        try:
            self._rows = sum(row_count(path) for path in shard_paths(folder))
            self.fingerprint = str(self._stream(0, Position(), None).state(Position())["folder"])
        except DataError as error:
            raise StreamError(str(error)) from error

    def __len__(self) -> int:
        return self._rows

    def rows(
        self, epoch: int, start: Position = BEGINNING, *, with_images: bool = True
    ) -> Iterator[tuple[Position, RawSample]]:
        columns = ["id", "conversations", "width", "height", "image" if with_images else "image.path"]
        try:
            for position, row in self._stream(epoch, start, columns):
                yield position, _of_row(row)
        except DataError as error:
            raise StreamError(str(error)) from error

    def _stream(self, epoch: int, start: Position, columns: Sequence[str] | None) -> ShardStream:
        return ShardStream(self._folder, start=start, seed=self._seed, epoch=epoch, columns=columns)


def _of_row(row: Mapping[str, Any]) -> RawSample:
    sample_id = str(row["id"])
    image = row["image"]
    try:
        turns = records.turns_from_json(row["conversations"])
    except (KeyError, TypeError, ValueError):
        return RawSample(sample_id, (), image is not None, error="row_unreadable")
    content = None if image is None else image.get("bytes")
    size = (row["width"] or 0, row["height"] or 0)
    return RawSample(sample_id, turns, image is not None, content, size)


class ListJson:
    """A LLaVA list-JSON, read by the reader that `llava-graph data read llava-json` uses; `tally` holds what was
    irregular.

    The file may be larger than memory: its records are put into a temporary file, where any of them can be read.
    `images` are folders and zip archives. Texts of others are made harmless (llava_graph.context.harmless).
    """

    def __init__(self, path: Path, images: Sequence[Path], seed: int | None) -> None:
        """Raises StreamError."""
        self.tally = Tally()
        self._seed = seed
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the source
        self._ends = [0]
        digest = hashlib.sha256()
        try:
            self._places = ImagePlaces(images)
            for found in READERS["llava-json"].records(ReaderSource(path), self.tally):
                line = json.dumps(records.to_json(found), ensure_ascii=False).encode()
                digest.update(line)
                self._file.write(line)
                self._ends.append(self._ends[-1] + len(line))
        except DataError as error:
            raise StreamError(str(error)) from error
        self._file.flush()
        self.fingerprint = digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def rows(
        self, epoch: int, start: Position = BEGINNING, *, with_images: bool = True
    ) -> Iterator[tuple[Position, RawSample]]:
        order = list(range(len(self)))
        if self._seed is not None:
            random.Random(f"rows-{self._seed}-{epoch}").shuffle(order)
        for row in range(start.row, len(order)):
            yield Position(0, row + 1), self._sample(order[row], with_images)

    def _sample(self, number: int, with_images: bool) -> RawSample:
        # Positioned reads: worker processes share the file, and would move one another's place in it.
        start, end = self._ends[number : number + 2]
        found = records.from_json(json.loads(os.pread(self._file.fileno(), end - start, start)))
        worded = as_read(found.conversations)
        if found.figure is None:
            return RawSample(found.id, worded.turns, False, neutralised=worded.neutralised > 0)
        # Read in any case: whether the image is there decides whether the sample is.
        try:
            content = self._places.read(found.figure.name)
        except (ImageMissingError, UnsafeNameError, OSError):
            return RawSample(found.id, (), True, error="image_missing")
        image = content if with_images else None
        return RawSample(found.id, worded.turns, True, image, neutralised=worded.neutralised > 0)
