"""What training and evaluation take on trust from names, samples, facts and sentences: held-out names stay unseen, and
every sentence is true and names only what its reader could have read."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.synthetic import words
from data.synthetic.facts import Trend, panel_facts, trend
from data.synthetic.sample import sample_figure
from data.synthetic.spec import Axis, FigureSpec, Kind, Panel, Series
from data.synthetic.words import Split
from data.synthetic.write import (
    TREND_WORDS,
    Known,
    KnownPanel,
    caption,
    dialogue,
    everything,
    explanation,
    listing,
    number,
    spoken,
)

SPLITS: tuple[Split, ...] = get_args(Split)
SEEDS = range(200)

# What figures of both splits may share: the letters of parameters ("alpha = 3") and the suffix of acronyms ("ABC-Net").
SHARED_WORDS = {"alpha", "beta", "gamma", "delta", "lambda", "sigma", "tau", "eta", "mu", "rho", "Net"}


GOLDEN_AXES = [
    ("bar", "photon viscosity (keV)", "Thaezo duration"),
    ("grouped_bar", "Prediction Col Roughness [°C]", "Skid duration"),
    ("grouped_bar", "cleazorm concentration [arb. units]", "Skid duration"),
    ("bar", "Chivrura force (h)", "Flotaisk Stiffness"),
    ("line", "Force", "Mons (EUR)"),
]


def names_of(panel: Panel) -> Iterator[str]:
    yield from (panel.x.quantity, panel.y.quantity)
    yield from (series.name for series in panel.series)
    yield from panel.categories
    if panel.title:
        yield panel.title


def words_of(spec: FigureSpec) -> set[str]:
    """Its invented and its real words. Single letters, numbers and units are nobody's."""
    found = {word for panel in spec.panels for name in names_of(panel) for word in re.findall(r"[A-Za-z]{2,}", name)}
    return found - SHARED_WORDS


