"""Reads the data of charts: a decoded figure and its OCR lines in, a `llava_graph.chart.Chart` out.

    reader    the order of the steps, and the entry `read_chart`
    layout    a plot area with the labels and titles around it
    bar_panel, curve_panel   a panel of bars, and one of curves or points: what of it may be claimed
    panel_legend   which entries of the legend a panel has
    panel_facts    what is true of its series
    broken_axes    axes that are interrupted
    picture   the figure: ground, ink, long straight strokes
    skew      whether it was photographed crooked, and the way back
    texts     its texts as pieces, numerals what numbers and dates they may be
    areas     where the plot areas are
    axes      their scales
    unread    labels of axes that OCR missed, by their ink
    legend    which name has which colour
    colours   which pixel has which colour
    kinds     curves, bars, points or something that is not read
    tracing   from pixels to a curve
    errorbars   the middles of error bars at a curve's ends
    hidden    the way of a curve under others
    lines, bars, scatter   the readers of the three families
    checks    what must hold before anything is claimed
    remote    the same interface served by a model behind an OpenAI endpoint (optional)

Knows no queue and no OCR library; OpenCV and numpy only.
"""

from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.reader import REVISION, read_chart

__all__ = ["REVISION", "Deadline", "read_chart"]
