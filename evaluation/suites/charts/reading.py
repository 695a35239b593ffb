"""Has the figures of a set read, by a reader that runs as a command of its own.

The command gets the folder of the figures and prints one JSON line for each: {"file", "chart", "chart_s",
"chart_cpu_s", "lines", "ocr_s"}, or {"file", "error"}; `python -m ocr_worker.read` is one. So this room needs nothing
of the worker's, and any other reader can be measured in its place. What was read is kept in a file, to be scored
again.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llava_graph.chart import Chart, ChartFormatError, from_json
from llava_graph.ocr import Line

READINGS_FILE = "readings.jsonl"


class ReaderError(RuntimeError):
    """The reader's command failed, or printed something that is no reading."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one figure. `error`: it could not be opened.

    `seconds` are the chart reader's, without OCR; `cpu_seconds` are those of the processor, which other programs on the
    machine do not lengthen.
    """

    file: str
    chart: Chart
    seconds: float
    cpu_seconds: float
    ocr_seconds: float
    error: str | None = None
    lines: tuple[Line, ...] = ()


def run(
    command: Sequence[str], folder: Path, files: Iterable[str], out: Path, told: Callable[[str], None] | None = None
) -> list[Reading]:
    """Read `files` of the folder with `command`, keep the lines in `out`; `told` is called with each one's name.

    The command is given the folder and, after --only, the name of a file that lists the figures. Raises ReaderError.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listed:
        listed.write("\n".join(files))
        listed.flush()
        whole = [*command, str(folder), "--only", listed.name]
        with (
            out.open("w", encoding="utf-8", buffering=1) as kept,
            subprocess.Popen(whole, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process,
        ):
            for line in process.stdout or ():
                kept.write(line)
                if told is not None:
                    told(_parsed(line).file)
        if process.returncode:
            raise ReaderError(f"the reader ended with status {process.returncode}")
    return load(out)


def load(path: Path) -> list[Reading]:
    """The readings of a file. Raises ReaderError and OSError."""
    with path.open(encoding="utf-8") as file:
        return [_parsed(line) for line in file if line.strip()]


def _parsed(line: str) -> Reading:
    try:
        raw = json.loads(line)
        if "error" in raw:
            return Reading(str(raw["file"]), Chart(abstained="reader_failed"), 0.0, 0.0, 0.0, str(raw["error"]))
        seconds = float(raw["chart_s"])
        cpu_seconds = float(raw.get("chart_cpu_s", seconds))
        return Reading(
            str(raw["file"]), from_json(raw["chart"]), seconds, cpu_seconds, float(raw.get("ocr_s", 0.0)),
            lines=tuple(Line.from_json(line) for line in raw.get("lines", ())),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, ChartFormatError) as error:
        raise ReaderError(f"not a reading: {line[:100]!r}: {error}") from error
