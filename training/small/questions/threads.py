"""Questions that go back to the turn before: "And its lowest?", "What about B?", "and at 20?"."""

from __future__ import annotations

from collections.abc import Sequence

from training.small.paragraphs import BARS
from training.small.questions import bars, curves
from training.small.questions.scene import Kind, Pair, Scene

_OF_IT = {
    "maximum": (
        "And its highest?",
        "And its maximum?",
        "How high does it go?",
        "What is its highest value?",
        "Its maximum?",
        "and the max",
        "Its peak value?",
        "And the highest value?",
        "What does it reach at most?",
        "And what is its largest value?",
    ),
    "minimum": (
        "And its lowest?",
        "And its minimum?",
        "How low does it go?",
        "What is its lowest value?",
        "Its minimum?",
        "and the min",
        "And the lowest value?",
        "And what is its least value?",
    ),
    "first": (
        "Where does it start?",
        "And where does it start?",
        "Its first value?",
        "And at the start?",
        "and the beginning?",
        "What does it start with?",
        "And its initial value?",
    ),
    "last": (
        "Where does it end?",
        "And where does it end?",
        "Its last value?",
        "And at the end?",
        "and the end?",
        "What does it end with?",
        "And its final value?",
    ),
    "trend": (
        "Does it rise or fall?",
        "How does it behave?",
        "And its trend?",
        "Which way does it go?",
        "Is it rising or falling?",
        "Describe its course.",
        "What does it do?",
    ),
}
_AT_IT = (
    "And at {at}?",
    "at {at}?",
    "What is it at {at}?",
    "And what about {at}?",
    "How large is it at {at}?",
    "Its value at {at}?",
    "and its value at {at}",
)
_SWITCH = (
    "And {s}?",
    "What about {s}?",
    "Same for {s}?",
    "And for {s}?",
    "{s}?",
    "and {s}",
    "The same for {s}, please.",
    "Now {s}.",
    "And that of {s}?",
    "How about {s}?",
)
_OTHER_BAR = (
    "And {c}?",
    "What about {c}?",
    "and {c}",
    "{c}?",
    "And for {c}?",
    "How about {c}?",
    "The same for {c}?",
)
_OTHER_EXTREME = {
    "minimum": ("And the lowest?", "And which is the lowest?", "and lowest?", "The lowest?", "And the smallest?"),
    "maximum": ("And the highest?", "And which is the highest?", "and highest?", "The highest?", "And the largest?"),
}


def curve_thread(scene: Scene) -> Sequence[Pair]:
    """A question about a curve, then one about "it", or the same about another curve."""
    i = scene.pick()
    aspects = ["maximum", "minimum", "trend"]
    if scene.data.kind == "line":
        aspects += ["first", "last", "at", "at"]
    scene.rng.shuffle(aspects)
    pairs: list[Pair] = []
    aspect = ""
    for step in range(scene.rng.choice((2, 2, 3, 3, 4))):
        others = [k for k in scene.claimed if k != i]
        if step and others and scene.rng.random() < 0.5:
            i = scene.rng.choice(others)
            question, answer = scene.ask_on(_SWITCH, s=scene.name(i)), _answer(scene, i, aspect)
        else:
            aspect = aspects.pop()
            if aspect == "at":
                place = curves.place_of(scene, i)
                if place is None:
                    return pairs
                aspect = f"at {place}"
            answer = _answer(scene, i, aspect)
            question = _question(scene, i, aspect, is_first=step == 0)
        if answer is None:
            return pairs if len(pairs) > 1 else []
        pairs.append((question, answer))
    return pairs


def _question(scene: Scene, i: int, aspect: str, is_first: bool) -> str:
    if aspect.startswith("at "):
        at = aspect.removeprefix("at ")
        return scene.ask(curves.AT, s=scene.name(i), at=at) if is_first else scene.ask_on(_AT_IT, at=at)
    return scene.ask(curves.FORMS[aspect], s=scene.name(i)) if is_first else scene.ask_on(_OF_IT[aspect])


def _answer(scene: Scene, i: int, aspect: str) -> str | None:
    if aspect.startswith("at "):
        return curves.at_answer(scene, i, aspect.removeprefix("at "))
    if aspect in ("maximum", "minimum"):
        return curves.extreme_answer(scene, i, aspect)  # type: ignore[arg-type]
    if aspect in ("first", "last"):
        return curves.end_answer(scene, i, aspect)  # type: ignore[arg-type]
    return curves.trend_answer(scene, i)


def bar_thread(scene: Scene) -> Sequence[Pair]:
    """A question about the bars, then the same about another bar, another end of the order or another series."""
    i = scene.pick()
    if scene.rng.random() < 0.5:
        kind = scene.rng.choice(("maximum", "minimum"))
        pairs = [bars.extreme_of(scene, i, kind)]  # type: ignore[arg-type]
        for _ in range(scene.rng.choice((1, 1, 2))):
            others = [k for k in scene.claimed if k != i]
            if others and scene.rng.random() < 0.6:
                i = scene.rng.choice(others)
                question = scene.ask_on(_SWITCH, s=scene.name(i))
            else:
                kind = "minimum" if kind == "maximum" else "maximum"
                question = scene.ask_on(_OTHER_EXTREME[kind])
            pairs.append((question, bars.extreme_answer(scene, i, kind)))  # type: ignore[arg-type]
        return pairs
    points = bars.points_told(scene, i)
    if len(points) < 2:
        return []
    point = scene.rng.choice(points)
    pairs = [bars.value_of(scene, i, point)]
    for _ in range(scene.rng.choice((1, 1, 2))):
        others = [k for k in scene.claimed if k != i and point.x in {p.x for p in bars.points_told(scene, k)}]
        if others and scene.rng.random() < 0.5:
            i = scene.rng.choice(others)
            point = next(p for p in bars.points_told(scene, i) if p.x == point.x)
            question = scene.ask_on(_SWITCH, s=scene.name(i))
        else:
            rest = [p for p in bars.points_told(scene, i) if p.x != point.x]
            if not rest:
                break
            point = scene.rng.choice(rest)
            question = scene.ask_on(_OTHER_BAR, c=str(point.x))
        pairs.append((question, bars.value_answer(scene, i, point)))
    return pairs


def thread(scene: Scene) -> Sequence[Pair]:
    return bar_thread(scene) if scene.data.kind in BARS else curve_thread(scene)


KINDS = (Kind("thread", 1.6, thread),)

_AGAIN = (
    "Again, please.",
    "Could you repeat that?",
    "Sorry, what was that?",
    "Pardon?",
    "Say that again.",
    "Once more?",
)
_SURE = (
    "Are you sure?",
    "Really?",
    "Is that certain?",
    "sure?",
    "Can you check that again?",
    "I think that is wrong.",
    "That does not look right.",
    "Are you certain about that?",
)


def again(scene: Scene, before: Pair) -> Pair:
    """The answer before once more."""
    return scene.ask_on(_AGAIN), before[1]


def sure(scene: Scene, before: Pair) -> Pair:
    """The reading once more, to somebody who doubts it."""
    return scene.ask_on(_SURE), f"That is what was read. {before[1]}"
