"""Turns the data read from a figure into the `chart` part of an answer, with its status.

The OCR worker reads the data; llava_graph.chart defines its types.
"""

from __future__ import annotations

from dataclasses import dataclass

from llava_graph.chart import Chart, to_json
from service.events import ChartPart, ChartStatus
from service.figures.ocr_client import OcrText


@dataclass(frozen=True, slots=True)
class ChartReading:
    """The data of a figure as far as it is told, and how its reading ended."""

    status: ChartStatus
    chart: Chart
    ms: float = 0.0

    def part(self) -> ChartPart:
        """As answers carry it."""
        return chart_part(self.chart, self.status, self.ms)


def chart_reading(text: OcrText, *, is_told: bool) -> ChartReading:
    """What became of the data that was asked for together with `text`."""
    if not is_told or (text.status in ("ok", "cached") and text.chart is None):
        return ChartReading("off", Chart())
    if text.chart is None:
        return ChartReading(text.status, Chart())
    return ChartReading(text.status if text.chart.claims else "abstained", text.chart, text.chart_ms)


def chart_part(chart: Chart, status: ChartStatus, ms: float = 0.0) -> ChartPart:
    return ChartPart.model_validate({"status": status, "ms": round(ms, 1), **to_json(chart)}, extra="ignore")
