"""A line between browser and gateway that a test can cut: forwards bytes until it is told not to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK_BYTES = 65536


@dataclass
class Line:
    url: str
    _server: asyncio.Server
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Every connection breaks, and no new one is taken."""
        self._server.close()
        for writer in self._open:
            writer.transport.abort()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    """A line to the server at `url`, in order until `cut`."""
    port = urlsplit(url).port

    async def carry(near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection("127.0.0.1", port)
        line._open |= {near, far}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_forward(near_reader, far))
                group.create_task(_forward(far_reader, near))
        finally:
            line._open -= {near, far}

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    line = Line(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", server)
    try:
        yield line
    finally:
        line.cut()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:  # one end is gone; so is the other, at once
        pass
    finally:
        writer.close()
