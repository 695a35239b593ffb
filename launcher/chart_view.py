"""Shows the data of a chart in the terminal: a row for each series, and what was not read, and why.

Takes the `chart` event of a gateway. Names come from figures and are untrusted: the caller gives `legible`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from llava_graph.chart import ABSTENTION_REASONS, Chart, ChartFormatError, Panel, Series, from_json


def chart_of(event: dict[str, Any]) -> Chart:
    """The chart in a `chart` event, or in the part of a whole answer; an empty one where the event has no such form."""
    try:
        return from_json(event)
    except ChartFormatError:
        return Chart()


def chart_table(chart: Chart, legible: Callable[[str], str]) -> Table | None:
    """A row for each series that was read; None without any."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("panel", "series", "kind"):
        table.add_column(column, no_wrap=True, max_width=40)
    for column in ("points", "first", "last", "lowest", "highest"):
        table.add_column(column, justify="right")
    for number, panel in enumerate(chart.panels, 1):
        for index, series in enumerate(panel.series, 1):
            if panel.abstained is None and series.abstained is None and series.points:
                name = Text(legible(series.name or f"series {index}"))
                table.add_row(str(number), name, panel.kind.replace("_", " "), *_numbers(series))
    return table if table.row_count else None


def not_read(chart: Chart, legible: Callable[[str], str]) -> str | None:
    """One line that says what was not read, and why; None where all was."""
    reasons = [*([_words("the figure", chart.abstained)] if chart.abstained else [])]
    for number, panel in enumerate(chart.panels, 1):
        reasons += _unread(number, panel, legible)
    return f"not read: {'; '.join(reasons)}" if reasons else None


def _unread(number: int, panel: Panel, legible: Callable[[str], str]) -> Iterator[str]:
    if panel.abstained is not None:
        yield _words(f"panel {number}", panel.abstained)
    for index, series in enumerate(panel.series, 1):
        if series.abstained is not None:
            yield _words(legible(series.name or f"series {index} of panel {number}"), series.abstained)


def _words(what: str, reason: str) -> str:
    return f"{what} ({ABSTENTION_REASONS.get(reason, reason)})"


def _numbers(series: Series) -> tuple[str, ...]:
    ys = [point.y for point in series.points]
    first, last = f"{ys[0]:.4g}" if series.first_known else "–", f"{ys[-1]:.4g}" if series.last_known else "–"
    return str(len(ys)), first, last, f"{min(ys):.4g}", f"{max(ys):.4g}"
