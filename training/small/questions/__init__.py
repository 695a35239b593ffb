"""Follow-up questions about a figure, each with an answer that goes by what was told of it.

    dialogue(told, random.Random(3), count=3)

Questions come in many wordings, a share of which is kept for evaluation (`Wording`). What was not read is answered with
"was not read", what the figure cannot tell ("why") with that; other languages are answered in English. What is asked
for lies in a module each: `axes`, `legend`, `curves`, `bars`, `unread`, `beyond`, and `threads`, whose questions go
back to the turn before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from training.small.paragraphs import BARS, is_grounded
from training.small.questions import axes, bars, beyond, curves, legend, threads, unread
from training.small.questions.scene import Kind, Pair, Scene, scene_of
from training.small.questions.wording import EXPLAIN, Asker, Wording, worded
from training.small.told import Told

__all__ = ["EXPLAIN", "Wording", "dialogue", "worded"]

_DRAWN_AGAIN = 0.35
"""By what the weight of a kind is multiplied once it was drawn."""
_DOUBTED, _REPEATED = 0.03, 0.015
"""How often an answer is followed by "Are you sure?" and by "Again, please."."""
_TRIES = 4


def dialogue(told: Told, rng: random.Random, count: int, wording: Wording = "train") -> list[Pair]:
    """Up to `count` questions with their answers, no two alike."""
    return [pair for _, pair in drawn(told, rng, count, wording)]


def drawn(told: Told, rng: random.Random, count: int, wording: Wording = "train") -> list[tuple[str, Pair]]:
    """`dialogue`, each pair with the kind of its question."""
    found: list[tuple[str, Pair]] = []
    asked: set[str] = set()
    said: set[str] = set()
    drawing = _drawing(told, rng, wording) if told.panels and count else iter(())
    for kind, scene, pairs in drawing:
        for pair in pairs:
            confirmed = confirmed_by(told, scene, pair)
            if confirmed is None or confirmed[0] in asked or confirmed[1] in said:
                break
            found.append((kind, confirmed))
            asked.add(confirmed[0])
            said.add(confirmed[1])
            if len(found) < count and (follow := _followed(scene, kind, confirmed)) and follow[1][0] not in asked:
                found.append(follow)
                asked.add(follow[1][0])
            if len(found) >= count:
                return found
    return found


def _drawing(told: Told, rng: random.Random, wording: Wording) -> Iterator[tuple[str, Scene, Sequence[Pair]]]:
    """Questions in the order in which they are drawn, until a number of draws that bring nothing new."""
    scenes = scenes_of(told, rng, wording)
    kinds = [(kind, scene) for scene in scenes for kind in kinds_of(scene)]
    weights = [kind.weight for kind, _ in kinds]
    for _ in range(_TRIES * len(kinds)):
        at = rng.choices(range(len(kinds)), weights)[0]
        weights[at] *= _DRAWN_AGAIN
        kind, scene = kinds[at]
        yield kind.name, scene, kind.make(scene)


def scenes_of(told: Told, rng: random.Random, wording: Wording) -> list[Scene]:
    """One for each panel; a question says which of several it is about."""
    scenes = []
    for at, panel in enumerate(told.panels[:6]):
        letter = "abcdef"[at] if len(told.panels) > 1 else None
        others = {name for k, other in enumerate(told.panels) if k != at for name in other.series}
        alone = frozenset(name for name in panel.series if name and name not in others)
        scenes.append(scene_of(told, panel, rng, Asker(rng, wording, letter, alone)))
    return scenes


def kinds_of(scene: Scene) -> tuple[Kind, ...]:
    """What can be asked of a panel."""
    shared: tuple[Kind, ...] = (*axes.KINDS, *legend.KINDS, legend.STRANGER, *beyond.KINDS)
    data = scene.panel.data
    if data is None:
        return (*shared, *unread.OF_NOTHING)
    shared = (*shared, *unread.KINDS)
    if not scene.claimed:  # nothing was read, or only series that have no name to ask for them by
        return shared
    shared = (*shared, *threads.KINDS)
    if len(data.series) > 1:
        shared = (*shared, *legend.OF_DATA)
    return (*shared, *(bars.BARS if data.kind in BARS else curves.LINES if data.kind == "line" else curves.CLOUDS))


def confirmed_by(told: Told, scene: Scene, pair: Pair) -> Pair | None:
    """The pair where the checks confirm its answer; of several panels, where they do once it says which it is about."""
    question, answer = pair
    if answer.endswith("a.u.."):
        answer = answer[:-1]
    if is_grounded(told, answer):
        return question, answer
    if scene.letter is None:
        return None
    placed = f"In panel ({scene.letter}), {curves.small_clause(answer)}"
    return (question, placed) if is_grounded(told, placed) else None


_TOLD_OF_DATA = {kind.name for kind in (*curves.LINES, *curves.CLOUDS, *bars.BARS)}


def _followed(scene: Scene, kind: str, pair: Pair) -> tuple[str, Pair] | None:
    """Now and then somebody doubts an answer about the data, or did not hear it."""
    chance = scene.rng.random()
    if kind not in _TOLD_OF_DATA or chance >= _DOUBTED + _REPEATED:
        return None
    if pair[1].startswith(("Yes", "No")) or " not read" in pair[1]:
        return None
    if chance < _DOUBTED:
        return "doubted", threads.sure(scene, pair)
    return "repeated", threads.again(scene, pair)
