"""From an uploaded file to a checked, upright figure: decoding off the event loop, with a bound on how much at once.

Pixels take many times the memory of the file that holds them, so no more images are decoded at a time than there are
threads here, and no more wait than the queue holds. What makes an image acceptable is llava_graph.figure's to say.
"""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from llava_graph.figure import FigureError, FigureLimits, open_figure
from service.errors import FigureRefused, Overloaded


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
    """Opens uploads on `threads` threads of its own, with up to `queue` waiting. Close it with `close()`."""

    def __init__(self, limits: FigureLimits, *, threads: int, queue: int) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._most = threads + queue
        self._taken = 0

    async def open(self, data: bytes) -> OpenedFigure:
        """Raises FigureRefused for what is no acceptable image, Overloaded when too many are waiting."""
        if self._taken >= self._most:
            raise Overloaded(f"{self._taken} images are being decoded or wait for it")
        self._taken += 1
        job = self._pool.submit(_open, data, self._limits)
        # The thread, not the request, gives the place back: a request that is cancelled does not stop its thread.
        loop = asyncio.get_running_loop()
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back))
        try:
            return await asyncio.wrap_future(job)
        except FigureError as error:
            raise FigureRefused(error) from error

    def close(self) -> None:
        """Does not wait for images that are being decoded: their requests are gone."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _give_back(self) -> None:
        self._taken -= 1


def _open(data: bytes, limits: FigureLimits) -> OpenedFigure:
    figure = open_figure(data, limits)
    return OpenedFigure(figure.id, figure.width, figure.height, figure.png())
