"""Terminal output: parts starting, logs of a failed part, and explanations as they stream.

Text that comes from figures and models is untrusted: `legible` takes the control characters out, so that a figure
cannot send escape sequences to a terminal. Knows nothing of processes beyond the `Change`s that it is told.
"""

from __future__ import annotations

import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from launcher.chart_view import chart_of, chart_table, not_read
from launcher.run_folder import tail
from launcher.supervisor import Change, Service, State
from llava_graph.client import Event, ExplainError


def legible(text: str) -> str:
    """The text with control and format characters (terminal escapes, bidi overrides) replaced, line breaks kept."""
    return "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t" else c for c in text)


class PartsView:
    """A line for each change of a part, and below, where there is a terminal, what is still awaited."""

    def __init__(self, console: Console, parts: Sequence[str]) -> None:
        self._console = console
        self._started_at = dict.fromkeys(parts, time.monotonic())
        self._awaited = list(parts)
        self._width = max(map(len, parts))
        self._status = console.status(self._waiting_for())

    def __enter__(self) -> PartsView:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def tell(self, change: Change) -> None:
        name = change.service.name
        if change.state is State.STARTED:
            self._started_at[name] = time.monotonic()
        elif change.state is State.READY:
            self._line("✓", "green", name, f"ready after {time.monotonic() - self._started_at[name]:.1f} s")
            if name in self._awaited:
                self._awaited.remove(name)
        elif change.state is State.DIED:
            again = f"; starting it again in {change.pause_s:g} s" if change.pause_s is not None else ""
            log = f" (log: {change.service.log})" if change.service.log else ""
            self._line("!", "yellow", name, f"{change.how}{again}{log}")
        else:
            self._line("·", "dim", name, "stopped")
        if self._awaited:
            self._status.update(self._waiting_for())
        else:
            self._status.stop()

    def say(self, words: str) -> None:
        self._console.print(words, markup=False, soft_wrap=True)

    def _line(self, sign: str, style: str, name: str, words: str) -> None:
        self._console.print(
            Text.assemble((f"{sign} ", style), f"{name:<{self._width}}  ", (words, "dim")), soft_wrap=True
        )

    def _waiting_for(self) -> str:
        return f"waiting for {', '.join(self._awaited)}"


def show_log_tail(console: Console, service: Service) -> None:
    """The end of a failed service's log, and where to read on."""
    if service.log is None:
        return
    lines = tail(service.log)
    console.print(
        Text(f"--- the end of {service.log} ---" if lines else f"{service.log} is empty", "dim"), soft_wrap=True
    )
    for line in lines:
        console.print(Text(legible(line)), soft_wrap=True)


class AnswerView:
    """One answer as it comes, then what the data contradicts of it, and what it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._at_line_start = True

    def show(self, event: Event) -> None:
        if event.name == "delta":
            self._write(str(event.data.get("text", "")))
        elif event.name == "done":
            self.end_line()
            self._show_contradictions(event.data)
            self._console.print(Text(_what_it_took(event.data), "dim"), soft_wrap=True)

    def show_error(self, error: ExplainError) -> None:
        self.end_line()
        wait = f" (try again in {error.retry_after_s:g} s)" if error.retry_after_s is not None else ""
        self._console.print(Text.assemble((f"{error.code}: ", "red"), legible(error.message), wait), soft_wrap=True)

    def end_line(self) -> None:
        if not self._at_line_start:
            self._console.print()
            self._at_line_start = True

    def _show_contradictions(self, done: dict[str, Any]) -> None:
        """Statements of the answer that the data contradicts."""
        text = str(done.get("text", ""))
        for check in done.get("checks") or []:
            if check["verdict"] == "contradicted":
                said = legible(text[check["start"] : check["end"]])
                self._console.print(
                    Text.assemble(("contradicted: ", "red"), f"“{said}”; read: {legible(str(check['instead']))}"),
                    soft_wrap=True,
                )

    def _write(self, text: str) -> None:
        if text:
            # Wrapping is left to the terminal: rich would wrap each piece by itself.
            self._console.print(Text(legible(text)), end="", soft_wrap=True)
            self._at_line_start = text.endswith("\n")


class ExplanationView(AnswerView):
    """One explanation: the text found in the figure and its data, then the answer."""

    def __init__(self, console: Console, image: Path, caption: str) -> None:
        super().__init__(console)
        console.print()
        console.print(Text(str(image), "bold"), Text(legible(caption), "italic"))

    def show(self, event: Event) -> None:
        if event.name == "ocr":
            show_ocr(self._console, event.data)
        elif event.name == "chart":
            show_chart(self._console, event.data)
            self._console.print()
        else:
            super().show(event)


def show_ocr(console: Console, ocr: dict[str, Any]) -> None:
    """The text that was read in a figure, each line with its box."""
    lines = ocr.get("lines") or []
    console.print(Text(f"OCR {ocr['status']}, {len(lines)} lines, {ocr['ms']:.0f} ms", "dim"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("text", no_wrap=True, max_width=48)
    table.add_column("box (px)", style="dim")
    table.add_column("confidence", style="dim", justify="right")
    for line in lines:
        box = " ".join(f"{value:.0f}" for value in line["box"])
        table.add_row(Text(legible(line["text"])), box, f"{line['confidence']:.2f}")
    if lines:
        console.print(table)


def show_chart(console: Console, event: dict[str, Any]) -> None:
    """The data that was read from a figure, and what could not be read."""
    chart = chart_of(event)
    console.print(Text(f"data {event.get('status')}, {event.get('ms', 0):.0f} ms", "dim"))
    if (table := chart_table(chart, legible)) is not None:
        console.print(table)
    if (unread := not_read(chart, legible)) is not None:
        console.print(Text(unread, "dim"), soft_wrap=True)


def _what_it_took(done: dict[str, Any]) -> str:
    """`stop · 412 + 63 tokens · ocr 810 ms, first_token 1204 ms, total 2100 ms · 5 mentions found in the figure`."""
    parts = [str(done.get("finish_reason"))]
    if usage := done.get("usage"):
        parts.append(f"{usage.get('prompt_tokens')} + {usage.get('completion_tokens')} tokens")
    if timings := done.get("timings_ms"):
        parts.append(", ".join(f"{name} {ms:.0f} ms" for name, ms in timings.items() if ms is not None))
    parts.append(f"{len(done.get('grounding') or [])} mentions found in the figure")
    if found := Counter(check["verdict"] for check in done.get("checks") or []):
        parts.append("checks: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items())))
    return " · ".join(parts)


def progress_bar(console: Console) -> Progress:
    """For work on many figures."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
