"""The stream of batches that training reads: grouped by modality and length, the same for any number of ranks, and
resumable at the very next batch.

1. Rows are read in the source's order for (seed, epoch), a window at a time, and encoded. What cannot be trained on is
   counted (counts.py).
2. Samples with and without an image are kept apart, so that no rank has an image in a step where another has none: the
   collectives of FSDP and ZeRO-3 would wait for ever. In each group, samples of like lengths make a global batch.
3. Of a global batch each rank takes every world-th sample and makes its pixels.

Every rank reads and encodes all rows, so that all agree on every batch without talking; the number of ranks changes who
trains on what, not what is trained on. A row of 1,000 tokens takes 2.6 ms of a core: a worker keeps up with some 380
samples a second over all ranks. What is left of a window waits for the next. The position after a batch is where the
window began, what waited then, and how many of the window's batches were given: resuming reads one window again.

The stream is for a DataLoader with `batch_size=None` and at most one worker. It shards by itself: it must not be given
to accelerate to shard again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from data.shards import Position
from llava_graph.figure import FigureError
from training.collator import Batch
from training.counts import count
from training.encoding import IGNORED, EncodedSample, Encoder, Modality
from training.errors import SampleError, StreamError
from training.images import Images
from training.sources import RawSample, Source

_MODALITIES: tuple[Modality, ...] = ("image", "text")

Place = tuple[int, int, int]
"""Epoch, shard and row of a sample in its source's order."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """`rows_per_rank` rows of `world` ranks make a global batch: samples, or with `packing` rows of up to the encoder's
    max_length tokens. `window` is in global batches; lengths are matched within one. `epochs` is None for a stream
    without end, which training wants: the number of steps then says when to stop.
    """

    rows_per_rank: int
    world: int = 1
    rank: int = 0
    seed: int = 0
    packing: bool = False
    window: int = 16
    epochs: int | None = None

    @property
    def global_rows(self) -> int:
        return self.rows_per_rank * self.world


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An encoded sample and where it was read."""

    place: Place
    sample: EncodedSample


_Row = tuple[_Waiting, ...]


