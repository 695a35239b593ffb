"""Heights of curves that nobody measured, as papers have them: alone, and several that belong together.

    for course in courses(4, random.Random(3)):
        course(0.5)     # how high in the panel the curve is at its middle: 0 at the bottom, about 1 at the top

What a model mixes up are curves of one panel, so those that start, end or run together are drawn often, and a flat one
among others that move. Nothing here knows units or axes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

Course = Callable[[float], float]
Shape = Callable[[random.Random], Course]


def courses(count: int, rng: random.Random) -> list[Course]:
    """The curves of one panel."""
    if count == 1:
        return [_placed(rng.choice(_SHAPES)(rng), rng.uniform(0, 0.3), rng.uniform(0.4, 0.7))]
    together = rng.choices(list(_TOGETHER), weights=list(_TOGETHER.values()))[0]
    return together(count, rng)


def _placed(course: Course, low: float, reach: float) -> Course:
    return lambda t: low + reach * course(t)


# Several curves


def _free(count: int, rng: random.Random) -> list[Course]:
    return [_placed(rng.choice(_SHAPES)(rng), rng.uniform(0, 0.5), rng.uniform(0.25, 0.6)) for _ in range(count)]


def _of_one_shape(count: int, rng: random.Random) -> list[Course]:
    shape = rng.choice((_saturating, _falling, _rising, _sigmoid, _decaying, _peak, _dip, _random_walk))
    return [_placed(shape(rng), rng.uniform(0, 0.3), rng.uniform(0.3, 0.7)) for _ in range(count)]


def _nearly_equal(count: int, rng: random.Random) -> list[Course]:
    """One course, a little apart: numbers differ in their last digits."""
    course, apart = rng.choice(_SHAPES)(rng), rng.choice((0.01, 0.02, 0.03, 0.06))
    offsets = rng.sample(range(count * 2), count)
    return [_placed(course, 0.1 + apart * offset, 0.6) for offset in offsets]


def _from_one_place(count: int, rng: random.Random) -> list[Course]:
    start, shape = rng.uniform(0.1, 0.9), rng.choice((_rising, _saturating, _sigmoid))
    return [_placed(shape(rng), start, rng.uniform(-start, 1 - start)) for _ in range(count)]


def _to_one_place(count: int, rng: random.Random) -> list[Course]:
    end, shape = rng.uniform(0.1, 0.9), rng.choice((_decaying, _falling))
    return [_placed(shape(rng), end, rng.uniform(-end, 1 - end)) for _ in range(count)]


def _flat_among_moving(count: int, rng: random.Random) -> list[Course]:
    made = [_placed(rng.choice(_MOVING)(rng), rng.uniform(0, 0.3), rng.uniform(0.4, 0.7)) for _ in range(count)]
    for i in rng.sample(range(count), rng.choice((1, 1, max(count - 1, 1), (count + 1) // 2))):
        made[i] = _placed(rng.choice((_flat, _flat, _noisy))(rng), rng.uniform(0, 0.7), 0.3)
    return made


def _crossing(count: int, rng: random.Random) -> list[Course]:
    """Some rise and some fall through the same middle."""
    made = []
    for i in range(count):
        shape = rng.choice((_rising, _sigmoid)) if i % 2 else rng.choice((_falling, _falling, _decaying))
        made.append(_placed(shape(rng), rng.uniform(0, 0.2), rng.uniform(0.5, 0.8)))
    rng.shuffle(made)
    return made


def _at_levels(count: int, rng: random.Random) -> list[Course]:
    shape = rng.choice((_flat, _noisy, _wave, _steps))
    return [_placed(shape(rng), rng.uniform(0, 0.8), rng.choice((0.05, 0.1, 0.2))) for _ in range(count)]


# Single curves, from 0 to 1


def _rising(rng: random.Random) -> Course:
    power = rng.choice((0.5, 1.0, 1.0, 1.5, 2.0, 4.0))
    return lambda t: t**power


def _falling(rng: random.Random) -> Course:
    power = rng.choice((0.5, 1.0, 1.0, 2.0, 3.0))
    return lambda t: 1 - t**power


def _decaying(rng: random.Random) -> Course:
    rate = rng.uniform(2, 9)
    return lambda t: math.exp(-rate * t)


def _saturating(rng: random.Random) -> Course:
    rate = rng.uniform(3, 14)
    return lambda t: 1 - math.exp(-rate * t)


def _sigmoid(rng: random.Random) -> Course:
    middle, rate = rng.uniform(0.25, 0.75), rng.uniform(8, 40)
    return lambda t: 1 / (1 + math.exp(-rate * (t - middle)))


def _flat(rng: random.Random) -> Course:
    level, slope = rng.uniform(0.2, 0.8), rng.choice((0.0, 0.0, 0.03, -0.03))
    return lambda t: level + slope * t


def _noisy(rng: random.Random) -> Course:
    """A plateau with noise, the same at every call for the same place."""
    level, phases = rng.uniform(0.3, 0.7), [rng.uniform(0, 6.28) for _ in range(5)]
    return lambda t: level + 0.04 * sum(math.sin(phase + t * (23 + 17 * i)) for i, phase in enumerate(phases))


def _peak(rng: random.Random) -> Course:
    middle, width = rng.uniform(0.25, 0.75), rng.uniform(0.08, 0.3)
    return lambda t: math.exp(-(((t - middle) / width) ** 2))


def _dip(rng: random.Random) -> Course:
    peak = _peak(rng)
    return lambda t: 1 - peak(t)


def _bowl(rng: random.Random) -> Course:
    middle, sign = rng.uniform(0.2, 0.8), rng.choice((1, -1))
    reach = max(middle, 1 - middle)
    return lambda t: (1 - sign) / 2 + sign * ((t - middle) / reach) ** 2


def _wave(rng: random.Random) -> Course:
    turns, start, growth = rng.uniform(0.7, 5), rng.uniform(0, 6), rng.choice((0.0, 0.0, -2.0, 1.0))
    return lambda t: 0.5 + 0.5 * math.sin(6.28 * turns * t + start) * math.exp(growth * (t if growth < 0 else t - 1))


def _steps(rng: random.Random) -> Course:
    levels = [rng.random() for _ in range(rng.choice((2, 3, 4, 6)))]
    if rng.random() < 0.5:
        levels.sort(reverse=rng.random() < 0.4)
    return lambda t: levels[min(int(t * len(levels)), len(levels) - 1)]


def _polyline(rng: random.Random) -> Course:
    """Straight between some points, as most curves of papers are."""
    heights = [rng.random() for _ in range(rng.choice((3, 4, 5, 6, 8, 11)))]
    if rng.random() < 0.4:
        heights.sort(reverse=rng.random() < 0.5)
    return _through(heights)


def _random_walk(rng: random.Random) -> Course:
    drift, heights = rng.choice((0.0, 0.0, 0.03, -0.03)), [0.5]
    for _ in range(40):
        heights.append(heights[-1] + rng.gauss(drift, 0.08))
    low, high = min(heights), max(heights)
    return _through([(height - low) / (high - low) for height in heights])


def _through(heights: list[float]) -> Course:
    last = len(heights) - 1

    def course(t: float) -> float:
        i = min(int(t * last), last - 1)
        share = t * last - i
        return heights[i] + share * (heights[i + 1] - heights[i])

    return course


def _then_flat(rng: random.Random) -> Course:
    """Moves, and from some place on stays."""
    until, moving = rng.uniform(0.3, 0.7), rng.choice((_rising, _falling))(rng)
    return lambda t: moving(min(t / until, 1.0))


_MOVING: tuple[Shape, ...] = (_rising, _falling, _saturating, _decaying, _sigmoid, _peak, _polyline, _random_walk)
_SHAPES: tuple[Shape, ...] = (
    _rising, _rising, _falling, _falling, _saturating, _decaying, _sigmoid, _flat, _flat, _noisy, _peak, _peak, _dip,
    _bowl, _wave, _steps, _polyline, _polyline, _random_walk, _then_flat,
)  # fmt: skip
_TOGETHER: dict[Callable[[int, random.Random], list[Course]], float] = {
    _free: 0.3,
    _of_one_shape: 0.2,
    _nearly_equal: 0.1,
    _from_one_place: 0.09,
    _to_one_place: 0.06,
    _flat_among_moving: 0.1,
    _crossing: 0.1,
    _at_levels: 0.05,
}
