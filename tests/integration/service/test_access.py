"""Keys at the real gateway: who is let in, what he is told otherwise, and that what is his stays his."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llava_graph.api_keys import digest, new_key
from tests.fakes.kept import post_figure
from tests.fakes.openai_engine import OpenAIEngine, speaks_on_command
from tests.harness.api_keys import ALICE, BOB, bearer, key_file
from tests.harness.gateway import Gateway, closed_port_url, gateway, png, serving
from tests.harness.gateway_process import MANIFEST, started


@pytest.fixture
async def service(redis_url: str, engine: OpenAIEngine, tmp_path: Path) -> AsyncIterator[Gateway]:
    keys = key_file(tmp_path, alice=ALICE, bob=BOB)
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url, keys_file=keys) as running:
        yield running


async def test_caller_with_a_key_is_answered(service: Gateway) -> None:
    service.http.headers.update(bearer(ALICE))
    assert (await service.post(stream=False)).json()["text"] == "The figure shows growth."
    assert [event.name for event in await service.events()][-1] == "done"


async def test_caller_without_a_key_is_told_how_to_send_one(service: Gateway, engine: OpenAIEngine) -> None:
    response = await service.post()
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == 'Bearer realm="llava-graph"'
    problem = response.json()
    assert (problem["code"], problem["status"], problem["retryable"]) == ("unauthorized", 401, False)
    assert problem["instance"] == response.headers["x-request-id"]
    assert engine.requests == []
    await service.until_idle()
    assert service.metric("problems_total", code="unauthorized") == 1


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/docs", "/docs/start.js", "/openapi.json", "/"])
async def test_what_needs_no_key_is_open(service: Gateway, path: str) -> None:
    assert (await service.http.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/figures/fig_1", "/v1/nothing", "/nothing", "//v1/explain", "/page", "/redoc"])
async def test_everything_else_wants_one(service: Gateway, path: str) -> None:
    assert (await service.http.get(path)).status_code == 401


ACCEPTED = {
    "as usual": f"Bearer {ALICE}",
    "scheme in lower case": f"bearer {ALICE}",
    "scheme in upper case": f"BEARER {ALICE}",
    "two spaces": f"Bearer  {ALICE}",
}

REFUSED: dict[str, tuple[str | bytes, ...]] = {
    "another key": (f"Bearer {new_key()}",),
    "empty": ("",),
    "scheme alone": ("Bearer",),
    "key alone": (ALICE,),
    "another scheme": (f"Basic {ALICE}",),
    "key in another case": (f"Bearer {ALICE.upper()}",),
    "beginning of a key": (f"Bearer {ALICE[:-1]}",),
    "key and more": (f"Bearer {ALICE} {ALICE}",),
    "digest instead of the key": (f"Bearer {digest(ALICE.encode())}",),
    "not ASCII": (b"Bearer \xc3\xa4\xff",),
    "huge": (f"Bearer {'a' * 20_000}",),
    "two headers, one of them right": (f"Bearer {ALICE}", f"Bearer {BOB}"),
    "the same header twice": (f"Bearer {ALICE}", f"Bearer {ALICE}"),
}


@pytest.mark.parametrize("case", ACCEPTED)
async def test_header_is_read_as_http_means_it(service: Gateway, case: str) -> None:
    headers = {"Authorization": ACCEPTED[case]}
    assert (await service.http.get("/v1/figures/fig_1", headers=headers)).json()["code"] == "figure_unknown"


@pytest.mark.parametrize("case", REFUSED)
async def test_odd_header_is_refused(service: Gateway, case: str) -> None:
    headers: Any = [(b"Authorization", value.encode() if isinstance(value, str) else value) for value in REFUSED[case]]
    response = await service.http.get("/v1/figures/fig_1", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer realm=")


async def test_upload_without_a_key_is_refused_unread(service: Gateway) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 65_536
            yield bytes(65_536)

    headers = {"Content-Type": "multipart/form-data; boundary=x", "Expect": "100-continue"}
    response = await service.http.post("/v1/explain", content=endless(), headers=headers)
    assert response.status_code == 401


async def test_figure_of_one_caller_is_unknown_to_another(service: Gateway) -> None:
    service.http.headers.update(bearer(ALICE))
    hers = (await post_figure(service, png(), "Growth.")).json()["id"]
    asked = {"messages": [{"role": "user", "content": "What is it?"}], "ocr": "off", "stream": False}
    assert (await service.http.post(f"/v1/figures/{hers}/chat", json=asked)).status_code == 200

    service.http.headers.update(bearer(BOB))
    answers = [
        await service.http.get(f"/v1/figures/{hers}"),
        await service.http.get(f"/v1/figures/{hers}/image"),
        await service.http.post(f"/v1/figures/{hers}/chat", json=asked),
        await service.http.delete(f"/v1/figures/{hers}"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "figure_unknown")] * 4
    his = await post_figure(service, png(), "Growth.")
    assert his.status_code == 201
    assert his.json()["id"] != hers

    service.http.headers.update(bearer(ALICE))
    assert (await service.http.get(f"/v1/figures/{hers}")).status_code == 200


async def test_key_is_replaced_while_an_answer_streams(redis_url: str, engine: OpenAIEngine, tmp_path: Path) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    keys = key_file(tmp_path, alice=ALICE)
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url, keys_file=keys) as service:
        service.http.headers.update(bearer(ALICE))
        async with service.stream() as events:
            assert (await anext(events)).name == "figure"
            key_file(tmp_path, alice=BOB)
            async with asyncio.timeout(10):
                while (await service.http.get("/v1/figures/fig_1")).status_code != 401:
                    pass
            assert (await service.http.get("/v1/figures/fig_1", headers=bearer(BOB))).status_code == 404
            pieces.put_nowait("Growth.")
            pieces.put_nowait(None)
            assert [event.name async for event in events] == ["ocr", "chart", "delta", "done"]


async def test_key_file_that_is_empty_lets_nobody_in(redis_url: str, tmp_path: Path) -> None:
    """At the start and later; who is in it is let in within seconds."""
    path = tmp_path / "keys.toml"
    path.write_text("")
    async with gateway(redis_url, closed_port_url(), keys_file=path) as service, asyncio.timeout(30):
        for accepted, text in ((False, None), (True, path), (False, "")):
            if text is path:
                key_file(tmp_path, alice=ALICE)
            elif text is not None:
                path.write_text(text)
            while (await service.http.get("/v1/models", headers=bearer(ALICE))).is_success is not accepted:
                pass
            assert (await service.http.get("/v1/models")).status_code == 401


async def test_gateway_whose_file_says_that_there_are_no_keys_is_open_until_it_holds_some(
    redis_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("without_keys = true")
    async with gateway(redis_url, closed_port_url(), keys_file=path) as service, asyncio.timeout(30):
        assert (await service.http.get("/v1/models")).status_code == 200
        key_file(tmp_path, alice=ALICE)
        while (await service.http.get("/v1/models")).status_code != 401:
            pass
        assert (await service.http.get("/v1/models", headers=bearer(ALICE))).status_code == 200


async def test_log_lines_name_the_caller_and_never_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_KEYS", f'keys.alice.sha256 = ["{digest(ALICE.encode())}"]')
    unknown = new_key()
    async with started(tmp_path, redis_url=closed_port_url("redis"), engine_url=closed_port_url()) as (process, http):
        files, data = {"image": ("figure.png", png())}, {"caption": "", "ocr": "off"}
        response = await http.post("/v1/explain", files=files, data=data, headers=bearer(ALICE))
        assert response.json()["code"] == "engine_unavailable"
        assert (await process.until_logged("engine_unavailable"))["caller"] == "alice"
        assert (await process.until_logged("request"))["caller"] == "alice"
        assert (await http.post("/v1/explain", files=files, data=data, headers=bearer(unknown))).status_code == 401
        assert "caller" not in await process.until_logged("request")
        logged = json.dumps(process.lines)
        assert not any(secret in logged for secret in (ALICE, unknown, digest(ALICE.encode())))


async def test_gateway_that_others_reach_does_not_start_without_keys(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(MANIFEST)
    environment = {**os.environ, "LLAVA_GRAPH_HOST": "0.0.0.0", "LLAVA_GRAPH_MODEL_DIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"LLAVA_GRAPH_ACCESS=open" in errors
    assert b"Traceback" not in errors


async def test_openapi_says_which_calls_want_a_key(service: Gateway) -> None:
    document: dict[str, Any] = (await service.http.get("/openapi.json")).json()
    key = document["components"]["securitySchemes"]["key"]
    assert (key["type"], key["scheme"]) == ("http", "bearer")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("401" in operation["responses"]) is path.startswith("/v1/")
            assert operation.get("security", []) == ([{"key": []}] if path.startswith("/v1/") else [])


async def test_command_sends_the_key_of_its_environment(service: Gateway, tmp_path: Path) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(png())
    command = ["explain", str(figure), "--caption", "", "--no-ocr", "--url", str(service.http.base_url)]

    async def status(**given: str) -> int | None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "launcher.cli", *command),
            env={**os.environ, **given},
            stdout=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()

    assert await status(LLAVA_GRAPH_KEY=ALICE) == 0
    assert await status() == 1