class SampleStream(IterableDataset[Batch]):
    """Batches of one rank. Iterating goes on where the stream stands; a batch carries the position after it.

    stream = SampleStream(source, encoder, images, StreamSettings(rows_per_rank=4))
    for batch in stream: ...
    stream.load_state_dict(batch.position)      # in a later process: goes on with the next batch
    """

    def __init__(self, source: Source, encoder: Encoder, images: Images, settings: StreamSettings) -> None:
        """Raises StreamError for an empty source."""
        if len(source) == 0:
            raise StreamError("the data set has no rows")
        if settings.window < 2 or not 0 <= settings.rank < settings.world or settings.rows_per_rank < 1:
            raise StreamError(f"these settings make no batches: {settings}")
        self._source = source
        self._encoder = encoder
        self._images = images
        self._settings = settings
        self._state: dict[str, Any] = self._beginning()

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands in this process, as JSON: after the last batch that was given here. A DataLoader may
        read ahead, and a worker is another process: what to save is `Batch.position` of the last batch trained on."""
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there. Raises StreamError where the position is of other data or another global batch; the
        number of ranks may differ."""
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise StreamError(f"the position belongs to other data or settings: {name} was {state.get(name)!r}")
        self._state = dict(state)

    def __iter__(self) -> Iterator[Batch]:
        """Raises StreamError where a whole epoch gives no batch, or where there are several workers."""
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            raise StreamError("the stream has one order: give the DataLoader at most one worker")
        given_counts = Counter(self._state["given_counts"])
        for state, rows in self._global_batches(with_images=True):
            mine = rows[self._settings.rank :: self._settings.world]
            made = tuple(tuple(self._with_pixels(sample, given_counts) for sample in row) for row in mine)
            counts = Counter(state["counts"]) + given_counts
            self._state = {**state, "given_counts": dict(given_counts), "counts": dict(counts)}
            yield Batch(made, self._state)

    def count_batches(self) -> int:
        """How many batches follow, for a stream with an end. Reads and encodes texts, but no images."""
        if self._settings.epochs is None:
            raise StreamError("a stream without end has no number of batches")
        return sum(1 for _ in self._global_batches(with_images=False))

    def _identity(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "source": self._source.fingerprint,
            "seed": settings.seed,
            "global_rows": settings.global_rows,
            "packing": settings.packing,
            "window": settings.window,
            "max_length": self._encoder.max_length,
            "template": self._encoder.template.name,
        }

    def _beginning(self) -> dict[str, Any]:
        start = {"epoch": 0, "shard": 0, "row": 0, "waiting": [], "given": 0}
        return {**self._identity(), **start, "read_counts": {}, "given_counts": {}, "counts": {}}

    def _global_batches(self, *, with_images: bool) -> Iterator[tuple[dict[str, Any], list[list[EncodedSample]]]]:
        """All ranks' rows of each batch, with the state after it (but for the counts of what was given).

        `read_counts` are as of the window's beginning, which is where resuming reads again; `counts` are for reports.
        """
        state = dict(self._state)
        waiting = [self._again(place, with_images) for place in state["waiting"]]
        skip = state["given"]
        window = _Window(self._source, self._settings, state)
        while True:
            counts = Counter(state["read_counts"])
            fresh = self._read(window, counts, with_images)
            groups, left = self._grouped([*waiting, *fresh], window, state)
            for number, rows in enumerate(groups, 1):
                if number > skip:
                    yield (
                        {**state, "given": number, "counts": dict(counts)},
                        [[entry.sample for entry in row] for row in rows],
                    )
            if window.ended:
                return
            skip = 0
            waiting = left
            state = {
                **state,
                **window.place(),
                "waiting": [list(entry.place) for entry in left],
                "given": 0,
                "read_counts": dict(counts),
            }

    def _read(self, window: _Window, counts: Counter[str], with_images: bool) -> list[_Waiting]:
        """The next window of usable samples."""
        fresh: list[_Waiting] = []
        wanted = self._settings.window * self._settings.global_rows
        while len(fresh) < wanted:
            following = window.following(with_images)
            if following is None:
                break
            place, raw = following
            try:
                sample = self._encoded(raw)
            except SampleError as error:
                count(counts, error.kind)
                continue
            window.useful()
            if raw.neutralised:
                count(counts, "text_neutralised")
            if sample.cut is not None:
                count(counts, sample.cut)
            if not sample.has_image:
                count(counts, "text_only")
            fresh.append(_Waiting(place, sample))
        return fresh

    def _encoded(self, raw: RawSample) -> EncodedSample:
        if raw.error is not None:
            raise SampleError(raw.error)
        size = raw.size
        if raw.image is not None and 0 in size:
            size = self._images.size(raw.image)
        sample = self._encoder.encode(raw.id, raw.turns, self._images.tokens(size) if raw.has_image else None)
        return replace(sample, image=raw.image, size=size)

    def _again(self, place: Sequence[int], with_images: bool) -> _Waiting:
        """A sample that was waiting when the position was taken."""
        epoch, shard, row = place
        _, raw = next(self._source.rows(epoch, Position(shard, row), with_images=with_images))
        return _Waiting((epoch, shard, row), self._encoded(raw))

    def _grouped(
        self, samples: Sequence[_Waiting], window: _Window, state: Mapping[str, Any]
    ) -> tuple[list[list[_Row]], list[_Waiting]]:
        """Global batches in the order in which they are given, and what waits for the next window. At the stream's end
        nothing waits: the last batch of each modality is filled with copies that have nothing to learn."""
        groups: list[list[_Row]] = []
        left: list[_Waiting] = []
        size = self._settings.global_rows
        for modality in _MODALITIES:
            pool = [entry for entry in samples if entry.sample.modality == modality]
            rows = _packed(pool, self._encoder.max_length) if self._settings.packing else [(entry,) for entry in pool]
            whole = len(rows) if window.ended else len(rows) // size * size
            left += [entry for row in rows[whole:] for entry in row]
            chosen = sorted(rows[:whole], key=_row_length)
            groups += [_filled(chosen[start : start + size], size) for start in range(0, whole, size)]
        left.sort(key=lambda entry: entry.place)
        place = (state["epoch"], state["shard"], state["row"])
        random.Random(f"batches-{self._settings.seed}-{place}").shuffle(groups)
        return groups, left

    def _with_pixels(self, sample: EncodedSample, counts: Counter[str]) -> EncodedSample:
        if sample.has_image and sample.image is None and sample.pixels is None:
            count(counts, "image_undecodable")
            return _unlearned(replace(sample, pixels=self._images.nothing(sample.size)))
        if sample.image is None:
            count(counts, "trained")
            return sample
        try:
            pixels = self._images.pixels(sample.image)
        except FigureError:
            # The step goes on with the same shapes on all ranks.
            count(counts, "image_undecodable")
            return _unlearned(replace(sample, image=None, pixels=self._images.nothing(sample.size)))
        count(counts, "trained")
        return replace(sample, image=None, pixels=pixels)


