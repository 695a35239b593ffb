"""Reads figures with the OCR and the chart reader of production into a cache of JSON lines; resumable.

    readings(folder)      what was read so far, by the name of the figure's file
    read(folder, processes=2)

The worker's own command `python -m ocr_worker.read` does the reading, in processes of its own: what a model learns
from is what it will be shown, errors included. Nothing here knows what a figure shows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_graph import chart
from llava_graph.chart import Chart
from llava_graph.ocr import Line

SUFFIXES = (".png", ".jpg")


class ReadingError(Exception):
    """The reading command failed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a figure. `width` and `height` are its pixels."""

    file: str
    width: int
    height: int
    lines: tuple[Line, ...]
    chart: Chart

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Reading:
        lines = tuple(Line.from_json(line) for line in raw["lines"])
        return cls(str(raw["file"]), int(raw["width"]), int(raw["height"]), lines, chart.from_json(raw["chart"]))


def readings(folder: Path) -> Iterator[Reading]:
    """The readings of a folder's figures. A last line that was cut off is left out, and figures that cannot be read."""
    for path in sorted(folder.glob("readings-*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            raw = json.loads(line)
            if "error" not in raw:
                yield Reading.from_json(raw)


def read(folder: Path, processes: int = 1) -> int:
    """Read the figures that were not read yet, in several processes; how many these were. Raises ReadingError."""
    known = {name for path in folder.glob("readings-*.jsonl") for name in _files(path)}
    names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES and path.name not in known)
    with ExitStack() as stack:
        running = []
        for number in range(min(processes, len(names))):
            listed = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8"))
            listed.write("\n".join(names[number::processes]))
            listed.flush()
            output = stack.enter_context((folder / f"readings-{number}.jsonl").open("ab"))
            command = [sys.executable, "-m", "ocr_worker.read", str(folder), "--only", listed.name]
            running.append(subprocess.Popen(command, stdout=output))
        failed = [process.args for process in running if process.wait()]
    if failed:
        raise ReadingError(f"{len(failed)} of {len(running)} reading processes failed")
    return len(names)


def _files(path: Path) -> Iterator[str]:
    """The names in a cache file, which is cut back to its last whole line: a killed process may leave half of one."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        path.write_bytes(whole)
    for line in whole.decode().splitlines():
        yield str(json.loads(line)["file"])
