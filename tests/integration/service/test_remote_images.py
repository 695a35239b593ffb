"""Images behind URLs: what is fetched, and above all what is not, from a real host with TLS on the loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from prometheus_client import CollectorRegistry

from llava_graph.public_address import is_public
from service.errors import GatewayError
from service.figures.remote import MAX_REDIRECTS, RemoteImages
from service.metrics import Metrics
from tests.fakes.image_host import LOOPBACK, ImageHost, breaks_off_after, image_host, redirects, sends, stalls, trickles
from tests.fakes.openai_client import MODEL, asks, client_of, figure_id, image_part
from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import MANIFEST, gateway, png

URL = "https://figures.example/a.png"
MOST_BYTES = 100_000


@pytest.fixture
async def host() -> AsyncIterator[ImageHost]:
    # The last name has a certificate, and is not listed.
    async with image_host("figures.example", "other.example", "evil.example") as running:
        running.pages["/a.png"] = sends(png())
        yield running


def on_loopback(address: str) -> bool:
    return address == LOOPBACK


@asynccontextmanager
async def _images(
    host: ImageHost, *, permits: Callable[[str], bool] = on_loopback, **more: Any
) -> AsyncIterator[RemoteImages]:
    given = {"max_bytes": MOST_BYTES, "deadline_s": 30.0, "trust": host.trust, **more}
    listed = {"figures.example", "other.example"}
    images = RemoteImages(listed, Metrics(CollectorRegistry()), permits=permits, resolver=host.names, **given)
    async with images.connected():
        yield images


async def _fetched(host: ImageHost, url: str = URL, **more: Any) -> bytes:
    async with _images(host, **more) as images:
        return await images.fetch(url)


async def _refused(host: ImageHost, url: str = URL, **more: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(GatewayError) as refused:
        await _fetched(host, url, **more)
    return refused.value.code


# What is fetched


async def test_image_of_a_listed_host_is_fetched(host: ImageHost) -> None:
    assert await _fetched(host) == png()
    assert await _fetched(host, "https://FIGURES.example:443/a.png?size=1#there") == png()
    assert [request.path_qs for request in host.requests] == ["/a.png", "/a.png?size=1"]


async def test_host_hears_nothing_of_client_or_gateway(host: ImageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert await _fetched(host) == png()
    [request] = host.requests
    assert set(request.headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
    assert request.headers["Host"] == "figures.example"
    assert request.headers["User-Agent"].startswith("llava-graph/")


async def test_redirects_to_listed_hosts_are_followed_and_no_cookie_is_kept(host: ImageHost) -> None:
    host.pages["/first"] = redirects("second", 301)
    host.pages["/second"] = redirects("//other.example/third", 307)
    host.pages["/third"] = redirects("https://figures.example/a.png", 303)
    assert await _fetched(host, "https://figures.example/first") == png()
    assert [request.host for request in host.requests] == ["figures.example"] * 2 + ["other.example", "figures.example"]
    assert not any("Cookie" in request.headers for request in host.requests)


async def test_image_may_have_all_the_bytes_that_are_allowed(host: ImageHost) -> None:
    host.pages["/a.png"] = trickles(bytes(MOST_BYTES - 1), b"!")
    assert len(await _fetched(host)) == MOST_BYTES


# Where nobody goes

NO_URLS = {
    "other host": "https://evil.example/a.png",
    "host within a host": "https://figures.example.evil.example/a.png",
    "other case of nothing": "https://figures.examples/a.png",
    "the name with a dot": "https://figures.example./a.png",
    "http": "http://figures.example/a.png",
    "http on 443": "http://figures.example:443/a.png",
    "other port": "https://figures.example:8443/a.png",
    "user": "https://user@figures.example/a.png",
    "user and password": "https://user:secret@figures.example/a.png",
    "listed host as the user": "https://figures.example@evil.example/a.png",
    "address": "https://127.0.0.1/a.png",
    "short address": "https://127.1/a.png",
    "address as a number": "https://2130706433/a.png",
    "address in octal": "https://0177.0.0.1/a.png",
    "address of IPv6": "https://[::1]/a.png",
    "mapped address": "https://[::ffff:127.0.0.1]/a.png",
    "localhost": "https://localhost/a.png",
    "file": "file:///etc/passwd",
    "ftp": "ftp://figures.example/a.png",
    "no scheme": "//figures.example/a.png",
    "no host": "https:///a.png",
    "nothing": "",
    "backslash": "https://figures.example\\@evil.example/a.png",
    "line break in the host": "https://figures.example\r\n.evil.example/a.png",
    "too long": f"https://figures.example/{'a' * 2048}.png",
}


IN_NO_REDIRECT = {"no scheme", "no host", "nothing", "too long", "line break in the host"}


@pytest.mark.parametrize("no_url", NO_URLS)
async def test_url_that_is_not_allowed_is_not_asked_for(host: ImageHost, no_url: str) -> None:
    assert await _refused(host, NO_URLS[no_url]) == "image_url_not_allowed"
    assert host.requests == host.names.asked == []


# In a redirect, a URL without scheme or host goes on where it came from, and some can stand in no header.
@pytest.mark.parametrize("no_url", sorted(NO_URLS.keys() - IN_NO_REDIRECT))
async def test_redirect_to_what_is_not_allowed_is_not_followed(host: ImageHost, no_url: str) -> None:
    host.pages["/away"] = redirects(NO_URLS[no_url])
    assert await _refused(host, "https://figures.example/away") == "image_url_not_allowed"
    assert len(host.requests) == 1
    assert host.names.asked == ["figures.example"]


async def test_address_is_refused_even_where_it_was_listed(host: ImageHost) -> None:
    images = RemoteImages(
        {LOOPBACK}, Metrics(CollectorRegistry()), max_bytes=1, deadline_s=1, permits=on_loopback, resolver=host.names
    )
    async with images.connected():
        with pytest.raises(GatewayError) as refused:
            await images.fetch(f"https://{LOOPBACK}/a.png")
    assert refused.value.code == "image_url_not_allowed"


async def test_without_listed_hosts_nothing_is_fetched(host: ImageHost) -> None:
    images = RemoteImages((), Metrics(CollectorRegistry()), max_bytes=1, deadline_s=1, resolver=host.names)
    async with images.connected():
        with pytest.raises(GatewayError) as refused:
            await images.fetch(URL)
    assert refused.value.code == "image_url_not_allowed"
    assert host.names.asked == []


async def test_listed_name_that_leads_to_the_loopback_is_refused(host: ImageHost) -> None:
    assert await _refused(host, permits=is_public) == "image_url_not_allowed"
    assert host.names.asked == ["figures.example"]
    assert host.requests == []


async def test_one_address_that_is_not_permitted_is_enough(host: ImageHost) -> None:
    host.names.addresses["figures.example"] = [LOOPBACK, "10.0.0.1"]
    assert await _refused(host) == "image_url_not_allowed"
    assert host.requests == []


async def test_redirect_to_a_listed_name_at_a_private_address_is_refused(host: ImageHost) -> None:
    host.names.addresses["other.example"] = ["192.168.0.1"]
    host.pages["/away"] = redirects("https://other.example/a.png")
    assert await _refused(host, "https://figures.example/away") == "image_url_not_allowed"
    assert len(host.requests) == 1


async def test_name_that_changes_its_address_between_look_and_call_gains_nothing(host: ImageHost) -> None:
    """DNS rebinding: the name is resolved once a request, and looked at each time."""
    resolve = host.names.resolve

    async def resolve_and_rebind(*asked: Any) -> Any:
        found = await resolve(*asked)
        host.names.addresses["figures.example"] = ["10.0.0.1"]
        return found

    host.names.resolve = resolve_and_rebind  # type: ignore[method-assign]
    host.pages["/again"] = redirects("/a.png")
    assert await _fetched(host) == png()
    assert host.names.asked == ["figures.example"]
    host.names.addresses["figures.example"] = [LOOPBACK]
    assert await _refused(host, "https://figures.example/again") == "image_url_not_allowed"
    assert [request.path for request in host.requests] == ["/a.png", "/again"]


PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:80e::2004"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "localhost",
    "",
]


def test_addresses_of_the_internet_are_public_and_no_others() -> None:
    assert [address for address in PUBLIC if not is_public(address)] == []
    assert [address for address in NOT_PUBLIC if is_public(address)] == []


# What does not come


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (sends(png(), status=404), "image_url_failed"),
        (sends(png(), status=206), "image_url_failed"),
        (sends(png(), status=304), "image_url_failed"),
        (sends(png(), "text/html"), "image_url_failed"),
        (sends(png(), "application/octet-stream"), "image_url_failed"),
        (sends(bytes(MOST_BYTES + 1)), "image_too_large"),
        (trickles(*[bytes(10_000)] * 11), "image_too_large"),
        (redirects("/a.png?again"), "image_url_failed"),
        (breaks_off_after(), "image_url_failed"),
        (breaks_off_after(b"\x89PNG"), "image_url_failed"),
    ],
    ids=[
        "not found",
        "a part",
        "not modified",
        "a page",
        "unknown",
        "too large",
        "grows too large",
        "no end",
        "breaks off",
        "breaks off in the image",
    ],
)
async def test_what_is_no_image_or_too_large_is_refused(host: ImageHost, page: Any, code: str) -> None:
    host.pages["/a.png"] = page
    assert await _refused(host) == code
    assert len(host.requests) <= MAX_REDIRECTS + 1


async def test_too_large_an_image_is_not_read_to_its_end(host: ImageHost) -> None:
    host.pages["/a.png"] = stalls(bytes(MOST_BYTES + 1))
    async with asyncio.timeout(20):
        assert await _refused(host) == "image_too_large"
        await host.hung_up.wait()


async def test_what_is_compressed_is_not_unpacked(host: ImageHost) -> None:
    packed = gzip.compress(bytes(50 * MOST_BYTES))
    host.pages["/a.png"] = sends(packed, **{"Content-Encoding": "gzip"})
    assert await _fetched(host) == packed


@pytest.mark.parametrize("page", [stalls(), stalls(b"\x89PNG")], ids=["before the answer", "in the image"])
async def test_host_that_is_slow_is_given_up(host: ImageHost, page: Any) -> None:
    host.pages["/a.png"] = page
    assert await _refused(host, deadline_s=0.3) == "image_url_failed"
    async with asyncio.timeout(20):
        await host.hung_up.wait()


async def test_deadline_holds_for_all_redirects_together(host: ImageHost) -> None:
    host.pages["/first"] = redirects("/second")
    host.pages["/second"] = stalls()
    assert await _refused(host, "https://figures.example/first", deadline_s=0.3) == "image_url_failed"


async def test_name_that_does_not_exist_fails(host: ImageHost) -> None:
    del host.names.addresses["figures.example"]
    assert await _refused(host) == "image_url_failed"


async def test_host_whose_certificate_nobody_vouches_for_gets_no_request(host: ImageHost) -> None:
    assert await _refused(host, trust=None) == "image_url_failed"
    assert host.requests == []


async def test_host_with_the_certificate_of_another_gets_no_request() -> None:
    async with image_host("evil.example") as evil:
        evil.names.addresses["figures.example"] = [LOOPBACK]
        assert await _refused(evil) == "image_url_failed"
        assert evil.requests == []


async def test_outcomes_are_counted(host: ImageHost) -> None:
    registry = CollectorRegistry()
    images = RemoteImages(
        {"figures.example"},
        Metrics(registry),
        max_bytes=MOST_BYTES,
        deadline_s=30,
        permits=on_loopback,
        resolver=host.names,
        trust=host.trust,
    )
    host.pages["/none"] = sends(b"", status=404)
    host.pages["/large"] = sends(bytes(MOST_BYTES + 1))
    async with images.connected():
        await images.fetch(URL)
        for url in ("https://figures.example/large", "https://evil.example/", "https://figures.example/none"):
            with pytest.raises(GatewayError):
                await images.fetch(url)
    counted = {
        sample.labels["outcome"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "llava_graph_gateway_remote_images_total"
    }
    assert counted == {"fetched": 1, "image_too_large": 1, "image_url_not_allowed": 1, "image_url_failed": 1}


# In a chat completion


def _by_url(*urls: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [*parts, {"type": "text", "text": "Why?"}]}


async def test_figure_by_url_is_the_figure_itself(
    host: ImageHost, redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    async with (
        _images(host) as images,
        gateway(redis_url, engine_url, remote=images) as service,
        client_of(service) as client,
    ):
        for message in (asks("Why?", png()), _by_url(URL)):
            answer: Any = await client.chat.completions.create(
                model=MODEL, messages=[message], extra_body={"figure": {"ocr": "off"}}
            )
            assert answer.figure["id"] == figure_id()
    sent, fetched = engine.requests
    assert sent == fetched


async def test_url_that_fails_among_several_names_its_place_and_ends_the_others(
    host: ImageHost, redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    several = dataclasses.replace(MANIFEST, max_images=3)
    host.pages["/stalls"] = stalls(b"\x89PNG")
    host.pages["/none"] = sends(b"", status=404)
    message = _by_url("https://figures.example/stalls", "https://figures.example/none")
    message["content"].insert(1, image_part(png()))
    async with (
        _images(host) as images,
        gateway(redis_url, engine_url, manifest=several, remote=images) as service,
        client_of(service) as client,
        asyncio.timeout(20),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model=MODEL, messages=[message])
        await host.hung_up.wait()
    assert (refused.value.code, refused.value.param) == ("image_url_failed", "messages.0.content.2.image_url")
    assert engine.requests == []


async def test_hang_up_ends_the_fetching(host: ImageHost, redis_url: str, engine_url: str) -> None:
    host.pages["/a.png"] = stalls(b"\x89PNG")
    async with (
        _images(host) as images,
        gateway(redis_url, engine_url, remote=images) as service,
        client_of(service) as client,
        asyncio.timeout(20),
    ):
        asking = asyncio.ensure_future(client.chat.completions.create(model=MODEL, messages=[_by_url(URL)]))
        await host.asked.wait()
        asking.cancel()
        await asyncio.wait({asking})
        await host.hung_up.wait()
        await service.until_idle()
        assert service.metric("requests_total", route="/v1/chat/completions", outcome="client_gone") == 1
