"""Fetches images by URL, only from hosts that the operator has listed (protection against SSRF).

A client that makes a server fetch any URL can reach what only that server reaches. So these are refused, for the first
URL and for every redirect: anything but https on port 443 of a listed host; a URL with user or password; a host that is
an address instead of a name; and a name of which any address is not public. The connection goes to the addresses that
were checked: the name is not resolved a second time. Proxies of the environment, cookies, netrc and the client's
headers are not used; the response is bounded in bytes and in time, and not decompressed.

llava_graph.figure decides which images are accepted; this module knows no figure and no route.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from llava_graph.figure import FigureError
from llava_graph.public_address import is_address, is_public
from service.errors import FigureRefused, ImageUrlFailed, ImageUrlNotAllowed, RequestError
from service.metrics import Metrics

MAX_URL_CHARS = 2048
MAX_REDIRECTS = 3
_MAX_CONNECTIONS = 16
_REDIRECTS = (301, 302, 303, 307, 308)

log = structlog.stdlib.get_logger(__name__)


class RemoteImages:
    """Fetches images from `hosts`. Works inside `async with images.connected():`, and connects to nothing before it is
    asked. Without `hosts` every URL is refused.

    `permits` says which addresses may be connected to, `resolver` finds them (the system's, unless one is handed in),
    and `trust` says whose certificates count (those the system trusts).
    """

    def __init__(
        self,
        hosts: Collection[str],
        metrics: Metrics,
        *,
        max_bytes: int,
        deadline_s: float,
        permits: Callable[[str], bool] = is_public,
        resolver: AbstractResolver | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s
        self._permits = permits
        self._resolver = resolver
        self._trust = trust
        self._http: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keeps what is needed to fetch; when it ends, all connections are closed."""
        resolver = _CheckedResolver(self._resolver or aiohttp.ThreadedResolver(), self._permits)
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            use_dns_cache=False,
            force_close=True,
            limit=_MAX_CONNECTIONS,
            ssl=True if self._trust is None else self._trust,
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),  # `fetch` has one deadline for all of it
            headers={"User-Agent": f"llava-graph/{version('llava-graph')}", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as self._http:
            yield

    async def fetch(self, url: str) -> bytes:
        """The bytes of the image behind a URL.

        Raises ImageUrlNotAllowed, ImageUrlFailed when it cannot be had within the deadline, and FigureRefused
        (image_too_large) when it has too many bytes.
        """
        try:
            image = await self._fetch(url)
        except RequestError as error:
            self._metrics.remote_images.labels(error.code).inc()
            raise
        self._metrics.remote_images.labels("fetched").inc()
        return image

    async def _fetch(self, url: str) -> bytes:
        if not self._hosts:
            raise ImageUrlNotAllowed("This gateway fetches no images: send the image itself, as a data: URL.")
        if len(url) > MAX_URL_CHARS:
            raise ImageUrlNotAllowed(f"The URL has {len(url)} characters; at most {MAX_URL_CHARS} are accepted.")
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._follow(_parsed(url))
        except _AddressForbiddenError as error:
            log.warning("image_address_forbidden", host=error.host)
            raise ImageUrlNotAllowed(f"{error.host} is at an address that this gateway does not connect to.") from error
        except TimeoutError as error:
            raise ImageUrlFailed(f"The image did not come within {self._deadline_s:g} s.") from error
        except aiohttp.ClientError as error:
            log.warning("image_url_failed", detail=f"{type(error).__name__}: {error}")
            raise ImageUrlFailed("The host of the image could not be reached, or its answer broke off.") from error

    async def _follow(self, url: URL) -> bytes:
        assert self._http is not None
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            async with self._http.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._image(response)
                url = url.join(_parsed(response.headers.get("Location", "")))
        raise ImageUrlFailed(f"The host of the image redirected more than {MAX_REDIRECTS} times.")

    def _check(self, url: URL) -> None:
        """Raises ImageUrlNotAllowed."""
        if url.scheme != "https" or url.port != 443:
            raise ImageUrlNotAllowed("Images are fetched over https on port 443 alone; or send a data: URL.")
        if url.user is not None or url.password is not None:
            raise ImageUrlNotAllowed("A URL with a user or a password is not fetched.")
        if url.raw_host is None or url.raw_host not in self._hosts or is_address(url.raw_host):
            raise ImageUrlNotAllowed("This gateway does not fetch images from that host.")

    async def _image(self, response: aiohttp.ClientResponse) -> bytes:
        """Raises ImageUrlFailed for what is no image, FigureRefused for what is too large."""
        if response.status != 200:
            raise ImageUrlFailed(f"The host of the image answered with HTTP {response.status}.")
        if not response.content_type.startswith("image/"):
            raise ImageUrlFailed("What is behind the URL is not an image, by its content type.")
        if (response.content_length or 0) > self._max_bytes:
            raise self._too_large()
        image = bytearray()
        async for part in response.content.iter_any():
            image += part
            if len(image) > self._max_bytes:
                raise self._too_large()
        return bytes(image)

    def _too_large(self) -> FigureRefused:
        words = f"The image behind the URL has more than {self._max_bytes} bytes."
        return FigureRefused(FigureError("image_too_large", words))


class _AddressForbiddenError(Exception):
    """A name leads to an address that may not be connected to. No OSError: aiohttp would take it for a name that
    cannot be resolved."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


class _CheckedResolver(AbstractResolver):
    """The addresses that another resolver finds, if all of them are permitted."""

    def __init__(self, resolver: AbstractResolver, permits: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._permits = permits

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._permits(address["host"]) for address in found):
            raise _AddressForbiddenError(host)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _parsed(url: str) -> URL:
    """Raises ImageUrlNotAllowed."""
    try:
        return URL(url)
    except ValueError as error:
        raise ImageUrlNotAllowed("The URL of the image cannot be read.") from error
