"""A raw client of the gateway: sends exactly the given bytes, and reads responses as they arrive."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httptools
import httpx2

BOUNDARY = "x"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


class Wire:
    """One connection. Responses are read one after the other, as their own framing says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._found = _Found()

    async def send(self, data: bytes) -> None:
        """Raises nothing when the other side has closed: its response is still to be read."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def response(self) -> httpx2.Response:
        """The next response, whole. Raises EOFError when the connection ends before it."""
        while not self._found.whole:
            data = await self._reader.read(65_536)
            if data:
                self._found.parser.feed_data(data)
            elif not self._found.end():
                raise EOFError("the connection ended before the response did")
        return self._found.whole.popleft()

    async def rest(self) -> bytes:
        """All that comes until the connection ends, one way or another."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := await self._reader.read(65_536):
                data += more
        return data


class _Found:
    """Collects responses for httptools."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.whole: deque[httpx2.Response] = deque()
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._begun = False

    def end(self) -> bool:
        """Whether the end of the connection is that of a response."""
        names = {name.lower() for name, _ in self._headers}
        if self._begun and not names & {"content-length", "transfer-encoding"}:
            self.on_message_complete()
            return True
        return False

    def on_message_begin(self) -> None:
        self._headers, self._body = [], bytearray()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode(), value.decode()))

    def on_headers_complete(self) -> None:
        self._begun = True

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self._begun = False
        status = self.parser.get_status_code()
        # Chunks are put together by now.
        headers = [header for header in self._headers if header[0].lower() != "transfer-encoding"]
        self.whole.append(httpx2.Response(status, headers=headers, content=bytes(self._body)))


@asynccontextmanager
async def connected(url: httpx2.URL | str, *, receive_bytes: int = 0) -> AsyncIterator[Wire]:
    """A connection to the server at a URL; with `receive_bytes` one whose system takes in no more than that unread."""
    parts = urlsplit(str(url))
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    client.setblocking(False)
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(client, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=receive_bytes or 65_536)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(url: httpx2.URL | str, data: bytes) -> httpx2.Response:
    """The first response to these bytes, on a connection of their own."""
    async with connected(url) as wire:
        await wire.send(data)
        return await wire.response()


def request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Iterable[tuple[str, str]] = (),
    host: str = "127.0.0.1",
    version: str = "1.1",
) -> bytes:
    """A request with a Host and, where it has a body, its length."""
    given = [("Host", host), *headers, *([("Content-Length", str(len(body)))] if body else [])]
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in given), "", ""]
    return "\r\n".join(lines).encode() + body


def form(image: bytes, **fields: str) -> bytes:
    """A body for /v1/explain and /v1/figures, of type FORM."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    parts.append(b'Content-Disposition: form-data; name="image"; filename="f.png"\r\n\r\n' + image)
    mark = f"--{BOUNDARY}".encode()
    return b"".join(b"%b\r\n%b\r\n" % (mark, part) for part in parts) + mark + b"--\r\n"
