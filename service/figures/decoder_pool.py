"""Pool of decoder processes, the gateway's side: started when first needed, killed past the deadline.

A process is killed, and another started in its place, when an image is not decoded by its deadline, when the request
that sent it is cancelled, and when it breaks. The image is then refused as undecodable, not as a gateway error.
Nothing that such a process prints reaches the log unescaped. service/figures/decode.py limits who decodes and when.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

import structlog

from llava_graph.figure import FigureError, FigureLimits
from service.errors import Overloaded

DECODER = (sys.executable, "-m", "service.figures.decoder")

_START_S = 30.0
"""Python and Pillow load in a third of a second, on a machine that has nothing else to do."""

_MAX_SAID_BYTES = 65536

_COMPLAINTS_KEPT = 500
"""Bytes of what a process printed that the log tells."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, decoded. `width` and `height` are of the upright image; `png` may be of fewer pixels."""

    figure_id: str
    width: int
    height: int
    png: bytes


class DecoderPool:
    """As many processes as images are decoded at once; `decode` keeps no count of that."""

    def __init__(self, limits: FigureLimits, *, max_png_bytes: int, deadline_s: float) -> None:
        self._limits = limits
        self._max_png_bytes = max_png_bytes
        self._deadline_s = deadline_s
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()
        self._closed = False

    async def decode(self, data: bytes | str) -> Decoded:
        """The image in a file, or in base64 (a str) of a file. Raises FigureError, also for what takes longer than the
        deadline or breaks its process; Overloaded when the system gives no process. Cancelling it stops the decoding.
        """
        decoder = self._idle.pop() if self._idle else await self._start()
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await decoder.ask(data, self._max_png_bytes)
        except FigureError:
            self._put_back(decoder)
            raise
        except TimeoutError as error:
            self._end(decoder)
            log.warning("decoder_killed", after_s=self._deadline_s, file_bytes=len(data))
            words = f"Decoding the image takes longer than {self._deadline_s:g} s."
            raise FigureError("image_undecodable", words) from error
        except (asyncio.IncompleteReadError, OSError, ValueError, KeyError, struct.error) as error:
            # It is gone, or what it says makes no sense.
            self._end(decoder)
            log.warning("decoder_broke", status=await decoder.status(), file_bytes=len(data), said=decoder.complaints)
            raise FigureError("image_undecodable", "The image broke its decoder.") from error
        except asyncio.CancelledError:
            self._end(decoder)
            raise
        self._put_back(decoder)
        return answer

    def close(self) -> None:
        """Kills all processes, also those at work: their requests are gone."""
        self._closed = True
        for decoder in tuple(self._all):
            self._end(decoder)
        self._idle.clear()

    @property
    def pids(self) -> list[int]:
        return [decoder.pid for decoder in self._all]

    async def _start(self) -> _Decoder:
        limits = self._limits
        bounds = (limits.max_bytes, limits.max_pixels, limits.min_side, self._max_png_bytes)
        try:
            process = await asyncio.create_subprocess_exec(
                *DECODER,
                *map(str, (os.getpid(), *bounds)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            )
        except OSError as error:
            log.error("decoder_not_started", error=str(error))
            raise Overloaded("No process can be started to decode the image.") from error
        decoder = _Decoder(process)
        self._all.add(decoder)
        try:
            async with asyncio.timeout(_START_S):
                await decoder.ready()
        except (asyncio.IncompleteReadError, OSError, TimeoutError) as error:
            self._end(decoder)
            log.error("decoder_not_started", said=decoder.complaints, error=type(error).__name__)
            raise Overloaded("No process can be started to decode the image.") from error
        except asyncio.CancelledError:
            self._end(decoder)
            raise
        return decoder

    def _put_back(self, decoder: _Decoder) -> None:
        if not self._closed:
            self._idle.append(decoder)

    def _end(self, decoder: _Decoder) -> None:
        self._all.discard(decoder)
        decoder.kill()


class _Decoder:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._complaints = bytearray()
        self._listening = asyncio.create_task(self._listen(), name="decoder-complaints")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def complaints(self) -> str:
        """The end of what it printed."""
        return self._complaints.decode("utf-8", "replace")

    async def ready(self) -> None:
        assert self._process.stdout is not None
        await self._process.stdout.readexactly(1)

    async def ask(self, data: bytes | str, max_png_bytes: int) -> Decoded:
        """Raises FigureError; IncompleteReadError or OSError when the process is gone; ValueError, KeyError or
        struct.error when it answers in another form than the agreed one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        kind, raw = (b"f", data) if isinstance(data, bytes) else (b"b", data.encode("utf-8", "surrogatepass"))
        self._process.stdin.write(struct.pack(">cQ", kind, len(raw)))
        self._process.stdin.write(raw)
        del raw
        await self._process.stdin.drain()
        answers = self._process.stdout
        (status, length) = struct.unpack(">cI", await answers.readexactly(5))
        if length > _MAX_SAID_BYTES:
            raise ValueError(f"{length} bytes of JSON")
        said = json.loads(await answers.readexactly(length))
        if status == b"e":
            log.debug("image_refused", code=said["code"], cause=said["cause"], said=self.complaints)
            self._complaints.clear()
            raise FigureError(said["code"], said["message"])
        (size,) = struct.unpack(">Q", await answers.readexactly(8))
        if size > max_png_bytes:
            raise ValueError(f"{size} bytes of PNG")
        return Decoded(said["id"], said["width"], said["height"], await answers.readexactly(size))

    async def status(self) -> int | None:
        """How the process ended, if it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                return await self._process.wait()
        return None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._listening.cancel()

    async def _listen(self) -> None:
        """Keeps a process that prints without end from waiting for a reader."""
        assert self._process.stderr is not None
        while said := await self._process.stderr.read(65536):
            self._complaints += said
            del self._complaints[:-_COMPLAINTS_KEPT]
