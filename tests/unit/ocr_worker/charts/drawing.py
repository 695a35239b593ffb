"""Draws small charts with known data, and the OCR lines that a perfect engine would read of them.

Texts are drawn as grey blocks where ink matters and are otherwise left out: the reader gets them as lines. Plain
OpenCV, so that no test depends on how a plotting library draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.ocr import Line

BLUE, ORANGE, GREEN, RED, BLACK = (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (0, 0, 0)
Colour = tuple[int, int, int]


class Figure:
    """A page with one plot area. `x` and `y` are the ranges of the axes, `log_y` makes y logarithmic."""

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        x: tuple[float, float] = (0, 10),
        y: tuple[float, float] = (0, 100),
        *,
        log_y: bool = False,
        page: Colour = (255, 255, 255),
        area: tuple[int, int, int, int] = (80, 30, 600, 420),
    ) -> None:
        self.image: npt.NDArray[np.uint8] = np.full((height, width, 3), page, np.uint8)
        self.lines: list[Line] = []
        self.x_range, self.y_range, self.log_y = x, y, log_y
        self.area = area

    def px(self, value: float) -> float:
        low, high = self.x_range
        return self.area[0] + (value - low) / (high - low) * (self.area[2] - self.area[0])

    def py(self, value: float) -> float:
        low, high = self.y_range
        if self.log_y:
            value, low, high = np.log10(value), np.log10(low), np.log10(high)
        return float(self.area[3] - (value - low) / (high - low) * (self.area[3] - self.area[1]))

    def text(self, text: str, x: float, y: float, anchor: float = 0.5, height: float = 16) -> None:
        width = 0.55 * height * max(len(text), 1)
        left = x - anchor * width
        self.lines.append(Line(text, (left, y - height / 2, left + width, y + height / 2), 0.99))

    def frame(self, sides: str = "lrtb") -> Figure:
        x0, y0, x1, y1 = self.area
        ends = {
            "l": ((x0, y0), (x0, y1)),
            "r": ((x1, y0), (x1, y1)),
            "t": ((x0, y0), (x1, y0)),
            "b": ((x0, y1), (x1, y1)),
        }
        for side in sides:
            cv2.line(self.image, *ends[side], BLACK, 1)
        return self

    def x_axis(self, values: Sequence[float], texts: Sequence[str] | None = None) -> Figure:
        for index, value in enumerate(values):
            at = round(self.px(value))
            cv2.line(self.image, (at, self.area[3]), (at, self.area[3] + 5), BLACK, 1)
            self.text(texts[index] if texts else f"{value:g}", at, self.area[3] + 18)
        return self

    def y_axis(self, values: Sequence[float], texts: Sequence[str] | None = None, side: str = "left") -> Figure:
        edge, step = (self.area[0], -1) if side == "left" else (self.area[2], 1)
        for index, value in enumerate(values):
            at = round(self.py(value))
            cv2.line(self.image, (edge, at), (edge + 5 * step, at), BLACK, 1)
            self.text(
                texts[index] if texts else f"{value:g}", edge + 9 * step, at, anchor=1.0 if side == "left" else 0.0
            )
        return self

    def grid(self, xs: Sequence[float], ys: Sequence[float], colour: Colour = (215, 215, 215)) -> Figure:
        x0, y0, x1, y1 = self.area
        for value in xs:
            cv2.line(self.image, (round(self.px(value)), y0), (round(self.px(value)), y1), colour, 1)
        for value in ys:
            cv2.line(self.image, (x0, round(self.py(value))), (x1, round(self.py(value))), colour, 1)
        return self

    def axes(self) -> Figure:
        """Frame and usual ticks of a linear figure."""
        low, high = self.x_range
        self.x_axis([low + (high - low) * k / 5 for k in range(6)])
        low, high = self.y_range
        return self.frame().y_axis([low + (high - low) * k / 5 for k in range(6)])

    def curve(
        self,
        of: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
        colour: Colour = BLUE,
        *,
        start: float | None = None,
        end: float | None = None,
        width: int = 2,
        dash: int = 0,
        marker: int = 0,
    ) -> Figure:
        """`dash`: length of dashes and gaps in pixels of x; `marker`: radius of a disc at eleven points."""
        xs = np.linspace(self.x_range[0] if start is None else start, self.x_range[1] if end is None else end, 600)
        points = np.array([(self.px(a), self.py(b)) for a, b in zip(xs, of(xs), strict=True)])
        fixed = np.round(points * 16).astype(np.int32)
        for i in range(len(fixed) - 1):
            if not dash or int(points[i, 0] // dash) % 2 == 0:
                cv2.line(self.image, fixed[i].tolist(), fixed[i + 1].tolist(), colour, width, cv2.LINE_AA, 4)
        for i in np.linspace(0, len(points) - 1, 11).astype(int) if marker else ():
            cv2.circle(self.image, points[i].round().astype(int).tolist(), marker, colour, -1, cv2.LINE_AA)
        return self

    def legend(
        self, names: Sequence[str], colours: Sequence[Colour], *, x: int = 470, y: int = 60, kind: str = "line"
    ) -> Figure:
        for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
            at = y + 24 * index
            if kind == "line":
                cv2.line(self.image, (x, at), (x + 28, at), colour, 2)
            elif kind == "marker":
                cv2.circle(self.image, (x + 14, at), 5, colour, -1, cv2.LINE_AA)
            else:
                cv2.rectangle(self.image, (x, at - 6), (x + 28, at + 6), colour, -1)
            self.text(name, x + 38, at, anchor=0.0)
        return self

    def bar(self, centre: float, low: float, high: float, width: float = 0.6, colour: Colour = BLUE) -> Figure:
        """An upright bar; `centre` and `width` in units of x."""
        x0, x1 = round(self.px(centre - width / 2)), round(self.px(centre + width / 2))
        y0, y1 = sorted((round(self.py(low)), round(self.py(high))))
        cv2.rectangle(self.image, (x0, y0), (x1, y1), colour, -1)
        return self

    def lying_bar(self, centre: float, value: float, width: float = 0.6, colour: Colour = BLUE) -> Figure:
        y0, y1 = sorted((round(self.py(centre - width / 2)), round(self.py(centre + width / 2))))
        cv2.rectangle(self.image, (round(self.px(0)), y0), (round(self.px(value)), y1), colour, -1)
        return self

    def points(self, xs: Sequence[float], ys: Sequence[float], colour: Colour = BLUE, radius: int = 4) -> Figure:
        for a, b in zip(xs, ys, strict=True):
            cv2.circle(self.image, (round(self.px(a)), round(self.py(b))), radius, colour, -1, cv2.LINE_AA)
        return self
