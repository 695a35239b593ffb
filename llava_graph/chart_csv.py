"""The data of a chart as a CSV file, in long form: one row for each point that is claimed."""

from __future__ import annotations

import csv
import io
import math

from llava_graph.chart import Axis, Chart

CSV_COLUMNS = ("panel", "series", "x", "y", "x_tolerance", "y_tolerance")


def chart_csv(chart: Chart) -> str:
    """A row for each point that is claimed, after a header of CSV_COLUMNS. Panels and unnamed series are numbered."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(CSV_COLUMNS)
    for number, panel in enumerate(chart.panels, 1):
        if panel.abstained is not None:
            continue
        for index, series in enumerate(panel.series, 1):
            if series.abstained is not None:
                continue
            name = _cell(series.name) if series.name else str(index)
            for point in series.points:
                writer.writerow(
                    (
                        number,
                        name,
                        _cell(point.x) if isinstance(point.x, str) else repr(point.x),
                        repr(point.y),
                        _tolerance(panel.x, point.x, series.x_tolerance),
                        _tolerance(panel.y, point.y, series.y_tolerance),
                    )
                )
    return out.getvalue()


def _cell(text: str) -> str:
    """A text from the figure that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text


def _tolerance(axis: Axis, value: float | str, share: float) -> str:
    """The share of an axis at this value, in its units; empty where the axis has none."""
    if isinstance(value, str) or axis.low is None or axis.high is None:
        return ""
    if axis.scale == "log":
        decades = abs(math.log10(axis.high / axis.low)) if axis.low > 0 and axis.high > 0 else 0.0
        return f"{abs(value) * (10 ** (share * decades) - 1):.3g}"
    return f"{abs(axis.high - axis.low) * share:.3g}"