class _Window:
    """Reads on through the epochs of a source, from a state on."""

    def __init__(self, source: Source, settings: StreamSettings, state: Mapping[str, Any]) -> None:
        self.ended = False
        self._source = source
        self._epochs = settings.epochs
        self._epoch: int = state["epoch"]
        self._position = Position(state["shard"], state["row"])
        self._rows: Iterator[tuple[Position, RawSample]] | None = None
        self._useful = True

    def place(self) -> dict[str, int]:
        return {"epoch": self._epoch, "shard": self._position.shard, "row": self._position.row}

    def useful(self) -> None:
        """Says that the epoch gave a sample."""
        self._useful = True

    def following(self, with_images: bool) -> tuple[Place, RawSample] | None:
        """The next row and its place; None at the end of the last epoch. Raises StreamError after an epoch without any
        usable sample."""
        while True:
            if self._epochs is not None and self._epoch >= self._epochs:
                self.ended = True
                return None
            if self._rows is None:
                self._rows = self._source.rows(self._epoch, self._position, with_images=with_images)
            place = (self._epoch, self._position.shard, self._position.row)
            following = next(self._rows, None)
            if following is not None:
                self._position, raw = following
                return place, raw
            if not self._useful:
                raise StreamError("a whole epoch of the data set gave no sample to train on")
            self._epoch, self._position, self._rows, self._useful = self._epoch + 1, Position(), None, False


def _row_length(row: _Row) -> int:
    return sum(entry.sample.length for entry in row)


def _packed(pool: Sequence[_Waiting], max_length: int) -> list[_Row]:
    """Rows of at most `max_length` tokens, first fit from the longest sample on; the fullest rows come first."""
    bins: list[list[_Waiting]] = []
    room: list[int] = []
    for entry in sorted(pool, key=lambda entry: (-entry.sample.length, entry.place)):
        fitting = next((i for i, free in enumerate(room) if free >= entry.sample.length), None)
        if fitting is None:
            bins.append([])
            room.append(max_length)
            fitting = len(bins) - 1
        bins[fitting].append(entry)
        room[fitting] -= entry.sample.length
    order = sorted(range(len(bins)), key=lambda i: (room[i], bins[i][0].place))
    return [tuple(bins[i]) for i in order]


def _filled(rows: Sequence[_Row], size: int) -> list[_Row]:
    """`size` rows: those given, then copies of the shortest with nothing to learn."""
    filler = (replace(rows[0][0], sample=_unlearned(rows[0][0].sample)),)
    return [*rows, *[filler] * (size - len(rows))]


def _unlearned(sample: EncodedSample) -> EncodedSample:
    return replace(sample, labels=[IGNORED] * sample.length)
