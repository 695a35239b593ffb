"""The stream for log lines: writes each line at once, and never raises.

A log that cannot be written (a full disk, a reader that has gone) must cost its lines and nothing else: a process that
dies of its own log takes requests with it, and a parent that raises before it restarts a child never restarts it. Lines
that could not be written are counted, and the next line that can be written says how many they were.

Gateway and OCR worker both write through this. It knows nothing of what a line holds, except that it ends with one.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import TextIO


class LogStream:
    """Text lines to a stream's file descriptor, past its buffers: what a buffer holds after a failed write would come
    out later in the middle of another line. Safe to use from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._lost = 0
        self._in_mid_line = False
        try:
            self._descriptor: int | None = stream.fileno()
        except (OSError, ValueError):  # no file: a test's buffer
            self._descriptor = None

    @property
    def lost(self) -> int:
        """Lines that could not be written since the last one that could."""
        return self._lost

    def write(self, text: str) -> int:
        """One line, with its end. Returns how much was asked for, as streams do, also where it was lost."""
        with self._lock:
            line = text.encode("utf-8", "backslashreplace")
            notice = b""
            if self._lost:
                notice = json.dumps({"level": "error", "event": "log_lines_lost", "lines": self._lost}).encode() + b"\n"
            if self._in_mid_line:
                notice = b"\n" + notice
            if self._write(notice) and self._write(line):
                self._lost = 0
            else:
                self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Nothing to do: every line is out, or lost."""

    def _write(self, data: bytes) -> bool:
        """Whether all of it went out."""
        if not data:
            return True
        if self._descriptor is None:
            with suppress(OSError, ValueError):
                self._stream.write(data.decode("utf-8", "replace"))
                return True
            return False
        left = memoryview(data)
        while left:
            try:
                written = os.write(self._descriptor, left)
            except OSError:
                return False
            self._in_mid_line = left[written - 1] != ord("\n")
            left = left[written:]
        return True
