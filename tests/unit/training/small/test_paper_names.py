"""Names that are put together: many, none alike, and often one within another."""

from __future__ import annotations

import random

import pytest

from training.small import paper_names
from training.small.courses import courses


def test_names_of_a_legend_differ_for_a_reader_that_loses_spaces() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        count = rng.choice((1, 2, 5, 12))
        names = paper_names.legend(count, rng)
        assert len({"".join(name.split()).casefold() for name in names}) == count
        assert all(name == name.strip() and len(name) <= 60 for name in names)


def test_legends_are_far_too_many_to_be_learned_by_heart() -> None:
    rng = random.Random(2)
    drawn = [name for _ in range(1500) for name in paper_names.legend(4, rng)]
    assert len(set(drawn)) > 0.45 * len(drawn)


def test_one_name_often_holds_another() -> None:
    rng = random.Random(3)
    legends = [paper_names.legend(4, rng) for _ in range(500)]
    assert sum(any(a != b and a in b for a in names for b in names) for names in legends) > 100


@pytest.mark.parametrize("kind", ["number", "letter", "bracket", "comma", "underscore", "foreign"])
def test_names_are_of_all_kinds(kind: str) -> None:
    rng = random.Random(4)
    names = [name for _ in range(600) for name in paper_names.legend(3, rng)]
    found = {
        "number": [name for name in names if name.replace(".", "").isdigit()],
        "letter": [name for name in names if len(name) == 1 and name.isalpha()],
        "bracket": [name for name in names if "(" in name],
        "comma": [name for name in names if "," in name],
        "underscore": [name for name in names if "_" in name],
        "foreign": [name for name in names if any(ord(char) > 0x400 for char in name)],
    }
    assert len(found[kind]) >= 5


def test_labels_with_and_without_units_are_of_many_forms() -> None:
    rng = random.Random(5)
    labels = {paper_names.label(rng) for _ in range(1000)}
    assert len(labels) > 600
    for end in (")", "]"):
        assert sum(label.endswith(end) for label in labels) > 40
    assert sum(label.isupper() for label in labels) > 20
    assert sum(label.islower() for label in labels) > 60


def test_labels_alike_differ() -> None:
    rng = random.Random(6)
    assert all(len(set(paper_names.labels_alike(rng))) == 2 for _ in range(200))


def test_categories_are_as_many_as_asked_or_a_whole_row() -> None:
    rng = random.Random(7)
    for _ in range(500):
        count = rng.choice((2, 5, 12, 20))
        names = paper_names.categories(count, rng)
        assert 2 <= len(names) <= count
        assert len(set(names)) == len(names)


def test_curves_of_a_panel_stay_near_it() -> None:
    rng = random.Random(8)
    for _ in range(500):
        made = courses(rng.choice((1, 2, 6, 12)), rng)
        assert all(-0.6 <= course(t / 40) <= 2.2 for course in made for t in range(41))
