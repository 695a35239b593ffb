"""`llava-graph up` and `engine` as processes: they start, never twice in one place, and leave nothing behind."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import REPOSITORY, RunningCommand, RunningStack, processes_of


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_in_order_and_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    running = RunningStack(tmp_path)
    pids = {part: running.pid(part) for part in ("redis", "ocr-worker", "engine", "gateway")}
    assert all(processes_of(pid) for pid in pids.values())

    assert running.stop(number) == 0, "\n".join(running.output)

    assert [part for part, pid in pids.items() if processes_of(pid)] == []
    stopped = [line.split()[1] for line in running.output if line.endswith("stopped")]
    assert stopped == ["gateway", "engine", "ocr-worker", "redis"]
    assert not (tmp_path / "run.json").exists()


def test_two_runs_cannot_share_a_folder(stack: RunningStack, start_command: Callable[..., RunningCommand]) -> None:
    second = start_command("up", "--port", "0", "--run-dir", str(stack.run_dir))
    second.wait_for("is in use by another run")
    assert second.process.wait() == 1
    assert httpx2.get(f"{stack.url}/healthz").status_code == 200


def test_a_port_that_is_taken_is_said_before_anything_starts(
    tmp_path: Path, start_command: Callable[..., RunningCommand]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = start_command("up", "--port", port, "--run-dir", str(tmp_path))
        command.wait_for(f"127.0.0.1:{port} cannot be used")
        assert command.process.wait() == 1
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_does_not_start_shows_the_end_of_its_log(
    tmp_path: Path, start_command: Callable[..., RunningCommand]
) -> None:
    manifest = REPOSITORY / "model_repo" / "llava-graph-tiny" / "manifest.toml"
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "manifest.toml").write_bytes(manifest.read_bytes())
    (broken / "config.json").write_text(json.dumps({"model_type": "no-such-architecture"}))
    command = start_command("up", "--model", str(broken), "--port", "0", "--run-dir", str(tmp_path / "run"))
    command.wait_for("the end of")
    command.wait_for("failed: engine ended with exit status 1 before it was ready")
    last_words = (tmp_path / "run" / "engine.log").read_text(encoding="utf-8").splitlines()[-1]
    assert last_words in command.output
    assert command.process.wait() == 1


def test_the_engine_alone_answers_openai_s_protocol_under_the_manifest_s_name(
    start_command: Callable[..., RunningCommand],
) -> None:
    command = start_command("engine", "--port", "0")
    url = command.wait_for("the engine is ready at").split()[-1]
    request = {
        "model": "llava-graph-tiny",
        "messages": [{"role": "user", "content": "Explain this figure."}],
        "max_tokens": 4,
        "stream": True,
    }
    answer = httpx2.post(f"{url}/v1/chat/completions", json=request, timeout=60)
    assert answer.status_code == 200
    assert "chat.completion.chunk" in answer.text
    assert command.stop() == 0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health")
