"""Reads a figure that a command was given: a file, or an https URL, which the command fetches itself.

The bounds of a URL are those of the gateway's own fetching (service/figures/remote.py): https on port 443 alone, no
user or password, a name and not an address, no name of which any address is not public, the same for each of at most
three redirects; so many bytes, within so much time, of an image's content type, and not decompressed. Unlike the
gateway's, the name is resolved again for the connection: the URL is the user's own, and so is the machine.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2

from llava_graph.figure import FigureLimits
from llava_graph.public_address import is_address, is_public

DEADLINE_S = 10.0
MAX_REDIRECTS = 3
_MAX_URL_CHARS = 2048

Resolve = Callable[[str], Awaitable[list[str]]]


class FigureSourceError(Exception):
    """The figure cannot be read or fetched; the message says why."""


async def read_figure(
    source: str,
    *,
    max_bytes: int = FigureLimits().max_bytes,
    transport: httpx2.AsyncBaseTransport | None = None,
    resolve: Resolve | None = None,
) -> bytes:
    """The bytes of a file, or of what is behind an https URL. `transport` and `resolve` stand for the network's own.

    Raises FigureSourceError.
    """
    if "://" not in source:
        try:
            return await asyncio.to_thread(Path(source).read_bytes)
        except OSError as error:
            raise FigureSourceError(f"{source}: {error.strerror or error}") from error
    try:
        async with (
            asyncio.timeout(DEADLINE_S),
            httpx2.AsyncClient(transport=transport, trust_env=False, timeout=DEADLINE_S) as http,
        ):
            return await _followed(http, _parsed(source), max_bytes, resolve or _addresses)
    except TimeoutError as error:
        raise FigureSourceError(f"{source} did not come within {DEADLINE_S:g} s") from error
    except (httpx2.HTTPError, OSError) as error:
        raise FigureSourceError(f"{source} could not be fetched: {error}") from error


async def _followed(http: httpx2.AsyncClient, url: httpx2.URL, max_bytes: int, resolve: Resolve) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        await _check(url, resolve)
        async with http.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            if not response.has_redirect_location:
                return await _image(response, max_bytes)
            url = url.join(_parsed(response.headers["Location"]))
    raise FigureSourceError(f"the host of the image redirected more than {MAX_REDIRECTS} times")


async def _check(url: httpx2.URL, resolve: Resolve) -> None:
    if url.scheme != "https" or url.port not in (None, 443):
        raise FigureSourceError("images are fetched over https on port 443 alone")
    if url.userinfo:
        raise FigureSourceError("a URL with a user or a password is not fetched")
    if not url.host or is_address(url.host):
        raise FigureSourceError("the host of a URL must be a name")
    if not all(map(is_public, await resolve(url.host))):
        raise FigureSourceError(f"{url.host} is at an address that is not public")


async def _image(response: httpx2.Response, max_bytes: int) -> bytes:
    if response.status_code != 200:
        raise FigureSourceError(f"the host of the image answered with HTTP {response.status_code}")
    if not response.headers.get("content-type", "").startswith("image/"):
        raise FigureSourceError("what is behind the URL is not an image, by its content type")
    image = bytearray()
    async for part in response.aiter_raw():
        image += part
        if len(image) > max_bytes:
            raise FigureSourceError(f"the image behind the URL has more than {max_bytes} bytes")
    return bytes(image)


def _parsed(url: str) -> httpx2.URL:
    if len(url) > _MAX_URL_CHARS:
        raise FigureSourceError(f"the URL has {len(url)} characters; at most {_MAX_URL_CHARS} are accepted")
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise FigureSourceError("the URL cannot be read") from error


async def _addresses(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
