"""What the tower is told stands where it is said to stand, in the image as it was drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch

from data.synthetic.facts import panel_facts
from data.synthetic.render import render
from data.synthetic.spec import Axis, FigureSpec, Panel, Series
from tests.unit.conftest import Drawn
from training.tiny.anchors import LAYERS, links, matching_loss
from training.tiny.data import StoredFigure
from training.tiny.learner import Learner
from training.tiny.model import GRID_SIDE, IMAGE_TOKENS
from training.tiny.vision import (
    IGNORED,
    RANKS,
    ROLES,
    TRENDS,
    VALUES,
    Anchor,
    AnchorReader,
    anchor_rows,
    anchors,
    curve_points,
    legend_anchor,
)

LOOKS = range(12)


def drawings_of(panel: Panel) -> Iterator[Drawn]:
    """The same panel in different looks."""
    for seed in LOOKS:
        spec = FigureSpec((panel,), seed)
        rendered = render(spec)
        yield Drawn(StoredFigure(seed, *rendered.image.size, rendered.texts, spec), rendered.image)


def ink_at(figure: Drawn, x: float, y: float) -> npt.NDArray[np.int16]:
    """The colour near a place (shares of the sides) that stands out most, as its difference from the background."""
    reach = 3 + max(figure.image.size) // 100  # beyond the white inside a marker and the gap between two dashes
    pixels = np.asarray(figure.image, dtype=np.int16)
    background = np.median(pixels.reshape(-1, 3), axis=0).astype(np.int16)
    column, row = int(x * figure.image.width), int(y * figure.image.height)
    near = pixels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    differences = (near - background).reshape(-1, 3)
    furthest: npt.NDArray[np.int16] = differences[np.abs(differences).sum(axis=1).argmax()]
    return furthest


def is_ink(figure: Drawn, x: float, y: float) -> bool:
    return bool(np.abs(ink_at(figure, x, y)).max() > 60)


def lines(log_x: bool = False, log_y: bool = False, shift: float = 0.0, factor: float = 1.0) -> Panel:
    """A rise and a fall; on a log axis over three decades, else over `factor` times 1..4 plus `shift`."""
    places = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    xs = tuple(10**place if log_x else place for place in places)
    heights = [0.5 + place for place in places], [4.0 - place / 2 for place in places]
    curves = [tuple(10**h if log_y else factor * (h + shift) for h in curve) for curve in heights]
    series = tuple(Series(name, xs, ys) for name, ys in zip(("Vodikar", "Zoq"), curves, strict=True))
    return Panel("line", Axis("Dose", "mg", log=log_x), Axis("Rate", "1/s", log=log_y), series)


def bars() -> Panel:
    series = Series("all", (0, 1, 2), (30.0, 90.0, 10.0))
    return Panel("bar", Axis("Site"), Axis("Yield", "%"), (series,), ("Arl", "Bem", "Col"), legend=False)


@pytest.mark.parametrize(
    ("panel", "spellings"),
    [
        (lines(), {"2", "2.0"}),
        (lines(log_x=True), {"100", "1000", "102", "103"}),
        (lines(log_y=True), {"100", "1000", "102", "103"}),
        (lines(log_x=True, log_y=True), {"100", "1000", "102", "103"}),
        (lines(shift=-2.5, factor=1000), {"1000", "1,000", "-1000", "-1,000"}),
        (lines(factor=1e-7), {"2e-7"}),
    ],
)
def test_points_of_a_curve_lie_on_its_ink_however_ticks_are_written(panel: Panel, spellings: set[str]) -> None:
    on_ink = beside = total = 0
    labels = set()
    for figure in drawings_of(panel):
        labels |= {text.text for text in figure.stored.texts if text.role in ("x_tick", "y_tick")}
        for series in panel.series:
            points = curve_points(figure.stored, 0, panel, series)
            assert len(points) == len(series.x)
            for x, y in points:
                total += 1
                on_ink += is_ink(figure, x, y)
                beside += is_ink(figure, x, y - 0.06)
    assert on_ink > 0.97 * total, (on_ink, total)
    assert beside < 0.6 * total  # grid lines, the other curve and error bars are ink too
    assert spellings <= labels, sorted(labels)


def test_points_of_drawn_figures_lie_on_ink(drawn: list[Drawn]) -> None:
    found = [
        is_ink(figure, anchor.x, anchor.y)
        for figure in drawn
        for anchor in anchors(figure.stored, random.Random(0))
        if anchor.role == IGNORED
    ]
    assert len(found) > 30 and sum(found) > 0.95 * len(found)


def test_the_anchor_of_a_legend_entry_stands_on_its_swatch() -> None:
    """There is the colour of the curve that the entry names, and not that of the other one."""
    panel = lines()
    right = total = 0
    for figure in drawings_of(panel):
        ends = [curve_points(figure.stored, 0, panel, series)[1] for series in panel.series]
        for text in figure.stored.texts:
            if text.role == "legend":
                x, y = legend_anchor(figure.stored, text)
                swatch = ink_at(figure, x, y)
                far = [int(np.abs(swatch - ink_at(figure, *end)).sum()) for end in ends]
                right += far[text.index] < far[1 - text.index]
                total += 1
    assert total == 2 * len(LOOKS) and right > 0.85 * total, (right, total)


def test_every_text_has_an_anchor_of_its_role(drawn: list[Drawn]) -> None:
    for figure in drawn:
        found = [anchor for anchor in anchors(figure.stored, random.Random(0)) if anchor.role != IGNORED]
        assert [ROLES[anchor.role] for anchor in found] == [text.role for text in figure.stored.texts][: len(found)]
        assert all(0 <= anchor.x <= 1 and 0 <= anchor.y <= 1 for anchor in found)


def test_a_legend_entry_tells_what_its_curve_does() -> None:
    panel = lines()
    for figure in drawings_of(panel):
        entries = [a for a in anchors(figure.stored, random.Random(0)) if a.role == ROLES.index("legend")]
        assert [TRENDS[entry.trend] for entry in entries] == ["rises", "falls"]
        for entry, series in zip(entries, panel.series, strict=True):
            points = curve_points(figure.stored, 0, panel, series)
            told = dict(zip(VALUES, entry.values, strict=True))
            assert told["start_y"] == pytest.approx(points[0][1]) and told["end_y"] == pytest.approx(points[-1][1])
            peak = panel_facts(panel).series[panel.series.index(series)].peak_at
            assert (told["highest_x"], told["highest_y"]) == pytest.approx(points[peak])


def test_a_category_tells_how_high_its_bar_is() -> None:
    for figure in drawings_of(bars()):
        found = [a for a in anchors(figure.stored, random.Random(0)) if a.role == ROLES.index("x_tick")]
        assert [RANKS[anchor.rank] for anchor in found] == ["between", "highest", "lowest"]
        tops = [anchor.values[0] for anchor in found]
        assert tops[1] < tops[0] < tops[2]  # y grows downwards
        assert all(math.isnan(v) for anchor in found for v in anchor.values[1:])


def test_places_are_left_out_where_ticks_show_no_numbers() -> None:
    for figure in drawings_of(lines()):
        blank = [text for text in figure.stored.texts if text.role != "y_tick"]
        unreadable = StoredFigure(0, figure.stored.width, figure.stored.height, tuple(blank), figure.stored.spec)
        assert curve_points(unreadable, 0, lines(), lines().series[0]) == []
        assert all(math.isnan(anchor.values[0]) for anchor in anchors(unreadable, random.Random(0)))


def test_rows_hold_the_anchors_and_nothing_behind_them(drawn: list[Drawn]) -> None:
    for figure in drawn:
        found = anchors(figure.stored, random.Random(1))
        rows = anchor_rows(figure.stored, random.Random(1))
        assert rows.dtype == np.float32 and rows.shape[1] == 6 + len(VALUES)
        assert np.isnan(rows[len(found) :]).all()
        assert rows[: len(found), :6].tolist() == [
            pytest.approx((a.x, a.y, a.role, a.kind, a.trend, a.rank)) for a in found
        ]


# The reader


def states(requires_grad: bool = False) -> torch.Tensor:
    return torch.randn(2, IMAGE_TOKENS, 16, generator=torch.Generator().manual_seed(0)).requires_grad_(requires_grad)


def batch_of(*rows: npt.NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows))


def test_the_reader_s_loss_is_finite_without_a_single_anchor(drawn: list[Drawn]) -> None:
    rows = anchor_rows(drawn[0].stored, random.Random(0))
    nothing = np.full_like(rows, np.nan)
    for anchors_given in (batch_of(nothing, nothing), batch_of(rows, nothing)):
        reader, seen = AnchorReader(16), states(requires_grad=True)
        loss = reader(seen, anchors_given)["loss"]
        torch.autograd.backward(loss)
        assert loss.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in reader.parameters())
        assert seen.grad is not None and seen.grad.isfinite().all()
    assert AnchorReader(16)(states(), batch_of(nothing, nothing))["loss"] == 0


def test_anchors_without_places_still_teach(drawn: list[Drawn]) -> None:
    rows = anchor_rows(drawn[0].stored, random.Random(0))
    rows[:, 6:] = np.nan
    assert AnchorReader(16)(states(), batch_of(rows, rows))["loss"].isfinite()


def test_the_reader_learns_what_it_is_told() -> None:
    """A few texts with fixed answers are learned by heart."""
    told = [Anchor((i + 0.5) / 8, 0.5, i % len(ROLES), 0, i % 5, values=(i / 8,) * len(VALUES)) for i in range(8)]
    row = np.array([(a.x, a.y, a.role, a.kind, a.trend, a.rank, *a.values) for a in told], dtype=np.float32)
    torch.manual_seed(0)
    reader = AnchorReader(16)
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        result = reader(states(), batch_of(row, row))
        result["loss"].backward()
        optimizer.step()
    assert result["trend_accuracy"] == 1
    assert result["place_error"] < 0.05


# The matching of legend entries to curves


def test_a_legend_entry_is_linked_to_the_patches_under_its_curve() -> None:
    for figure in drawings_of(lines()):
        rows = links(figure.stored)
        entries = [text for text in figure.stored.texts if text.role == "legend"]
        assert np.isnan(rows[len(entries) :]).all()
        for row, text in zip(rows, entries, strict=False):
            assert row[:2] == pytest.approx(legend_anchor(figure.stored, text), abs=1e-6)
            patches = {divmod(int(i), GRID_SIDE) for i in np.flatnonzero(row[2:])}
            panel = figure.stored.spec.panels[0]
            for x, y in curve_points(figure.stored, 0, panel, panel.series[text.index]):
                assert (int(y * GRID_SIDE), int(x * GRID_SIDE)) in patches
            # A curve is in one piece: each patch but one has a neighbour.
            for r, c in patches:
                assert any((r + dr, c + dc) in patches for dr in (-1, 0, 1) for dc in (-1, 0, 1) if dr or dc)


def test_bars_are_not_linked() -> None:
    for figure in drawings_of(bars()):
        assert np.isnan(links(figure.stored)).all()


def test_matching_is_taught_to_the_heads_that_look(learner: Learner) -> None:
    figure = next(drawings_of(lines()))
    tower = learner.llava.model.vision_tower
    rows = links(figure.stored)
    pixels = torch.zeros(2, 3, 240, 240)
    hidden = tower(pixels, output_hidden_states=True).hidden_states
    loss = matching_loss(tower, hidden, batch_of(rows, rows))
    # Untrained attention falls on all patches alike: the loss is about that of the curve's share.
    share = np.nansum(rows[:2, 2:], axis=1) / IMAGE_TOKENS
    assert loss.item() == pytest.approx(-np.log(share).mean(), abs=0.3)
    torch.autograd.backward(loss)
    # What the last of them puts out is not asked for here: only its two heads learn.
    attention = tower.encoder.layers[max(LAYERS)].self_attn
    gradient = attention.k_proj.weight.grad
    assert gradient is not None
    assert gradient[: 2 * attention.head_dim].any() and not gradient[2 * attention.head_dim :].any()


def test_without_a_legend_matching_costs_nothing(learner: Learner) -> None:
    tower = learner.llava.model.vision_tower
    hidden = tower(torch.zeros(1, 3, 240, 240), output_hidden_states=True).hidden_states
    nothing = torch.full((1, 4, 2 + IMAGE_TOKENS), math.nan)
    loss = matching_loss(tower, hidden, nothing)
    torch.autograd.backward(loss)
    assert loss == 0
