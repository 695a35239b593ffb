"""Axis scales: the positions of their ticks and the tick labels. It knows neither pixels nor fonts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.synthetic.canvas import Label

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PLAIN_DECADES = (-5, 7)  # Beyond these powers of ten a number is written with an exponent.

LogStyle = Literal["power", "plain"]


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`; values outside are possible, they lie outside 0..1."""

    low: float
    high: float
    log: bool = False

    def fraction(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where values lie along the axis, 0 at `low` and 1 at `high`. On a log axis zero and below lie far down."""
        array = np.asarray(values, dtype=np.float64)
        if not self.log:
            return (array - self.low) / (self.high - self.low)
        safe = np.log10(np.maximum(array, self.low * 1e-6))
        return np.asarray((safe - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low)))

    def value(self, fraction: float) -> float:
        if self.log:
            return float(self.low * (self.high / self.low) ** fraction)
        return self.low + fraction * (self.high - self.low)

    def extended(self, below: float, above: float) -> Scale:
        """The same axis with room for the given shares of its length at either end."""
        return Scale(self.value(-below), self.value(1 + above), self.log)


@dataclass(frozen=True, slots=True)
class Tick:
    """`label` is None at minor ticks."""

    value: float
    label: Label | None


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """House style of the numbers at an axis."""

    minus: str = "-"
    thousands: bool = False
    trim_zeros: bool = False
    log: LogStyle = "power"


def rounded(scale: Scale, count: int) -> Scale:
    """The scale stretched to the next ticks, as MATLAB and gnuplot do it."""
    if scale.log:
        low, high = math.floor(math.log10(scale.low) + 1e-9), math.ceil(math.log10(scale.high) - 1e-9)
        return Scale(10.0**low, 10.0 ** max(high, low + 1), log=True)
    step = _nice_step(scale.high - scale.low, count)
    return Scale(math.floor(scale.low / step + 1e-9) * step, math.ceil(scale.high / step - 1e-9) * step)


def ticks(scale: Scale, count: int, style: NumberStyle) -> list[Tick]:
    """About `count` labelled ticks within the scale; at least three, or two where one is asked for."""
    return _log_ticks(scale, count, style) if scale.log else _linear_ticks(scale, count, style)


def minor_ticks(scale: Scale, major: Sequence[Tick]) -> list[Tick]:
    """Unlabelled ticks between the labelled ones: 2 to 9 in each decade, or the halves of linear steps."""
    if scale.log:
        decades = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)))
        values = [m * 10.0**k for k in decades for m in range(2, 10)]
    else:
        step = (major[1].value - major[0].value) / 2
        values = [tick.value + step for tick in major] + [major[0].value - step]
    return [Tick(v, None) for v in values if scale.low <= v <= scale.high]


def number(value: float, decimals: int, style: NumberStyle) -> str:
    text = f"{value:,.{decimals}f}" if style.thousands else f"{value:.{decimals}f}"
    if style.trim_zeros and "." in text:
        text = text.rstrip("0").rstrip(".")
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", style.minus)


def _nice_step(span: float, count: int) -> float:
    raw = span / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    return next(m * magnitude for m in _STEPS if m * magnitude >= raw * 0.999)


def _linear_ticks(scale: Scale, count: int, style: NumberStyle) -> list[Tick]:
    span, wanted = scale.high - scale.low, count
    places: list[float] = []
    while len(places) < min(3, wanted + 1):
        step = _nice_step(span, count)
        first, last = math.ceil(scale.low / step - 1e-6), math.floor(scale.high / step + 1e-6)
        places = [k * step for k in range(first, last + 1)]
        count += 1
    magnitude = math.floor(math.log10(max(abs(scale.low), abs(scale.high))))
    if not _PLAIN_DECADES[0] < magnitude < _PLAIN_DECADES[1]:
        decimals = _decimals(step / 10.0**magnitude)
        mantissas = [number(v / 10.0**magnitude, decimals, style) for v in places]
        return [
            Tick(v, Label(m if v == 0 else f"{m}e{magnitude}".replace("-", style.minus)))
            for v, m in zip(places, mantissas, strict=True)
        ]
    decimals = _decimals(step)
    return [Tick(v, Label(number(v, decimals, style))) for v in places]


def _decimals(step: float) -> int:
    """How many decimals it takes to write multiples of `step`."""
    return next((d for d in range(12) if abs(round(step, d) - step) < step * 1e-6), 12)


def _log_ticks(scale: Scale, count: int, style: NumberStyle) -> list[Tick]:
    low, high = math.log10(scale.low), math.log10(scale.high)
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first >= 1:
        stride = max(1, math.ceil((last - first + 1) / max(count, 2)))
        powers = range(first, last + 1, stride)
        return [Tick(10.0**k, _power(k, style)) for k in powers]
    values = [m * 10.0**k for k in range(first - 1, last + 2) for m in (1, 2, 5)]
    inside = [v for v in values if scale.low * 0.999 <= v <= scale.high * 1.001]
    return [Tick(v, Label(number(v, _decimals(v), style))) for v in inside]


def _power(exponent: int, style: NumberStyle) -> Label:
    if style.log == "power" or not -5 < exponent < 6:
        return Label("10", str(exponent).replace("-", style.minus))
    return Label(number(10.0**exponent, max(0, -exponent), style))
