"""Where plot areas lie in a figure, for the tools that can be told.

Pixels of the figure, origin at its top left corner. Knows sizes of letters only roughly, so margins are generous.
"""

from __future__ import annotations

from evaluation.suites.charts.draw.specs import Look
from evaluation.suites.charts.truth import TruthPanel
from llava_graph.chart import Box

_PIXELS_PER_POINT = 4 / 3


def em_px(look: Look) -> float:
    return look.font_pt * _PIXELS_PER_POINT


def areas(panels: tuple[TruthPanel, ...], look: Look) -> list[Box]:
    """One box for each panel: up to three side by side, four in two rows."""
    em = em_px(look)
    widest = max((len(c) for panel in panels for c in panel.y.categories), default=0)
    left = (2.5 + 0.6 * max(widest, 7)) * em
    right = 1.8 * em + (11.5 * em if look.legend == "right" else 0)
    top = 1.2 * em + (2.2 * em if look.title else 0) + (2.2 * em if look.legend == "top" else 0)
    bottom = 4.2 * em + (3 * em if look.rotate_ticks else 0)
    below = 2.6 * em if look.legend == "below" else 0
    columns = len(panels) if len(panels) < 4 else 2
    rows = (len(panels) + columns - 1) // columns
    cell_width, cell_height = look.width / columns, (look.height - below) / rows
    boxes = []
    for index in range(len(panels)):
        row, column = divmod(index, columns)
        x, y = column * cell_width, row * cell_height
        boxes.append((round(x + left), round(y + top), round(x + cell_width - right), round(y + cell_height - bottom)))
    return [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in boxes]
