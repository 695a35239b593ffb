"""Under which names the gateway can be asked, and by whose pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.harness.gateway import Gateway, closed_port_url, gateway, png
from tests.harness.wire import FORM, connected, exchange, form, request


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Gateway]:
    settings = {"published_host": "figures.example", "allowed_hosts": "lab.example, Other.example"}
    async with gateway(redis_url, closed_port_url(), access="open", **settings) as running:
        yield running


def refused(response: httpx2.Response) -> tuple[int, str]:
    said = response.json()
    return response.status_code, said.get("error", said)["code"]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "192.0.2.7:80", "[2001:db8::7]"),
        *("figures.example", "figures.example:443", "lab.example", "other.example.", "OTHER.example:1"),
    ],
)
async def test_names_and_addresses_of_the_gateway_are_known(service: Gateway, host: str) -> None:
    assert (await exchange(service.http.base_url, request("GET", "/v1/models", host=host))).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", "lab.example.evil", ""),
        *("lab.example@evil.example", "evil.example:8000", "[evil.example]", "localhost:x", "localhost/", "*", "a b"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/", "/docs", "/openapi.json"])
async def test_other_names_are_refused(service: Gateway, host: str, path: str) -> None:
    assert refused(await exchange(service.http.base_url, request("GET", path, host=host))) == (421, "host_not_allowed")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_orchestrators_may_ask_under_any_name(service: Gateway, path: str) -> None:
    response = await exchange(service.http.base_url, request("GET", path, host="gateway-7f9c.pods.example"))
    assert response.status_code in (200, 503)


async def test_any_name_goes_where_the_setting_says_so(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url(), allowed_hosts="*") as service:
        response = await exchange(service.http.base_url, request("GET", "/v1/models", host="any.example"))
        assert response.status_code == 200


async def test_client_of_http_1_0_needs_no_host(service: Gateway) -> None:
    async with connected(service.http.base_url) as wire:
        await wire.send(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.1 200")


OURS = {
    "a program": [],
    "the page": [("Origin", "http://lab.example"), ("Sec-Fetch-Site", "same-origin")],
    "the page, in an older browser": [("Origin", "http://lab.example")],
    "the page, behind TLS": [("Origin", "https://lab.example")],
    "the page, behind a proxy that changes the Host": [
        ("Origin", "https://public.example"),
        ("Sec-Fetch-Site", "same-origin"),
    ],
    "the user": [("Sec-Fetch-Site", "none")],
}
FOREIGN = {
    "another page": [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
    "another page, in an older browser": [("Origin", "https://evil.example")],
    "another page without an Origin": [("Sec-Fetch-Site", "cross-site")],
    "a page of the same site": [("Origin", "http://evil.lab.example"), ("Sec-Fetch-Site", "same-site")],
    "a page at another port": [("Origin", "http://lab.example:3000")],
    "a page without an origin": [("Origin", "null")],
    "an empty origin": [("Origin", "")],
    "two origins": [("Origin", "http://lab.example"), ("Origin", "https://evil.example")],
    "two sites": [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
}


def _keeping(headers: list[tuple[str, str]]) -> bytes:
    body = form(png(), caption="")
    return request("POST", "/v1/figures", body, headers=[*headers, ("Content-Type", FORM)], host="lab.example")


@pytest.mark.parametrize("who", OURS)
async def test_own_page_and_programs_may_ask_for_a_change(service: Gateway, who: str) -> None:
    assert (await exchange(service.http.base_url, _keeping(OURS[who]))).status_code == 201


@pytest.mark.parametrize("who", FOREIGN)
async def test_pages_of_others_may_not(service: Gateway, who: str) -> None:
    headers = FOREIGN[who]
    assert refused(await exchange(service.http.base_url, _keeping(headers))) == (403, "origin_not_allowed")
    forget = request("DELETE", "/v1/figures/fig_1", headers=headers, host="lab.example")
    assert refused(await exchange(service.http.base_url, forget)) == (403, "origin_not_allowed")
    look = request("GET", "/v1/models", headers=headers, host="lab.example")
    assert (await exchange(service.http.base_url, look)).status_code == 200
