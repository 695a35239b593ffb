"""The chart reader in a process of its own, so that its crash or hang never costs the text of a figure.

The OCR process asks (`ChartProcess.read`) and waits; the reader's process reads (`_serve`). What the reader wants to
have read again (tick labels that OCR missed) goes back through the same pipe, since the OCR models are on the other
side. A reader that dies, or takes much longer than its deadline, is killed; the figure gets no data, and a fresh
process the next one. On Linux the process dies with its parent.

What is read is `ocr_worker.charts.reader`'s.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from llava_graph.chart import Chart
from llava_graph.ocr import Line
from llava_graph.parent_death import signal_when_parent_dies
from ocr_worker.engines import Pixels
from ocr_worker.errors import OcrEngineError

ReadCrops = Callable[[Sequence[Pixels]], Sequence[tuple[str, float]]]
"""Reads upright RGB crops of one line of text each: text and confidence for each."""

ReadChart = Callable[[Pixels, Sequence[Line], float, ReadCrops | None], Chart]
"""What runs in the process: figure, lines, seconds it may take, and a way to have crops read."""

KILL_AFTER = 5.0
"""A reader looks at its deadline itself, in processor seconds; one that takes this many times as long by the clock
hangs, or the machine is too busy to wait for."""

KILL_REMOTE_AFTER = 1.1
"""The same for a reader that waits for an endpoint: its deadline counts the clock's seconds."""

START_S = 15.0
"""How long a fresh process may take to load what it needs: the machine may be busy. Below the worker's job timeout, so
that a slow start is not taken for an OCR engine that hangs."""

_MAX_REREADS = 8
"""Requests for crops in one figure; a reader that goes on asking hangs as well."""


def read_in_process(image: Pixels, lines: Sequence[Line], deadline_s: float, reread: ReadCrops | None) -> Chart:
    """The chart reader of this package. Its libraries are imported here: the parent does not need them.

    The deadline counts processor seconds: on a busy machine a figure would else lose its data for having waited.
    """
    import cv2

    from ocr_worker.charts.deadline import Deadline
    from ocr_worker.charts.reader import read_chart

    cv2.setNumThreads(1)
    return read_chart(image, lines, Deadline(deadline_s, time.process_time), reread)


@dataclass(frozen=True, slots=True)
class _Running:
    process: multiprocessing.process.BaseProcess
    pipe: Connection

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class ChartProcess:
    """Reads charts in one other process, started with the first figure. For one thread at a time; `close` it."""

    def __init__(
        self,
        revision: str,
        *,
        deadline_s: float,
        read_crops: ReadCrops | None = None,
        read: ReadChart = read_in_process,
        kill_after: float = KILL_AFTER,
    ) -> None:
        """`revision` names the reader, for results that are kept. `read` must be importable by name, or a method of
        an object that can be pickled. A reader that takes `kill_after` times its deadline is killed."""
        self.revision = revision
        self._deadline_s = deadline_s
        self._read_crops = read_crops
        self._read = read
        self._kill_s = deadline_s * kill_after
        self._running: _Running | None = None

    def read(self, image: Pixels, lines: Sequence[Line]) -> Chart:
        """What the reader makes of a figure, or why there is nothing. Never raises for the reader's sake."""
        try:
            running = self._running or self._start()
            self._running = running
            running.pipe.send((image, tuple(lines), self._deadline_s, self._read_crops is not None))
            return self._answer(running, time.monotonic() + self._kill_s)
        except TimeoutError:
            self.close()
            return self._nothing("deadline")
        except (EOFError, OSError, OcrEngineError):
            # It died, so the pipe is closed or broken; or it waits for crops that could not be read.
            self.close()
            return self._nothing("reader_failed")

    def start(self) -> None:
        """Starts the process before the first figure needs it. Where that fails, the first figure tries again."""
        with contextlib.suppress(TimeoutError, EOFError, OSError):
            self._running = self._running or self._start()

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._running is not None:
            self._running.end()
            self._running = None

    def _answer(self, running: _Running, give_up_at_s: float) -> Chart:
        """Raises TimeoutError, EOFError, OSError."""
        for _ in range(_MAX_REREADS + 1):
            answer = _received(running.pipe, give_up_at_s - time.monotonic())
            if isinstance(answer, Chart):
                return answer
            assert self._read_crops is not None
            assert isinstance(answer, list)
            running.pipe.send(list(self._read_crops(answer)))
        raise TimeoutError

    def _start(self) -> _Running:
        """A process that has loaded what it needs. Raises TimeoutError, EOFError, OSError."""
        # Neither forked, since this process has threads, nor from a fork server, which would outlive a killed parent.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._read, os.getpid()), name="charts", daemon=True)
        process.start()
        theirs.close()
        running = _Running(process, ours)
        try:
            _received(ours, START_S)
        except BaseException:
            running.end()
            raise
        return running

    def _nothing(self, reason: str) -> Chart:
        return Chart(abstained=reason, revision=self.revision)


def _received(pipe: Connection, within_s: float) -> object:
    """Raises TimeoutError; EOFError or OSError when the other side is gone."""
    if not pipe.poll(max(within_s, 0)):
        raise TimeoutError
    return pipe.recv()


def _serve(pipe: Connection, read: ReadChart, parent_pid: int) -> None:
    """The process: says that it is there, then answers until the pipe is closed."""
    if sys.platform == "linux":
        signal_when_parent_dies(signal.SIGKILL)
        if os.getppid() != parent_pid:
            return
    # A ctrl-C in a terminal reaches all processes; the parent ends this one when it has no more figures.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            image, lines, deadline_s, rereads = pipe.recv()

            def reread(crops: Sequence[Pixels]) -> Sequence[tuple[str, float]]:
                pipe.send(list(crops))
                answer: list[tuple[str, float]] = pipe.recv()
                return answer

            pipe.send(read(image, lines, deadline_s, reread if rereads else None))
