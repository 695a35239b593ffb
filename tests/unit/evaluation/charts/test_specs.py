"""What other tools are told to draw: varied, the same for the same seed, and true to its own axes."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from evaluation.suites.charts.draw import layout
from evaluation.suites.charts.draw.specs import BARS, COUNTS, LINES, NOT_READ, SCATTERS, Drawing, drawings, stacked_sums

SEED = 12
TOOLS = sorted(COUNTS)


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Drawing]]:
    return {tool: list(drawings(tool, SEED)) for tool in TOOLS}


def test_there_are_enough_figures_half_of_them_for_the_headline(drawn: dict[str, list[Drawing]]) -> None:
    splits = Counter(drawing.truth.split for made in drawn.values() for drawing in made)
    assert sum(splits.values()) >= 200
    assert splits["test"] >= 100


def test_both_splits_hold_all_families(drawn: dict[str, list[Drawing]]) -> None:
    truths = [drawing.truth for made in drawn.values() for drawing in made]
    for split in ("dev", "test"):
        kinds = Counter(truth.panels[0].kind for truth in truths if truth.split == split)
        assert kinds["line"] >= 50
        assert kinds["other"] >= 15
        assert sum(kinds[kind] for kind in ("bar", "grouped_bar", "stacked_bar")) >= 20
        assert kinds["scatter"] >= 3


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_draws_all_that_must_be_abstained_from(tool: str) -> None:
    forms = {drawing.truth.form for drawing in drawings(tool, SEED, 100)}
    assert forms >= set(NOT_READ[tool])


def test_each_form_is_drawn_by_some_tool(drawn: dict[str, list[Drawing]]) -> None:
    forms = {drawing.truth.form for made in drawn.values() for drawing in made}
    assert forms >= {*LINES, *BARS, *SCATTERS}


def test_same_seed_gives_the_same_figures_and_another_seed_others() -> None:
    first, again, other = (list(drawings("vega", seed, 12)) for seed in (SEED, SEED, SEED + 1))
    assert first == again
    assert [drawing.truth for drawing in first] != [drawing.truth for drawing in other]


@pytest.mark.parametrize("tool", TOOLS)
def test_data_lie_within_their_axes(tool: str) -> None:
    for drawing in drawings(tool, SEED, 60):
        for panel in drawing.truth.panels:
            values = [y for series in panel.series for _, y in series.points]
            if panel.kind == "stacked_bar":
                values = stacked_sums(panel)
            axis = panel.value_axis
            assert axis.low is not None and axis.high is not None
            assert all(axis.low <= value <= axis.high for value in values)
            if panel.x.low is not None and panel.x.high is not None and not panel.horizontal:
                places = [x for series in panel.series for x, _ in series.points if not isinstance(x, str)]
                assert all(panel.x.low <= x <= panel.x.high for x in places)


@pytest.mark.parametrize("tool", TOOLS)
def test_plot_areas_lie_within_the_figure_and_apart(tool: str) -> None:
    for drawing in drawings(tool, SEED, 60):
        boxes = layout.areas(drawing.truth.panels, drawing.look)
        for x0, y0, x1, y1 in boxes:
            assert 0 < x0 < x1 - 60 and x1 < drawing.look.width
            assert 0 < y0 < y1 - 60 and y1 < drawing.look.height
        for first, second in itertools.pairwise(boxes):
            assert first[2] <= second[0] or first[3] <= second[1] or second[2] <= first[0]
