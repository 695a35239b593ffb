"""The page's files as the gateway serves them: with the headers that keep it safe, and nothing else of the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway, closed_port_url, gateway
from tests.paths import REPOSITORY

PAGE = REPOSITORY / "service" / "page"


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Gateway]:
    async with gateway(redis_url, closed_port_url(), examples_dir=REPOSITORY / "examples") as running:
        yield running


async def test_page_is_at_the_root(service: Gateway) -> None:
    response = await service.http.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.content == (PAGE / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_files_have_types_that_browsers_accept(service: Gateway, name: str, content_type: str) -> None:
    response = await service.http.get(f"/page/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/examples.json", "/page/examples/growth.png"])
async def test_everything_forbids_what_the_page_does_not_need(service: Gateway, path: str) -> None:
    headers = (await service.http.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy["script-src"], policy["style-src"], policy["connect-src"]} == {"'self'"}
    assert policy["img-src"] == "'self' blob:"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/examples/growth.png"])
async def test_unchanged_file_is_not_sent_again(service: Gateway, path: str) -> None:
    first = await service.http.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = await service.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-security-policy" in again.headers


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/examples.json"])
async def test_head_tells_the_same_without_the_content(service: Gateway, path: str) -> None:
    whole = await service.http.get(path)
    head = await service.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


async def test_examples_are_listed_with_their_captions_and_can_be_fetched(service: Gateway) -> None:
    examples = (await service.http.get("/page/examples.json")).json()
    assert [example["image"] for example in examples] == ["page/examples/growth.png", "page/examples/soil.png"]
    assert examples[0]["caption"] == "Optical density of three strains over 48 hours."
    image = await service.http.get(f"/{examples[0]['image']}")
    assert image.headers["content-type"] == "image/png"
    assert image.content == (REPOSITORY / "examples" / "growth.png").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/page/nothing.js",
        "/page/..%2Fapp.py",
        "/page/%2Fetc%2Fpasswd",
        "/page/%00",
        "/page/library",
        "/page/library/entry.js",
        "/page/examples/growth.py",
        "/page/examples/captions.toml",
        "/page/examples/..%2FREADME.md",
    ],
)
async def test_nothing_but_the_page_and_its_examples_is_served(service: Gateway, path: str) -> None:
    response = await service.http.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


async def test_without_a_folder_of_examples_the_page_has_none(redis_url: str, tmp_path: Path) -> None:
    async with gateway(redis_url, closed_port_url(), examples_dir=tmp_path / "missing") as service:
        assert (await service.http.get("/page/examples.json")).json() == []
        assert (await service.http.get("/page/examples/growth.png")).status_code == 404
        assert (await service.http.get("/")).status_code == 200


async def test_page_counts_under_few_labels(service: Gateway) -> None:
    await service.http.get("/page/app.js")
    await service.http.get("/page/style.css")
    await service.until_idle()
    assert service.metric("requests_total", route="/page/{name}", outcome="ok") == 2


def test_page_asks_nobody_else_for_anything() -> None:
    """Addresses in its files: only names of XML vocabularies."""
    for file in filter(Path.is_file, PAGE.iterdir()):
        text = file.read_text(encoding="utf-8")
        for namespace in ("http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"):
            text = text.replace(namespace, "")
        assert "://" not in text, file.name
        if file.name != "markdown-library.js":  # whose lines are not written for people to read
            assert "//" not in text.replace("// ", "").replace("/// ", ""), file.name


@pytest.mark.parametrize("name", ["", "/start.js", "/swagger-ui-bundle.js", "/swagger-ui.css"])
async def test_description_is_served_from_here_and_may_load_nothing_else(service: Gateway, name: str) -> None:
    response = await service.http.get(f"/docs{name}")
    assert response.status_code == 200
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert {policy["script-src"], policy["style-src"], policy["connect-src"]} == {"'self'"}
    assert policy["img-src"] == "'self' data:"
    assert "unsafe" not in response.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/docs/index.html", "/docs/favicon-32x32.png", "/docs/__init__.py", "/redoc"])
async def test_there_is_no_other_description(service: Gateway, path: str) -> None:
    assert (await service.http.get(path)).status_code == 404
