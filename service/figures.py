"""From an uploaded file to a checked, upright figure: decoding off the event loop, with a bound on how much at once.

Pixels take many times the memory of the file that holds them, so no more images are decoded at a time than there are
threads here, and no more wait than the queue holds. Decoding and encoding are most of what the gateway costs, and the
same file often comes again with another question, so the figures of the last files are at hand, within a bound too.
What makes an image acceptable is llava_graph.figure's to say.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from opentelemetry.trace import SpanKind, Tracer

from llava_graph.figure import FigureError, FigureLimits, open_figure
from llava_graph.tracing import NO_TRACES, working
from service.errors import FigureRefused, Overloaded

_LARGEST_KNOWN_FILE_BYTES = 1024 * 1024
"""Larger files are not looked for among the known: to hash them would hold the event loop for milliseconds."""

_BASE64_SLICE_CHARS = 1024 * 1024
"""A multiple of 4. Python lets nobody else run while it decodes, which takes 3 ms for this many."""


@dataclass(frozen=True, slots=True)
class OpenedFigure:
    """A figure as the gateway holds it while it is explained: encoded, because its pixels would be much larger."""

    figure_id: str
    """Hash of the pixels (llava_graph.figure.Figure.id): what the OCR queue knows the figure by."""
    width: int
    height: int
    png: bytes

    def image_part(self) -> dict[str, object]:
        """The content part of a chat message that carries the figure to an engine."""
        encoded = base64.b64encode(self.png).decode("ascii")
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


class FigureOpener:
    """Opens uploads on `threads` threads of its own, with up to `queue` waiting, and knows the figures of the last
    files, `known_bytes` of them. Close it with `close()`."""

    def __init__(
        self, limits: FigureLimits, *, threads: int, queue: int, known_bytes: int, tracer: Tracer = NO_TRACES
    ) -> None:
        self._limits = limits
        self._tracer = tracer
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._most = threads + queue
        self._taken = 0
        self._known = _Known(known_bytes)

    async def open(self, data: bytes | str) -> OpenedFigure:
        """The figure in a file, or in base64 (a str) of a file. Raises FigureRefused for what is no acceptable image,
        Overloaded when too many are waiting."""
        if len(data) > _LARGEST_KNOWN_FILE_BYTES:
            return await self._decode(data)
        # Of base64 itself: to decode it first would cost most of what knowing the file saves.
        file_hash = hashlib.sha256(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")).digest()
        figure = self._known.get(file_hash)
        if figure is None:
            figure = await self._decode(data)
            self._known.put(file_hash, figure)
        return figure

    async def _decode(self, data: bytes | str) -> OpenedFigure:
        if self._taken >= self._most:
            raise Overloaded(f"{self._taken} images are being decoded or wait for it")
        self._taken += 1
        job = self._pool.submit(_open, data, self._limits)
        # The thread, not the request, gives the place back: a request that is cancelled does not stop its thread.
        loop = asyncio.get_running_loop()
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back))
        with working(self._tracer, "decode", SpanKind.INTERNAL, {"llava_graph.file_bytes": len(data)}):
            try:
                return await asyncio.wrap_future(job)
            except FigureError as error:
                raise FigureRefused(error) from error

    def close(self) -> None:
        """Does not wait for images that are being decoded: their requests are gone."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _give_back(self) -> None:
        self._taken -= 1


class _Known:
    """Figures by the hash of the file they came in; those asked for longest ago go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._figures: OrderedDict[bytes, OpenedFigure] = OrderedDict()

    def get(self, file_hash: bytes) -> OpenedFigure | None:
        figure = self._figures.get(file_hash)
        if figure is not None:
            self._figures.move_to_end(file_hash)
        return figure

    def put(self, file_hash: bytes, figure: OpenedFigure) -> None:
        if file_hash in self._figures:
            return  # decoded twice at the same time
        self._figures[file_hash] = figure
        self._bytes += len(figure.png)
        while self._bytes > self._most_bytes:
            _, oldest = self._figures.popitem(last=False)
            self._bytes -= len(oldest.png)


def _open(data: bytes | str, limits: FigureLimits) -> OpenedFigure:
    figure = open_figure(data if isinstance(data, bytes) else _from_base64(data), limits)
    return OpenedFigure(figure.id, figure.width, figure.height, figure.png())


def _from_base64(encoded: str) -> bytes:
    """Raises FigureError."""
    data = bytearray()
    try:
        for start in range(0, len(encoded), _BASE64_SLICE_CHARS):
            data += binascii.a2b_base64(encoded[start : start + _BASE64_SLICE_CHARS], strict_mode=True)
    except ValueError as error:  # binascii's own, or one for what is not ASCII
        raise FigureError("image_undecodable", f"The image is not base64: {error}.") from error
    return bytes(data)
