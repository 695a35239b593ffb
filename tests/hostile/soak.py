"""The corpus in random order against a running stack, for as long as is wanted: `make soak`, or

    python -m tests.hostile.soak http://127.0.0.1:8000 --run-dir .run --minutes 60 --clients 8

Sends hostile images to every call that takes one, prompts that do not fit, and, where tests/hostile/requests.py holds a
corpus of bad requests, those; with ordinary figures in between, which must be explained. Fails on any 5xx but 503 and
504 that say `retryable`, on any process of the stack that died, on /healthz answering later than a second, and when
resident memory does not come back to within a tenth of what it was after the warm-up. `--seed` repeats an order.

It reads which processes there are from the run folder's `run.json`. It is no test of pytest's: it takes minutes.
"""

# ruff: noqa: T201 - what it says is for a terminal

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib
import importlib.util
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.hostile.images import KINDS, encoded, figure, noise
from tests.hostile.prompts import PROMPTS

HEALTH_DEADLINE_S = 1.0
MEMORY_SLACK = 1.10
MEMORY_FLOOR_MIB = 16
"""A process may differ by this much whatever it had: a tenth of a small one is noise."""
SETTLE_S = 20.0
"""Without load, before memory is looked at."""
RETRYABLE = (503, 504)


@dataclass
class Tally:
    """What was seen."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_health_s: float = 0.0

    def fail(self, words: str) -> None:
        if len(self.failures) < 50:
            self.failures.append(words)


class Stack:
    """The processes of `llava-graph up`, by its run folder."""

    def __init__(self, run_dir: Path) -> None:
        self._file = run_dir / "run.json"

    def pids(self) -> dict[str, int]:
        parts: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))["parts"]
        return {name: part["pid"] for name, part in parts.items() if part["pid"]}

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of each part with all its descendants; what they share is counted once for each."""
        return {name: sum(map(_resident_mib, _family(pid))) for name, pid in self.pids().items()}


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * 4096 / 1024**2


def corpus(randomness: random.Random) -> list[tuple[str, bytes]]:
    images = [(name, make()) for name, (make, _) in KINDS.items()]
    images += [(f"noise {side}", noise(side, seed=side, quality=35)) for side in (2000, 6300)]
    randomness.shuffle(images)
    return images


class Client:
    """One of those that send, one request after the other."""

    def __init__(self, url: str, model: str, images: list[tuple[str, bytes]], seed: int, tally: Tally) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=180, trust_env=False)
        self._model = model
        self._images = images
        self._random = random.Random(seed)
        self._tally = tally

    async def run(self, until_s: float) -> None:
        async with self._http:
            while time.monotonic() < until_s:
                send = self._random.choice((self._explain, self._keep, self._complete, self._converse, self._ordinary))
                try:
                    await send()
                except httpx2.HTTPError as error:
                    self._note(f"{send.__name__} {type(error).__name__}")
                    self._tally.fail(f"{send.__name__}: no answer: {error!r}")

    async def _explain(self) -> None:
        name, image = self._random.choice(self._images)
        data = {"caption": "c", "max_tokens": "4", "stream": "false", "ocr": self._random.choice(("auto", "off"))}
        self._look(f"explain {name}", await self._http.post("/v1/explain", files={"image": ("f", image)}, data=data))

    async def _keep(self) -> None:
        name, image = self._random.choice(self._images)
        files = {"image": ("f", image)}
        self._look(f"keep {name}", await self._http.post("/v1/figures", files=files, data={"caption": "c"}))

    async def _complete(self) -> None:
        name, image = self._random.choice([each for each in self._images if len(each[1]) < 3_000_000])
        url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
        content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
        body = {"model": self._model, "max_tokens": 4, "messages": [{"role": "user", "content": content}]}
        self._look(f"complete {name}", await self._http.post("/v1/chat/completions", json=body))

    async def _converse(self) -> None:
        name = self._random.choice(list(PROMPTS))
        body = {"model": self._model, "max_tokens": 4, "messages": [{"role": "user", "content": PROMPTS[name]}]}
        self._look(f"prompt {name}", await self._http.post("/v1/chat/completions", json=body))

    async def _ordinary(self) -> None:
        image = encoded(figure((640, 480), f"{self._random.random()}"))
        data = {"caption": "Growth", "max_tokens": "8", "stream": "false"}
        response = await self._http.post("/v1/explain", files={"image": ("f", image)}, data=data)
        self._look("ordinary", response)
        if response.status_code not in (200, *RETRYABLE):
            self._tally.fail(f"an ordinary figure: {response.status_code} {response.text[:200]}")

    def _look(self, what: str, response: httpx2.Response) -> None:
        code = ""
        if response.status_code >= 400:
            body = response.json()
            code = body.get("code") or body["error"]["code"]
            if response.status_code >= 500 and not (
                response.status_code in RETRYABLE and ("error" in body or body.get("retryable"))
            ):
                self._tally.fail(f"{what}: {response.status_code} {code} {response.text[:200]}")
        self._note(f"{response.status_code} {code}".strip())

    def _note(self, outcome: str) -> None:
        self._tally.statuses[outcome] += 1


