"""Client that holds many streams at once and reports the latency of the stub engine's stamped tokens.

    python -m benchmarks.stream_client --port 8000 --request FILE --server-pid PID --streams 500 --seconds 10

FILE holds one HTTP request, byte for byte, which every stream sends. Streams are begun a few at a time, since beginning
one costs a server far more than holding it; when all run, and after a moment to settle, `--seconds` are measured. Then
all connections are closed. Prints one JSON object. A process of its own, on bare protocols, so that it does not measure
itself: no HTTP parser, no tasks.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import click
import uvloop

from benchmarks.stamps import STAMP_BYTES, stamps_ns

_BEGUN_AT_ONCE = 8
_BEGIN_DEADLINE_S = 120.0
_SETTLE_S = 2.0


@dataclass
class Run:
    """What all streams share. Outside of the measured time tokens are only passed over."""

    request: bytes
    measuring: bool = False
    stopping: bool = False
    begun: int = 0
    delays_ns: array[int] = field(default_factory=lambda: array("q"))
    reads: int = 0
    broken: int = 0


class Stream(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._rest = b""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        data = self._rest + data
        # A stamp that is cut in two lies within the last bytes; a whole one there must not be read twice.
        stamps = stamps_ns(data)
        cut = data.rfind(b"t", max(0, len(data) - STAMP_BYTES + 1))
        self._rest = data[cut:] if cut >= 0 else b""
        if not stamps:
            return
        if not self.begun.done():
            self.begun.set_result(None)
        if self._run.measuring:
            self._run.reads += 1
            self._run.delays_ns.extend([now_ns - sent_ns for sent_ns in stamps])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self._run.stopping:
            self._run.broken += 1
            if not self.begun.done():
                self.begun.set_result(None)


async def measure(port: int, request: bytes, streams: int, seconds: float, server_pid: int) -> dict[str, float]:
    """Delays in milliseconds; rates a second; `cpu` in cores; `server_grew_kib` is the server's memory per stream."""
    loop = asyncio.get_running_loop()
    run = Run(request)
    started, rss_before = loop.time(), _rss_kib(server_pid)
    transports = await _begin(run, port, streams)
    begin_s = loop.time() - started
    await asyncio.sleep(_SETTLE_S)
    pids = (server_pid, os.getpid())
    cpu_before = [_cpu_s(pid) for pid in pids]
    measured_from = loop.time()
    run.measuring = True
    await asyncio.sleep(seconds)
    run.measuring = False
    measured_s = loop.time() - measured_from
    server_cpu, client_cpu = ((_cpu_s(pid) - before) / measured_s for pid, before in zip(pids, cpu_before, strict=True))
    rss_after = _rss_kib(server_pid)
    run.stopping = True
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0)
    if not run.delays_ns:
        raise click.ClickException(f"No token came in {measured_s:.0f} s; {run.broken} streams broke.")
    delays_ms = sorted(delay / 1e6 for delay in run.delays_ns)
    return {
        "streams": streams,
        "broken": run.broken,
        "begin_s": begin_s,
        "tokens_per_s": len(delays_ms) / measured_s,
        "reads_per_s": run.reads / measured_s,
        "delay_p50_ms": delays_ms[len(delays_ms) // 2],
        "delay_p99_ms": delays_ms[len(delays_ms) * 99 // 100],
        "delay_max_ms": delays_ms[-1],
        "server_cpu": server_cpu,
        "client_cpu": client_cpu,
        "server_rss_mib": rss_after / 1024,
        "server_grew_kib": (rss_after - rss_before) / streams,
    }


async def _begin(run: Run, port: int, streams: int) -> list[asyncio.Transport]:
    loop = asyncio.get_running_loop()
    turn = asyncio.Semaphore(_BEGUN_AT_ONCE)

    async def begin() -> asyncio.Transport:
        async with turn:
            _, stream = await loop.create_connection(lambda: Stream(run), "127.0.0.1", port)
            await stream.begun
            return stream.transport

    async with asyncio.timeout(_BEGIN_DEADLINE_S):
        return list(await asyncio.gather(*(begin() for _ in range(streams))))


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_kib(pid: int) -> int:
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE") // 1024


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--request", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--server-pid", type=int, required=True, help="Of the server, whose CPU time and memory are watched.")
@click.option("--streams", type=click.IntRange(1), default=500, show_default=True)
@click.option("--seconds", type=float, default=10.0, show_default=True)
def main(port: int, request: Path, server_pid: int, streams: int, seconds: float) -> None:
    """Hold streams and report how late their tokens are."""
    click.echo(json.dumps(uvloop.run(measure(port, request.read_bytes(), streams, seconds, server_pid))))


if __name__ == "__main__":
    main()