def spoken_in(name: str, text: str) -> bool:
    """Whether `name` stands in `text` as a name of its own and not inside another."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def line_panel(*curves: Sequence[float], log_y: bool = False) -> Panel:
    """Curves called A, B, … through the given heights at 0, 1, 2, …"""
    series = tuple(Series("ABCD"[i], tuple(range(len(ys))), tuple(ys)) for i, ys in enumerate(curves))
    return Panel("line", Axis("Time", "s"), Axis("Mass", "kg", log=log_y), series)


# Names


@pytest.mark.parametrize("split", SPLITS)
def test_every_word_of_a_figure_belongs_to_its_split(split: Split) -> None:
    for seed in SEEDS:
        for word in words_of(sample_figure(seed, split)):
            assert words.split_of(word) == split, (seed, word)


def test_no_held_out_word_is_drawn_for_training() -> None:
    seen, held_out = ({w.lower() for s in SEEDS for w in words_of(sample_figure(s, split))} for split in SPLITS)
    assert len(seen) > 500 and len(held_out) > 300
    assert not seen & held_out


@given(st.text(st.characters(codec="ascii"), min_size=1))
def test_the_case_of_a_word_does_not_change_its_split(word: str) -> None:
    assert words.split_of(word) == words.split_of(word.upper()) == words.split_of(word.capitalize())


def test_about_one_word_in_eight_is_held_out() -> None:
    rng = random.Random(0)
    drawn = ["".join(rng.choices("abcdefghij", k=7)) for _ in range(4000)]
    assert 0.10 < sum(words.split_of(word) == "heldout" for word in drawn) / len(drawn) < 0.15


@pytest.mark.parametrize("split", SPLITS)
def test_names_of_one_panel_are_distinct(split: Split) -> None:
    for seed in SEEDS:
        for panel in sample_figure(seed, split).panels:
            for names in ([s.name for s in panel.series], panel.categories, [panel.x.quantity, panel.y.quantity]):
                assert len({name.lower() for name in names}) == len(names), (seed, names)


def test_more_names_than_a_pattern_has_are_still_distinct() -> None:
    for seed in range(20):
        names = words.names(random.Random(seed), "heldout", 60)
        assert len({name.lower() for name in names}) == 60


# Samples


@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_always_gives_the_same_figure(split: Split) -> None:
    assert [sample_figure(seed, split) for seed in range(20)] == [sample_figure(seed, split) for seed in range(20)]


def test_seeds_and_splits_give_different_figures() -> None:
    assert len({repr(sample_figure(seed, split)) for seed in range(50) for split in SPLITS}) == 100


def test_seeds_still_give_the_figures_that_models_were_trained_and_measured_on() -> None:
    """A change here makes every measured table one of other figures: it needs new training and new tables."""
    panels = [panel for seed in range(4) for panel in sample_figure(seed, "heldout").panels]
    assert [(panel.kind, panel.y.label, panel.x.label) for panel in panels] == GOLDEN_AXES


def test_every_kind_of_figure_and_trend_occurs() -> None:
    panels = [panel for seed in SEEDS for panel in sample_figure(seed, "train").panels]
    assert {panel.kind for panel in panels} == set(get_args(Kind))
    trends = {series.trend for panel in panels if not panel.categories for series in panel_facts(panel).series}
    assert trends >= set(TREND_WORDS)
    assert any(panel.x.log for panel in panels) and any(panel.y.log for panel in panels)
    assert any(series.error for panel in panels for series in panel.series)


def test_bars_that_are_called_highest_and_lowest_stand_out() -> None:
    for seed in SEEDS:
        for panel in sample_figure(seed, "train").panels:
            for series in panel.series if panel.categories else ():
                ordered = sorted(series.y)
                assert ordered[-1] > ordered[-2] * 1.02 and ordered[0] < ordered[1] * 0.98, seed


# Facts


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([0.1, 0.3, 0.5, 0.7, 0.9], "rises"),
        ([0.0, 0.0, 0.1, 0.6, 0.9], "rises"),
        ([0.9, 0.6, 0.2, 0.1, 0.1], "falls"),
        ([0.5, 0.52, 0.49, 0.51, 0.5], "flat"),
        ([0.4, 0.4, 0.4], "flat"),
        ([0.1, 0.5, 0.9, 0.5, 0.1], "peaks"),
        ([0.2, 0.9, 0.6, 0.3, 0.25], "peaks"),
        ([0.9, 0.5, 0.1, 0.5, 0.9], "dips"),
        ([0.1, 0.9], "rises"),
        ([0.9, 0.1], "falls"),
        ([0.5, 0.5], "flat"),
        ([0.4, 0.6], "unclear"),  # more than flat, less than a rise
        ([0.5, 0.9, 0.1, 0.5], "unclear"),  # up, down and up again
        ([0.1, 0.9, 0.1, 0.9, 0.1], "peaks"),
        ([0.0, 0.9, 0.75], "unclear"),  # rises and turns
    ],
)
def test_trend_reads_the_shape_of_a_curve(heights: list[float], expected: Trend) -> None:
    assert trend(heights, 0.0, 1.0) == expected
    mirrored: dict[Trend, Trend] = {"rises": "falls", "falls": "rises", "peaks": "dips", "dips": "peaks"}
    assert trend([1.0 - h for h in heights], 0.0, 1.0) == mirrored.get(expected, expected)
    assert trend([20 + 300 * h for h in heights], 20.0, 320.0) == expected


def test_trend_is_judged_by_the_visible_range() -> None:
    heights = [5.0, 5.2, 5.4, 5.6, 5.8]
    assert trend(heights, 5.0, 5.8) == "rises"
    assert trend(heights, 0.0, 100.0) == "flat"
    assert trend(heights, 7.0, 7.0) == "flat"


@given(st.integers(0, 2**32), st.sampled_from(("rises", "falls", "flat")))
def test_noise_does_not_hide_a_trend(seed: int, shape: Trend) -> None:
    rng = random.Random(seed)
    start, end = {"rises": (0.2, 0.8), "falls": (0.8, 0.2)}.get(shape, (0.5, 0.5))
    heights = [start + (end - start) * i / 59 + rng.uniform(-0.04, 0.04) for i in range(60)]
    assert trend(heights, 0.0, 1.0) == shape


def test_series_are_ordered_from_the_highest_to_the_lowest() -> None:
    facts = panel_facts(line_panel([1, 1, 2], [7, 8, 9], [4, 4, 4]))
    assert facts.order == (1, 2, 0)
    assert facts.clear_top
    assert not panel_facts(line_panel([1.0, 5.0, 9.0], [1.1, 5.2, 9.0])).clear_top
    assert not panel_facts(line_panel([1.0, 5.0, 9.0])).clear_top


def test_extremes_are_told_with_their_places() -> None:
    (series,) = panel_facts(line_panel([3, 9, 2, 5])).series
    assert (series.highest, series.peak_at, series.lowest, series.low_at) == (9, 1, 2, 2)
    assert (series.start, series.end) == (3, 5)


def test_two_curves_cross_where_they_meet() -> None:
    crossing = panel_facts(line_panel([0, 1, 2, 3, 4], [4, 3, 2.5, 1, 0])).crossing
    assert crossing is not None and crossing[:2] == (0, 1)
    assert crossing[2] == pytest.approx(2.2)  # the first is below by 0.5 at 2 and above by 2 at 3


def test_curves_cross_where_they_are_seen_to_cross_on_a_log_axis() -> None:
    falling, rising = Series("A", (1, 100), (10, 0)), Series("B", (1, 100), (0, 10))
    crossing = panel_facts(Panel("line", Axis("Time", log=True), Axis("Mass"), (falling, rising))).crossing
    assert crossing is not None and crossing[2] == pytest.approx(10)


@pytest.mark.parametrize(
    "curves",
    [
        ([0, 4, 0, 4, 0], [4, 0, 4, 0, 4]),  # several times
        ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9]),  # never
        ([0, 1, 2, 3, 4], [0.2, 0.9, 1, 1, 1]),  # so close to an end that one could argue
        ([0, 1, 2, 3, 4], [4, 3, 2.5, 1, 0], [9, 9, 9, 9, 9]),  # a third curve could be meant
    ],
)
def test_a_crossing_is_told_only_where_there_is_one_to_point_at(curves: Sequence[Sequence[float]]) -> None:
    assert panel_facts(line_panel(*curves)).crossing is None


def test_on_a_log_axis_heights_are_compared_as_logarithms() -> None:
    steady_decades = [1, 10, 100, 1000, 10_000]
    late_riser = [1, 1, 1, 1, 10_000]
    assert panel_facts(line_panel(steady_decades, log_y=True)).series[0].trend == "rises"
    # The mean of the second is higher in numbers, that of the first is higher for the eye.
    assert panel_facts(line_panel(steady_decades, [1, 1, 1, 5000, 9000])).order == (1, 0)
    assert panel_facts(line_panel(steady_decades, [1, 1, 1, 5000, 9000], log_y=True)).order == (0, 1)
    assert panel_facts(line_panel(steady_decades, late_riser[::-1], log_y=True)).crossing is not None


def test_bars_are_judged_from_zero() -> None:
    panel = replace(line_panel([96, 97, 98, 100]), kind="bar", categories=("P", "Q", "R", "S"))
    assert panel_facts(panel).series[0].trend == "flat"


# Words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (7, "7"),
        (120, "120"),
        (123.4, "120"),
        (99.6, "100"),
        (0.0996, "0.1"),
        (0.5, "0.5"),
        (1.25, "1.2"),
        (0.04567, "0.046"),
        (-3.14159, "-3.1"),
        (-0.000123, "-0.00012"),
        (1234567, "1200000"),
        (8.5e-9, "0.0000000085"),
        (-987654, "-990000"),
        (4e15, "4000000000000000"),
    ],
)
def test_numbers_are_spoken_with_two_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-6, 1e9), st.sampled_from((1, -1)))
def test_a_spoken_number_is_within_five_percent(magnitude: float, sign: int) -> None:
    assert float(number(sign * magnitude)) == pytest.approx(sign * magnitude, rel=0.051)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Thermal vodi rate (K/s)", "Thermal vodi rate"),
        ("Mass [kg]", "Mass"),
        ("Mass", "Mass"),
        ("Mass (kg", "Mass"),  # an OCR model may lose the closing bracket
        ("Share(%) ", "Share"),
        ("f(x) value", "f(x) value"),
        ("(a.u.)", "(a.u.)"),
    ],
)
def test_an_axis_is_spoken_of_without_its_unit(label: str, name: str) -> None:
    assert spoken(label) == name


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [listing(["A"]), listing(["A", "B"]), listing(["A", "B", "C"])] == ["A", "A and B", "A, B and C"]


def sentences_about(spec: FigureSpec, known: Known, seed: int) -> str:
    rng = random.Random(seed)
    answers = [answer for _, answer in dialogue(spec, known, rng, 99)]
    return " ".join([explanation(spec, known, rng), *answers])


def nothing(spec: FigureSpec) -> Known:
    """What a reader knows who saw no text at all."""
    return tuple(
        KnownPanel(None, None, (None,) * len(panel.series), (None,) * len(panel.categories)) for panel in spec.panels
    )


def without(known: Known, name: str) -> Known:
    """The same reader without this name, wherever it stands."""

    def kept(given: str | None) -> str | None:
        return None if given == name else given

    return tuple(
        KnownPanel(kept(panel.x), kept(panel.y), tuple(map(kept, panel.series)), tuple(map(kept, panel.categories)))
        for panel in known
    )


def test_who_knows_no_name_is_told_none() -> None:
    for seed in SEEDS:
        spec = sample_figure(seed, "train")
        nothing = tuple(
            KnownPanel(None, None, (None,) * len(p.series), (None,) * len(p.categories)) for p in spec.panels
        )
        text = sentences_about(spec, nothing, seed)
        for panel in spec.panels:
            for name in names_of(panel):
                assert not spoken_in(name, text), (seed, name, text)


def test_a_single_name_that_is_unknown_is_never_spoken() -> None:
    for seed in range(60):
        spec = sample_figure(seed, "train")
        names = {name for panel in spec.panels for name in names_of(replace(panel, title=None))}
        for name in names:
            # Skip a name that is part of another one, as "Rate" is of "Rate index".
            if not any(spoken_in(name, other) for other in names - {name}):
                assert not spoken_in(name, sentences_about(spec, without(everything(spec), name), seed)), (seed, name)


def test_who_knows_every_name_is_told_axes_and_series() -> None:
    for seed in SEEDS:
        spec = sample_figure(seed, "train")
        text = explanation(spec, everything(spec), random.Random(seed))
        for panel in spec.panels:
            told = [panel.x.quantity, panel.y.quantity]
            if panel.legend:
                told += [series.name for series in panel.series]
            assert all(name in text for name in told), (seed, text)


TREND_CLAUSE = re.compile(
    rf"(?P<verb>{'|'.join(verb for verbs in TREND_WORDS.values() for verb in verbs)})"
    r"(?: from about (?P<start>\S+) to about (?P<end>\S+)| at about (?P<level>\S+)(?: near (?P<at>\S+))?)\.(?:$| )"
)


def test_every_trend_that_is_told_is_true() -> None:
    """Reads the sentences back: each curve in turn, its verb, its numbers."""
    told = 0
    for seed in SEEDS:
        spec = sample_figure(seed, "train")
        panel = spec.panels[0]
        if panel.categories or len(spec.panels) > 1:
            continue
        text = explanation(spec, everything(spec), random.Random(seed))
        clear = [series for series in panel_facts(panel).series if series.trend != "unclear"]
        clauses = list(TREND_CLAUSE.finditer(text))
        assert len(clauses) == len(clear), (seed, text)
        for series, clause in zip(clear, clauses, strict=True):
            told += 1
            name = panel.y.quantity if len(panel.series) == 1 and not panel.legend else series.name
            assert text[: clause.start()].endswith(f"{name} "), (seed, name, text)
            assert clause["verb"] in TREND_WORDS[series.trend]
            if series.trend in ("rises", "falls"):
                assert (clause["start"], clause["end"]) == (number(series.start), number(series.end))
            elif series.trend == "flat":
                assert clause["level"] == number(series.start)
            else:
                place = series.peak_at if series.trend == "peaks" else series.low_at
                value = series.highest if series.trend == "peaks" else series.lowest
                x = next(s for s in panel.series if s.name == series.name).x[place]
                assert (clause["level"], clause["at"]) == (number(value), number(x))
    assert told > 100


def test_a_borderline_curve_is_not_spoken_of() -> None:
    spec = FigureSpec((line_panel([0, 5, 10, 8.5], [0, 2, 4, 8]),), seed=0)
    assert panel_facts(spec.panels[0]).series[0].trend == "unclear"
    for seed in range(20):
        clauses = TREND_CLAUSE.findall(sentences_about(spec, everything(spec), seed))
        assert clauses and all(clause[0] in TREND_WORDS["rises"] for clause in clauses)


def test_highest_bars_and_crossings_are_told_as_they_are() -> None:
    yields = Series("all", (0, 1, 2), (30.0, 90.0, 10.0))
    bars = FigureSpec((Panel("bar", Axis("Site"), Axis("Yield", "%"), (yields,), ("P", "Q", "R")),), seed=0)
    lines = FigureSpec((line_panel([0, 1, 2, 3, 4], [4, 3, 2.5, 1, 0]),), seed=0)
    for seed in range(20):
        text = explanation(bars, everything(bars), random.Random(seed))
        assert "highest bar is Q at about 90 and the lowest is R at about 10." in text
        assert "A and B cross near 2.2." in explanation(lines, everything(lines), random.Random(seed))


SPOKEN = FigureSpec(
    (
        Panel(
            "line",
            Axis("Elapsed brelunk time", "ms"),
            Axis("Thermal vodi RATE", "K/s", "[]"),
            (Series("ZOQ-2", (0, 1, 2), (1, 2, 3)), Series("tau = 0.05", (0, 1, 2), (3, 2, 1))),
        ),
    ),
    seed=0,
)


def test_captions_name_labels_letter_by_letter_and_without_units() -> None:
    captions = [caption(SPOKEN, random.Random(seed)) for seed in range(300)]
    names = list(names_of(SPOKEN.panels[0]))
    for text in captions:
        assert [name for name in names if name.lower() in text.lower()] == [name for name in names if name in text]
        assert "ms" not in text and "K/s" not in text
    assert any(all(name in text for name in names) for text in captions)


def test_captions_are_as_poor_as_real_ones() -> None:
    captions = [caption(SPOKEN, random.Random(seed)) for seed in range(300)]
    names = list(names_of(SPOKEN.panels[0]))
    assert 5 < captions.count("") < 60
    assert sum(bool(text) and not any(name in text for name in names) for text in captions) > 10


def test_questions_of_one_dialogue_differ() -> None:
    for seed in SEEDS:
        spec = sample_figure(seed, "train")
        questions = [question for question, _ in dialogue(spec, everything(spec), random.Random(seed), 4)]
        assert len(set(questions)) == len(questions) and 3 <= len(questions) <= 4
