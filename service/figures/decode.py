"""Decodes uploads to checked, upright figures: in other processes, with bounds on concurrency and memory.

    the file is known          its figure is at hand
    all decoders are at work   it waits in a bounded queue, fair between callers (service/turns.py)
    a decoder is free          the file goes to a process that can be killed (service/figures/decoder_pool.py)
    figures fill their memory  it is refused as overloaded (service/figures/room.py)

Decoding and encoding are most of what the gateway costs, and the same file often comes again with another question, so
the figures of the last files are at hand, within a bound too. What makes an image acceptable is llava_graph.figure's to
say.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from opentelemetry.trace import SpanKind, Tracer

from llava_graph.figure import FigureError, FigureLimits
from llava_graph.tracing import NO_TRACES, in_span
from service.errors import FigureRefused
from service.figures.decoder_pool import DecoderPool
from service.figures.figure_room import FigureRoom
from service.middleware.callers import bucket_of_request
from service.turns import Turns

_MIB = 1024 * 1024

_LARGEST_KNOWN_FILE_BYTES = _MIB
"""Larger files are not looked for among the known: to hash them would hold the event loop for milliseconds."""


class _ImagePart(dict[str, object]):
    """A content part that a FigureRoom can count: plain dictionaries do not say when they are freed."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EncodedFigure:
    """A figure as the gateway holds it while it is explained: encoded, because its pixels would be much larger."""

    figure_id: str
    """Hash of the pixels (llava_graph.figure.Figure.id): what the OCR queue knows the figure by."""
    width: int
    height: int
    """Pixels of the upright image that was sent."""
    png: bytes = field(repr=False)
    """Of those pixels; of fewer where their PNG would be larger than the bound (llava_graph.figure.within_bytes)."""
    room: FigureRoom | None = field(default=None, compare=False, repr=False)
    """Where its bytes are counted, and those of what is made of it."""

    def image_part(self) -> dict[str, object]:
        """The content part of a chat message that carries the figure to an engine."""
        encoded = base64.b64encode(self.png).decode("ascii")
        part = _ImagePart(type="image_url", image_url={"url": f"data:image/png;base64,{encoded}"})
        if self.room is not None:
            self.room.count(part, len(encoded), bucket_of_request())
        return part


def counted(figure_id: str, width: int, height: int, png: bytes, room: FigureRoom) -> EncodedFigure:
    """A figure in hand for the caller of this request. `room` has been asked whether there is any."""
    figure = EncodedFigure(figure_id, width, height, png, room)
    room.count(figure, len(png), bucket_of_request())
    return figure


class FigureOpener:
    """Opens uploads in `processes` processes of its own, with up to `queue` waiting, and knows the figures of the last
    files, `known_bytes` of them. Close it with `close()`."""

    def __init__(
        self,
        limits: FigureLimits,
        *,
        processes: int,
        queue: int,
        known_bytes: int,
        queue_bytes: int = 128 * _MIB,
        wait_s: float = 30.0,
        deadline_s: float = 20.0,
        max_png_bytes: int = 8 * _MIB,
        room: FigureRoom | None = None,
        tracer: Tracer = NO_TRACES,
    ) -> None:
        """`deadline_s` is how long one image may be decoded, `wait_s` how long it may wait for that."""
        self._tracer = tracer
        self._decoders = DecoderPool(limits, max_png_bytes=max_png_bytes, deadline_s=deadline_s)
        self._turns = Turns("decoded", places=processes, waiting=queue, waiting_bytes=queue_bytes, wait_s=wait_s)
        self._room = room or FigureRoom(1024 * _MIB)
        self._known = _Known(known_bytes)

    @property
    def decoder_pids(self) -> list[int]:
        return self._decoders.pids

    async def open(self, data: bytes | str) -> EncodedFigure:
        """The figure in a file, or in base64 (a str) of a file. Raises FigureRefused for what is no acceptable image,
        Overloaded when too many are waiting, this one has waited too long, or figures fill their room."""
        if len(data) > _LARGEST_KNOWN_FILE_BYTES:
            return await self._decode(data)
        # Of base64 itself: to decode it first would cost most of what knowing the file saves.
        file_hash = hashlib.sha256(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")).digest()
        figure = self._known.get(file_hash)
        if figure is None:
            figure = await self._decode(data)
            self._known.put(file_hash, figure)
        return figure

    async def _decode(self, data: bytes | str) -> EncodedFigure:
        caller = bucket_of_request()
        self._room.check(caller)
        async with self._turns.turn(caller, len(data)):
            self._room.check(caller)
            with in_span(self._tracer, "decode", SpanKind.INTERNAL, {"llava_graph.file_bytes": len(data)}):
                try:
                    decoded = await self._decoders.decode(data)
                except FigureError as error:
                    raise FigureRefused(error) from error
        return counted(decoded.figure_id, decoded.width, decoded.height, decoded.png, self._room)

    def close(self) -> None:
        """Does not wait for images that are being decoded: their requests are gone."""
        self._decoders.close()


class _Known:
    """Figures by the hash of the file they came in; those asked for longest ago go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._figures: OrderedDict[bytes, EncodedFigure] = OrderedDict()

    def get(self, file_hash: bytes) -> EncodedFigure | None:
        figure = self._figures.get(file_hash)
        if figure is not None:
            self._figures.move_to_end(file_hash)
        return figure

    def put(self, file_hash: bytes, figure: EncodedFigure) -> None:
        if file_hash in self._figures:
            return  # decoded twice at the same time
        self._figures[file_hash] = figure
        self._bytes += len(figure.png)
        while self._bytes > self._most_bytes:
            _, oldest = self._figures.popitem(last=False)
            self._bytes -= len(oldest.png)
