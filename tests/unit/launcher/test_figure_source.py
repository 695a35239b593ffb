"""Figures that a command is given: files, and https URLs within the bounds of the gateway's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from launcher.figure_source import MAX_REDIRECTS, FigureSourceError, read_figure

IMAGE = b"\x89PNG and more"
URL = "https://figures.example/a.png"


async def public(_: str) -> list[str]:
    return ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


async def partly_private(_: str) -> list[str]:
    return ["93.184.215.14", "10.0.0.1"]


async def _in_parts() -> AsyncIterator[bytes]:
    yield IMAGE[:5]
    yield IMAGE[5:]


def answers(request: httpx2.Request) -> httpx2.Response:
    """As a host of images would."""
    steps = {f"/{step}": f"/{step - 1}" for step in range(1, 9)}
    match request.url.path:
        case "/a.png" | "/0":
            return httpx2.Response(200, content=_in_parts(), headers={"Content-Type": "image/png"})
        case "/page":
            return httpx2.Response(200, content=b"<html>", headers={"Content-Type": "text/html"})
        case "/inside":
            return httpx2.Response(302, headers={"Location": "https://10.0.0.1/a.png"})
        case "/plain":
            return httpx2.Response(302, headers={"Location": "http://figures.example/a.png"})
        case path if path in steps:
            return httpx2.Response(307, headers={"Location": steps[path]})
    return httpx2.Response(404)


async def fetched(url: str, *, max_bytes: int = 1000) -> bytes:
    return await read_figure(url, max_bytes=max_bytes, transport=httpx2.MockTransport(answers), resolve=public)


async def test_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    assert await read_figure(str(tmp_path / "a.png")) == IMAGE


async def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FigureSourceError, match=r"nothing\.png"):
        await read_figure(str(tmp_path / "nothing.png"))


@pytest.mark.parametrize("url", [URL, "https://figures.example:443/a.png", f"https://figures.example/{MAX_REDIRECTS}"])
async def test_image_is_fetched_through_as_many_redirects_as_may_be(url: str) -> None:
    assert await fetched(url) == IMAGE


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://figures.example/a.png", "https"),
        ("file:///etc/passwd", "https"),
        ("https://figures.example:8443/a.png", "port 443"),
        ("https://me:secret@figures.example/a.png", "user or a password"),
        ("https://93.184.215.14/a.png", "must be a name"),
        ("https://[::1]/a.png", "must be a name"),
        ("https://figures.example/page", "not an image"),
        ("https://figures.example/missing", "HTTP 404"),
        ("https://figures.example/inside", "must be a name"),
        ("https://figures.example/plain", "https"),
        (f"https://figures.example/{MAX_REDIRECTS + 1}", "redirected more than"),
        ("https://figures.example/" + "a" * 3000, "characters"),
    ],
)
async def test_url_outside_the_bounds_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(FigureSourceError, match=complaint) as caught:
        await fetched(url)
    assert "secret" not in str(caught.value)


async def test_image_that_is_too_large_is_refused() -> None:
    assert await fetched(URL, max_bytes=len(IMAGE)) == IMAGE
    with pytest.raises(FigureSourceError, match="more than"):
        await fetched(URL, max_bytes=len(IMAGE) - 1)


async def test_name_with_any_address_that_is_not_public_is_refused() -> None:
    transport = httpx2.MockTransport(answers)
    with pytest.raises(FigureSourceError, match="not public"):
        await read_figure(URL, transport=transport, resolve=partly_private)
    with pytest.raises(FigureSourceError, match="not public"):
        await read_figure("https://localhost/a.png", transport=transport)
