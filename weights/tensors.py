"""A tensor that is read row by row when it is written. Knows no files, no names and no models.

A row is an index of the first dimension; a tensor without dimensions has one row. Reading by rows lets operations
compose (cast, difference, LoRA's product, appended rows) while memory stays at one piece of each operand.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PIECE_BYTES = 1 << 20
"""How much of a tensor is in memory at a time.

Pieces of 8 MB took three times the memory (at the peak 0.95 GB instead of 0.33, on a delta of 2.5 GB): pieces of
different sizes leave gaps between them that the allocator does not give back.
"""


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """A tensor of `shape` whose rows `read(first, count)` gives: [count, *shape[1:]], or [1] for a scalar.

    Writers read from the first row to the last, each row once; `checked` relies on that order.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[int, int], Tensor]

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.elements * self.dtype.itemsize

    def pieces(self) -> Iterator[Tensor]:
        """All rows in order, about PIECE_BYTES at a time."""
        if not self.elements:
            return
        step = max(1, PIECE_BYTES * self.rows // self.nbytes)
        for first in range(0, self.rows, step):
            yield self.read(first, min(step, self.rows - first))

    def collect(self) -> Tensor:
        """The whole tensor in memory: for what is small, such as a projector."""
        if not self.elements:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.cat([piece.reshape(-1) for piece in self.pieces()]).reshape(self.shape)

    def cast(self, dtype: torch.dtype) -> LazyTensor:
        """Floating-point values in another type; whole numbers and booleans stay what they are."""
        if dtype == self.dtype or not self.dtype.is_floating_point:
            return self
        return LazyTensor(dtype, self.shape, lambda first, count: self.read(first, count).to(dtype))

    def checked(self, verify: Callable[[str], None]) -> LazyTensor:
        """The same tensor; `verify` gets the SHA-256 of its bytes when the last row has been read, and may raise."""
        digest = hashlib.sha256()
        seen = 0

        def read(first: int, count: int) -> Tensor:
            nonlocal digest, seen
            if first == 0:
                digest, seen = hashlib.sha256(), 0
            rows = self.read(first, count)
            digest.update(as_bytes(rows))
            seen += count
            if seen == self.rows:
                verify(digest.hexdigest())
            return rows

        return LazyTensor(self.dtype, self.shape, read)

    def sha256(self) -> str:
        """SHA-256 of the tensor's bytes in row-major order, little-endian: the same in whatever file it lies."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(as_bytes(piece))
        return digest.hexdigest()


def in_memory(tensor: Tensor) -> LazyTensor:
    """A tensor that is in memory already; read through `tensor` itself, not a copy."""
    tensor = tensor.detach()
    rows = tensor if tensor.dim() else tensor.reshape(1)
    return LazyTensor(tensor.dtype, tuple(tensor.shape), lambda first, count: rows[first : first + count])


def computed(dtype: torch.dtype, shape: tuple[int, ...], make: Callable[[], Tensor]) -> LazyTensor:
    """A small tensor that `make` gives whole when its first row is asked for."""
    made: list[Tensor] = []

    def read(first: int, count: int) -> Tensor:
        if not made:
            made.append(make().to(dtype).reshape(shape))
        return made[0][first : first + count]

    return LazyTensor(dtype, shape, read)


def with_rows_appended(tensor: LazyTensor, rows: int) -> LazyTensor:
    """`tensor` [N, D] with mean rows up to [rows, D].

    The mean of the output embedding's rows scores every context with the mean of the logits, so that greedy decoding
    never prefers an added token to all others.
    """
    old, width = tensor.shape
    made: list[Tensor] = []

    def mean() -> Tensor:
        if not made:
            total = torch.zeros(width, dtype=torch.float64)
            for piece in tensor.pieces():
                total += piece.sum(dim=0, dtype=torch.float64)
            made.append((total / old).to(tensor.dtype))
        return made[0]

    def read(first: int, count: int) -> Tensor:
        kept = max(0, min(old - first, count))
        parts = [tensor.read(first, kept)] if kept else []
        if count > kept:
            parts.append(mean().expand(count - kept, width))
        return torch.cat(parts)

    return LazyTensor(tensor.dtype, (rows, width), read)


def first_rows(tensor: LazyTensor, rows: int) -> LazyTensor:
    """The first `rows` rows of `tensor`."""
    return LazyTensor(tensor.dtype, (rows, *tensor.shape[1:]), tensor.read)


def with_rows_replaced(tensor: LazyTensor, start: int, rows: Tensor) -> LazyTensor:
    """`tensor` [N, D] with the rows from `start` on replaced by `rows` [K, D]."""

    def read(first: int, count: int) -> Tensor:
        piece = tensor.read(first, count).clone()
        low, high = max(first, start), min(first + count, start + len(rows))
        if low < high:
            piece[low - first : high - first] = rows[low - start : high - start].to(tensor.dtype)
        return piece

    return LazyTensor(tensor.dtype, tensor.shape, read)


def as_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor in row-major order; no copy where the tensor is contiguous."""
    flat: NDArray[np.uint8] = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return flat.data