def look_at_health(url: str, tally: Tally, ended: threading.Event) -> None:
    """In a thread of its own: making the corpus's requests keeps the clients' event loop for longer than a gateway may
    take to answer."""
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as http:
        while not ended.wait(0.2):
            begun = time.monotonic()
            try:
                http.get("/healthz")
            except httpx2.HTTPError as error:
                tally.fail(f"/healthz: {error!r}")
            took_s = time.monotonic() - begun
            tally.slowest_health_s = max(tally.slowest_health_s, took_s)
            if took_s > HEALTH_DEADLINE_S:
                tally.fail(f"/healthz answered after {took_s:.2f} s")


async def bad_requests(url: str, until_s: float, seed: int, tally: Tally) -> None:
    """Those of tests/hostile/requests.py, if it is there: `async def send_one(url, randomness) -> int | None`."""
    if importlib.util.find_spec("tests.hostile.requests") is None:
        return
    requests: Any = importlib.import_module("tests.hostile.requests")
    if not hasattr(requests, "send_one"):
        return
    randomness = random.Random(seed)
    while time.monotonic() < until_s:
        status = await requests.send_one(url, randomness)
        tally.statuses[f"request {status}"] += 1
        if status is not None and status >= 500 and status not in RETRYABLE:
            tally.fail(f"a bad request: {status}")


async def load(arguments: argparse.Namespace, images: list[tuple[str, bytes]], minutes: float, tally: Tally) -> None:
    async with httpx2.AsyncClient(base_url=arguments.url, timeout=30, trust_env=False) as http:
        model = (await http.get("/v1/models")).json()["data"][0]["id"]
    until_s = time.monotonic() + minutes * 60
    ended = threading.Event()
    health = asyncio.create_task(asyncio.to_thread(look_at_health, arguments.url, tally, ended))
    seeds = [arguments.seed * 1000 + number for number in range(arguments.clients)]
    await asyncio.gather(
        *(Client(arguments.url, model, images, seed, tally).run(until_s) for seed in seeds),
        bad_requests(arguments.url, until_s, arguments.seed, tally),
    )
    ended.set()
    await health


async def soak(arguments: argparse.Namespace) -> Tally:
    stack = Stack(arguments.run_dir)
    images = corpus(random.Random(arguments.seed))
    tally = Tally()
    before, pids = stack.memory_mib(), stack.pids()
    await load(arguments, images, arguments.warm_up, tally)
    await asyncio.sleep(SETTLE_S)
    warm = stack.memory_mib()
    await load(arguments, images, arguments.minutes, tally)
    await asyncio.sleep(SETTLE_S)
    after = stack.memory_mib()
    for name, pid in pids.items():
        if stack.pids().get(name) != pid:
            tally.fail(f"{name} died: process {pid} is {stack.pids().get(name)} now")
    for name, mib in after.items():
        if mib > max(warm[name] * MEMORY_SLACK, warm[name] + MEMORY_FLOOR_MIB):
            tally.fail(f"{name} has {mib:.0f} MiB, and had {warm[name]:.0f} after the warm-up")
    print(f"{'MiB':12} {'start':>8} {'warm':>8} {'end':>8}")
    for name in after:
        print(f"{name:12} {before.get(name, 0):8.0f} {warm.get(name, 0):8.0f} {after[name]:8.0f}")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--run-dir", type=Path, default=Path(".run"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=2, help="minutes, before memory is taken as the baseline")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    tally = asyncio.run(soak(parser.parse_args()))
    print(f"slowest /healthz: {tally.slowest_health_s:.2f} s")
    for outcome, count in tally.statuses.most_common():
        print(f"{count:7} {outcome}")
    for words in tally.failures:
        print(f"FAILED: {words}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
