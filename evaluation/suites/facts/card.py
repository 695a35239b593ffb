"""The tables of a model's card, as data beside the model, and the comparison of another run with them.

`measured/card.json` in a model's folder holds what `llava-graph eval card` measured: for each set of figures its
settings, the counts, shares and intervals of every table, and the scores of every answer. A score of another run agrees
with the card where their 95 % intervals overlap; an answer does where it scored the same for the same figure. Nothing
here asks a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.suites.facts import report
from evaluation.suites.facts.report import Cell, Column
from evaluation.suites.facts.run import BLANK, FactsError

MEASURED_FILE = "measured/card.json"
"""In a folder of its own: the files beside a delta decide where its built model lies (llava_graph/built.py)."""

IDENTITY = ("model", "revision", "weights_sha256")
"""The settings of a run that say which model it measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The tables of one set of figures. `settings` are those of the run; `follow_ups` is empty where none were asked.

    `answers` has each explanation's scores by figure and column: [hits, of] for each of METRICS.
    """

    settings: Mapping[str, Any]
    columns: Mapping[str, Column]
    follow_ups: Mapping[str, Cell]
    answers: Mapping[str, Mapping[str, list[list[int]]]]

    def to_json(self) -> dict[str, object]:
        return {
            "settings": dict(self.settings),
            "columns": report.as_json(self.columns),
            "follow_ups": report.cells_json(self.follow_ups),
            "answers": {figure: dict(columns) for figure, columns in self.answers.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Measured:
        """Raises KeyError or TypeError for another shape."""
        columns = {
            name: Column(column["figures"], _cells(column["scores"]), dict(column["notes"]))
            for name, column in value["columns"].items()
        }
        return cls(dict(value["settings"]), columns, _cells(value["follow_ups"]), dict(value["answers"]))

    @property
    def figures(self) -> object:
        """The name of the set."""
        return self.settings["figures"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One score of a run beside the card's. Either may lack opportunities; then there is nothing to compare."""

    row: str
    column: str
    here: Cell
    card: Cell

    @property
    def agrees(self) -> bool | None:
        """Whether the intervals overlap; None where one of them has none."""
        if self.here.low is None or self.here.high is None or self.card.low is None or self.card.high is None:
            return None
        return self.here.low <= self.card.high and self.card.low <= self.here.high


def write(path: Path, machine: str, sets: Sequence[Measured]) -> None:
    """Writes the card's data, whole or not at all."""
    whole = {"machine": machine, "sets": [one.to_json() for one in sets]}
    text = json.dumps(whole, ensure_ascii=False).replace('"},"', '"},\n"')
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.partial")
    new.write_text(f"{text}\n", encoding="utf-8")
    new.replace(path)


def load(model_dir: Path) -> list[Measured]:
    """What the model's card holds, one entry a set; empty where the folder has no such file. Raises FactsError."""
    path = model_dir / MEASURED_FILE
    if not path.exists():
        return []
    try:
        return [Measured.from_json(one) for one in json.loads(path.read_text(encoding="utf-8"))["sets"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FactsError(f"{path}: is not what `llava-graph eval card` writes: {error!r}") from error


def compare(here: Measured, card: Measured) -> list[Compared]:
    """The scores that both have, column by column, then the follow-up questions."""
    found = [
        Compared(report.TITLES[metric], name, cell, card.columns[name].cells[metric])
        for name, column in here.columns.items()
        if name in card.columns
        for metric, cell in column.cells.items()
        if metric in card.columns[name].cells
    ]
    return found + [
        Compared(f"follow-up questions: {kind}", "all", cell, card.follow_ups[kind])
        for kind, cell in here.follow_ups.items()
        if kind in card.follow_ups
    ]


def same_answers(here: Measured, card: Measured) -> tuple[int, int]:
    """Of the answers that both hold, how many scored the same, and how many there are."""
    pairs = [
        (scores, card.answers[figure][column])
        for figure, columns in here.answers.items()
        for column, scores in columns.items()
        if column in card.answers.get(figure, {})
    ]
    return sum(one == other for one, other in pairs), len(pairs)


def comparison(here: Measured, cards: Sequence[Measured], folder: Path) -> str:
    """What a terminal shows of the comparison with the card in `folder`: every score, then what agrees and what not."""
    if not cards:
        return (
            f"{folder} has no {MEASURED_FILE}: there is no card to compare with (`llava-graph eval card` makes one).\n"
        )
    card = next((one for one in cards if one.figures == here.figures), None)
    if card is None:
        return f"The card in {folder} was not measured on these figures ({here.figures}): not compared.\n"
    if other := [name for name in IDENTITY if here.settings.get(name) != card.settings.get(name)]:
        return f"The card in {folder} is of another {' and '.join(other)} than was measured here: not compared.\n"
    compared = compare(here, card)
    columns = list(dict.fromkeys(each.column for each in compared))
    counts = f"{_figures(here)} figures here, {_figures(card)} in the card"
    lines = [f"| here / in the card ({counts}) | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for row in dict.fromkeys(each.row for each in compared):
        cells = {each.column: _both(each) for each in compared if each.row == row}
        lines.append(f"| {row} | {' | '.join(cells.get(column, '') for column in columns)} |")
    judged = [each for each in compared if each.agrees is not None]
    off = [each for each in judged if not each.agrees]
    lines += [
        "",
        f"{len(judged) - len(off)} of {len(judged)} scores agree with the card: their 95 % intervals overlap.",
    ]
    same, both = same_answers(here, card)
    if both:
        lines.append(f"{same} of {both} answers scored exactly as the card's about the same figures.")
    lines += [f"- not {each.row} under {each.column}: {each.here} here, {each.card} in the card" for each in off]
    return "\n".join(lines) + "\n"


def markdown(sets: Sequence[Measured], machine: str, commands: Sequence[str]) -> str:
    """The section of the card: for each set how it was measured, the command that does it again, and the tables."""
    parts = []
    for one, command in zip(sets, commands, strict=True):
        what = f"{_figures(one)} figures ({one.figures})"
        how = "real OCR and chart reader, the gateway's own prompt, greedy; shares with 95 % intervals and counts"
        blank = ""
        if BLANK in one.columns:
            blank = f" Column `{BLANK}`: the prompts of `all` with a white image in place of the figure."
        tables = report.markdown(one.columns)
        if one.follow_ups:
            tables += report.follow_ups_markdown(one.follow_ups)
        revision = f"Revision {one.settings['revision']}, {what}, {how}. Machine: {machine}.{blank}"
        parts.append(f"{revision}\n\n    {command}\n\n{tables}")
    return "\n".join(parts)


def _cells(value: Mapping[str, Mapping[str, Any]]) -> dict[str, Cell]:
    return {
        name: Cell(cell["hits"], cell["of"], cell["share"], cell["low"], cell["high"]) for name, cell in value.items()
    }


def _figures(measured: Measured) -> int:
    return max((column.figures for column in measured.columns.values()), default=0)


def _both(compared: Compared) -> str:
    shares = ["–" if cell.share is None else f"{100 * cell.share:.0f} %" for cell in (compared.here, compared.card)]
    return " / ".join(shares) + (" ≠" if compared.agrees is False else "")
