"""`llava-graph chat` in a pseudo-terminal, against a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from launcher.replay import read_receipts
from tests.fakes.openai_engine import OpenAIEngine, speaks, stalls_after
from tests.harness.gateway import gateway, png

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_CTRL_C, _CTRL_D, _UP = "\x03", "\x04", "\x1b[A"
_CHAT = "import sys; from launcher.chatting import chat; chat(sys.argv[1:])"


class Terminal:
    """The other end of a pseudo-terminal: what a person sees and types."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._seen = ""
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._read)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def until(self, text: str) -> str:
        """Returns what was shown up to the text, once it is shown; looks on behind it the next time."""
        async with asyncio.timeout(90):
            while text not in self._seen:
                self._more.clear()
                await self._more.wait()
        before, _, self._seen = self._seen.partition(text)
        return before

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the process has ended
            self._seen += _ESCAPES.sub("", os.read(self._fd, 65536).decode(errors="replace"))
            self._more.set()


@asynccontextmanager
async def chatting(folder: Path, url: str, *options: str) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    """The command at its first prompt."""
    (folder / "figure.png").write_bytes(png("x"))
    ours, its = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CHAT, "figure.png", "--caption", "Loss.", "--url", url, "--no-ocr", *options),
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=folder,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(its),
    )
    os.close(its)
    terminal = Terminal(ours)
    try:
        await terminal.until("/help lists the commands.")
        await terminal.until("> ")
        yield terminal, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        terminal.close()


def _take_terminal(fd: int) -> None:
    """Makes it the session's own, so that ctrl-C is a signal; one that a shell in the background ignores for all."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_conversation_is_remembered_cleared_and_saved(
    redis_url: str, engine_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with (
        gateway(redis_url, engine_url) as service,
        chatting(tmp_path, str(service.http.base_url)) as (terminal, process),
    ):
        engine.behaviour = speaks("It falls.")
        terminal.type("What does it show?\n")
        await terminal.until("It falls.")
        await terminal.until("> ")
        terminal.type(f"{_UP}\n")  # the same again, from the history
        await terminal.until("It falls.")
        await terminal.until("> ")
        assert [len(request["messages"]) for request in engine.requests] == [1, 3]
        terminal.type("/save talk.jsonl\n")
        await terminal.until("2 answers are in talk.jsonl.")
        terminal.type("/save talk.md\n")
        await terminal.until("2 answers are in talk.md.")
        terminal.type("/clear\n")
        await terminal.until("forgotten")
        terminal.type("And now?\n")
        await terminal.until("It falls.")
        await terminal.until("> ")
        terminal.type(_CTRL_D)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert len(engine.requests[2]["messages"]) == 1
    assert "What does it show?" in str(engine.requests[1]["messages"][2])
    saved = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text().splitlines()]
    assert [(answer["question"], answer["text"]) for answer in saved] == [("What does it show?", "It falls.")] * 2
    assert len(read_receipts(tmp_path / "talk.jsonl")) == 2
    assert "**What does it show?**\n\nIt falls." in (tmp_path / "talk.md").read_text()


async def test_model_is_told_what_context_says(
    redis_url: str, engine_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with (
        gateway(redis_url, engine_url) as service,
        chatting(tmp_path, str(service.http.base_url)) as (terminal, _),
    ):
        terminal.type("/context\n")
        assert "Loss." in await terminal.until("> ")
        terminal.type("/context none\n")
        await terminal.until("The model is told none.")
        terminal.type("/context everything\n")
        await terminal.until("is no part of the context")
        terminal.type("Why?\n")
        await terminal.until("shows growth.")
    assert "Loss." not in str(engine.requests[0]["messages"])


async def test_ctrl_c_stops_an_answer_and_not_the_conversation(
    redis_url: str, engine_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with (
        gateway(redis_url, engine_url) as service,
        chatting(tmp_path, str(service.http.base_url)) as (terminal, process),
    ):
        engine.behaviour = stalls_after("It goes on ")
        terminal.type("Why?\n")
        await terminal.until("It goes on ")
        terminal.type(_CTRL_C)
        await terminal.until("stopped")
        async with asyncio.timeout(30):
            await engine.hung_up.wait()
        engine.behaviour = speaks("It ends.")
        terminal.type("Again?\n")
        await terminal.until("It ends.")
        assert len(engine.requests[1]["messages"]) == 1  # what was stopped was not said
        terminal.type("/nothing\n")
        await terminal.until("There is no command /nothing")
        terminal.type("/quit\n")
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_error_is_shown_and_the_figure_is_sent_again_when_it_was_forgotten(
    redis_url: str, engine_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with gateway(redis_url, engine_url) as service:
        async with chatting(tmp_path, str(service.http.base_url), "--model", "fake-model") as (terminal, _):
            engine.behaviour = speaks("One.")
            terminal.type("One?\n")
            await terminal.until("One.")
            figures = await service.http.post("/v1/figures", data={"caption": "Loss."}, files={"image": png("x")})
            assert figures.status_code == 200  # it is kept already
            await service.http.delete(f"/v1/figures/{figures.json()['id']}")
            terminal.type("Two?\n")
            await terminal.until("One.")
            assert len(engine.requests[1]["messages"]) == 3
        async with chatting(tmp_path, str(service.http.base_url), "--model", "gpt-5") as (terminal, _):
            terminal.type("Why?\n")
            await terminal.until("model_not_found: There is no model 'gpt-5' here")
