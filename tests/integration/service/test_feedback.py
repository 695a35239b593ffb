"""POST /v1/feedback over real HTTP: what is stored, what is not, and what happens when several write at once."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from llava_graph.api_keys import digest, new_key
from llava_graph.feedback import ENTRIES_FILE, FIGURES_FOLDER, FeedbackEntry, FeedbackLineError
from llava_graph.figure import open_figure
from service.feedback import FeedbackFolderError
from tests.fakes.kept import chat, feedback_on, keep, post_feedback, problem
from tests.harness.gateway import Gateway, gateway, png
from tests.harness.gateway_process import started


@pytest.fixture
async def service(redis_url: str, engine_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path) as running:
        yield running


def stored(folder: Path) -> list[FeedbackEntry]:
    return [FeedbackEntry.from_line(line) for line in (folder / ENTRIES_FILE).read_bytes().splitlines()]


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def answered(service: Gateway, **fields: object) -> dict[str, Any]:
    response = await service.post(stream=False, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def send(service: Gateway, answer: dict[str, Any], /, **fields: object) -> httpx2.Response:
    return await service.http.post("/v1/feedback", json=feedback_on(answer, **fields))


async def test_feedback_is_stored_with_answer_and_receipt(service: Gateway, tmp_path: Path) -> None:
    answer = await answered(service, caption="Loss µ.")
    told = await post_feedback(service, answer, verdict="down", note="The peak is at 3, not 4.")
    [entry] = stored(tmp_path)
    assert entry.entry_id == told["id"]
    assert (entry.verdict, entry.note) == ("down", "The peak is at 3, not 4.")
    assert (entry.answer, entry.receipt) == (answer["text"], answer["receipt"])
    assert (entry.caller, entry.replaces) == (None, None)
    assert service.metric("feedback_total", verdict="down") == 1
    assert service.metric("feedback_bytes") == (tmp_path / ENTRIES_FILE).stat().st_size


async def test_feedback_is_off_unless_it_is_turned_on(
    redis_url: str, engine_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with gateway(redis_url, engine_url) as service:
        answer = await answered(service)
        assert problem(await send(service, answer)) == (404, "feedback_off")
        assert problem(await service.http.post("/v1/feedback", json={})) == (404, "feedback_off")
    assert files_in(tmp_path) == []


async def test_feedback_survives_a_restart_and_is_only_added_to(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    for verdict in ("up", "flag"):
        async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path) as service:
            await post_feedback(service, await answered(service), verdict=verdict)
            assert service.metric("feedback_bytes") == (tmp_path / ENTRIES_FILE).stat().st_size
    assert [entry.verdict for entry in stored(tmp_path)] == ["up", "flag"]


async def test_changed_mind_names_what_it_replaces(service: Gateway, tmp_path: Path) -> None:
    answer = await answered(service)
    first = await post_feedback(service, answer)
    await post_feedback(service, answer, verdict="down", replaces=first["id"])
    assert [entry.replaces for entry in stored(tmp_path)] == [None, first["id"]]


async def test_name_of_the_key_is_stored_and_never_the_key(redis_url: str, engine_url: str, tmp_path: Path) -> None:
    key = new_key()
    keys = f'keys.alice.sha256 = ["{digest(key.encode())}"]'
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path, keys=keys) as service:
        assert problem(await service.http.post("/v1/feedback", json={})) == (401, "unauthorized")
        service.http.headers["Authorization"] = f"Bearer {key}"
        await post_feedback(service, await answered(service))
    [entry] = stored(tmp_path)
    assert entry.caller == "alice"
    assert key not in (tmp_path / ENTRIES_FILE).read_text()


async def test_receipt_of_another_answer_is_refused(service: Gateway, tmp_path: Path) -> None:
    answer = await answered(service)
    assert problem(await send(service, answer, answer=answer["text"] + ".")) == (422, "receipt_mismatch")
    newer = {**answer["receipt"], "format": 2}
    assert problem(await send(service, answer, receipt=newer)) == (422, "receipt_mismatch")
    assert stored(tmp_path) == []


async def test_note_is_bounded(redis_url: str, engine_url: str, tmp_path: Path) -> None:
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path, max_note_chars=5) as service:
        answer = await answered(service)
        assert problem(await send(service, answer, note="wrong!")) == (422, "fields_invalid")
        await post_feedback(service, answer, note="wrong")


async def test_halves_of_characters_are_left_out(service: Gateway, tmp_path: Path) -> None:
    body = json.dumps(feedback_on(await answered(service), note="a\ud800b"))
    response = await service.http.post("/v1/feedback", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (201, 422), response.text
    assert [entry.note for entry in stored(tmp_path)] == (["ab"] if response.status_code == 201 else [])


async def test_past_the_bound_nothing_is_stored_and_nothing_dropped(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path) as service:
        answer = await answered(service)
        await post_feedback(service, answer)
    before = (tmp_path / ENTRIES_FILE).read_bytes()
    bound = 2 * len(before) - 1
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path, feedback_bytes=bound) as service:
        response = await send(service, answer)
        assert problem(response) == (507, "feedback_full")
        assert not response.json()["retryable"]
    assert (tmp_path / ENTRIES_FILE).read_bytes() == before


async def test_image_is_stored_only_where_the_operator_asks_for_it(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    image = png("Loss")
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path) as service:
        kept = await keep(service, image)
        answer = await chat(service, kept["id"])
        assert (await post_feedback(service, answer, figure=kept["id"]))["image"] is False
        assert files_in(tmp_path / FIGURES_FOLDER) == []
    asks = {"feedback": "on", "feedback_dir": tmp_path, "feedback_images": "on"}
    async with gateway(redis_url, engine_url, **asks) as service:
        for _ in range(2):
            assert (await post_feedback(service, answer, figure=kept["id"]))["image"] is True
        [file] = files_in(tmp_path / FIGURES_FOLDER)
        assert file.name == f"{open_figure(image).id}.png"
        assert open_figure(file.read_bytes()).id == open_figure(image).id
        total = sum(path.stat().st_size for path in (file, tmp_path / ENTRIES_FILE))
        assert service.metric("feedback_bytes") == total


async def test_figure_that_is_gone_costs_its_image_and_not_the_feedback(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    asks = {"feedback": "on", "feedback_dir": tmp_path, "feedback_images": "on"}
    async with gateway(redis_url, engine_url, **asks) as service:
        kept = await keep(service)
        answer = await chat(service, kept["id"])
        other = await keep(service, png("Another"))
        assert problem(await send(service, answer, figure=other["id"])) == (422, "receipt_mismatch")
        await service.http.delete(f"/v1/figures/{kept['id']}")
        assert (await post_feedback(service, answer, figure=kept["id"]))["image"] is False
    assert len(stored(tmp_path)) == 1


async def test_several_processes_write_whole_lines_into_one_file(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "feedback"
    settings = {"redis_url": redis_url, "engine_url": engine_url, "feedback": "on", "feedback_dir": folder}
    async with gateway(redis_url, engine_url) as service:
        answer = await answered(service, caption="Loss. " * 1000)
    notes = [f"note {i}" for i in range(40)]
    async with AsyncExitStack() as stack:
        clients = [(await stack.enter_async_context(started(tmp_path, **settings)))[1] for _ in range(2)]
        bodies = [(clients[i % 2], feedback_on(answer, note=note)) for i, note in enumerate(notes)]
        responses = await asyncio.gather(*(http.post("/v1/feedback", json=body) for http, body in bodies))
    assert {response.status_code for response in responses} == {201}
    assert sorted(entry.note for entry in stored(folder)) == sorted(notes)


async def test_line_that_a_crash_cut_short_costs_itself_alone(redis_url: str, engine_url: str, tmp_path: Path) -> None:
    async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path) as service:
        answer = await answered(service)
        await post_feedback(service, answer)
        with (tmp_path / ENTRIES_FILE).open("ab") as file:
            file.write(b'{"format":1,"entry_')
        await post_feedback(service, answer, verdict="down")
    first, cut, last = (tmp_path / ENTRIES_FILE).read_bytes().splitlines()
    assert [FeedbackEntry.from_line(line).verdict for line in (first, last)] == ["up", "down"]
    with pytest.raises(FeedbackLineError):
        FeedbackEntry.from_line(cut)


async def test_process_that_holds_the_lock_for_ever_costs_a_refusal(
    service: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.feedback._LOCK_WAIT_S", 0.1)
    answer = await answered(service)
    with (tmp_path / ENTRIES_FILE).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with capture_logs():
            response = await send(service, answer)
    assert problem(response) == (503, "feedback_unavailable")
    assert int(response.headers["retry-after"]) > 0
    await post_feedback(service, answer)


async def test_gateway_does_not_start_where_feedback_cannot_be_stored(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FeedbackFolderError, match="LLAVA_GRAPH_FEEDBACK_DIR"):
        async with gateway(redis_url, engine_url, feedback="on", feedback_dir=tmp_path / "file"):
            pass


async def test_others_of_the_machine_cannot_read_it(service: Gateway, tmp_path: Path) -> None:
    await post_feedback(service, await answered(service))
    assert (tmp_path / ENTRIES_FILE).stat().st_mode & 0o077 == 0
    assert (tmp_path / FIGURES_FOLDER).stat().st_mode & 0o077 == 0
