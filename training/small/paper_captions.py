"""Captions of composed figures: none, useless ones, and such as papers have, of two or three sentences.

    caption(panels, random.Random(3))

Captions name some of what is drawn, and other things too: numbers that are not in the chart, conditions, another
subject, now and then in another language. So a model must look in the chart for what it says.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from data.synthetic import words
from data.synthetic.write import listing, spoken
from training.small import paper_words
from training.small.drawn import Drawn

_MOST_NAMED = 6

_USELESS = (
    "Results.", "Comparison of the methods.", "Overview.", "See text for details.", "Main results of the study.",
    "Summary of all runs.", "Screenshot of the dashboard.", "Figure taken from the report.", "Evaluation.",
    "Experiment 2.",
    "Benchmark results on our machine.", "Time series.", "Chart.", "Output of the script above.",
    "Details of the analysis.",
)  # fmt: skip
_TAILS = (
    "Error bars show the standard deviation of {n} runs.", "Error bars: SEM, n = {n}.", "n = {n} per group.",
    "Shaded areas are 95 % confidence intervals.", "The dashed line marks {d}.", "Data from {year}.",
    "Dotted: {d} quantile.",
    "Measured at {n} °C and pH {d}.", "All models were trained for {n} epochs with a batch size of {m}.",
    "p < 0.05, t-test.",
    "Averaged over {n} seeds.", "Each point is the mean of {n} replicates.", "Data were smoothed with a window of {n}.",
    "Lower is better.", "Higher is better.", "Vertical bars mark the interquartile range.",
    "Results for the test set only.",
    "Values are means of the years {year}-{later}.", "The sample has {m} members.", "Adapted from [{n}].",
    "See Table {n}.",
    "Asterisks mark significant differences (p < {d}).", "Note the logarithmic scale.", "Colours as in Fig. {n}.",
    "Simulations used {m} particles.", "The grey band is the range of the ensemble of {n} members.",
    "Source: own survey.",
    "Reads were taken every {n} minutes for {m} hours.", "Curves were fitted by least squares (R2 = {d}).",
    "Hardware: {n} cores, {m} GB of memory.", "Dashed lines are extrapolated.", "Missing bars: not measured.",
)  # fmt: skip
_ELSEWHERE = (
    "Map of the study area with the {n} sites.", "Photograph of the set-up.", "Block diagram of the controller.",
    "Distribution of {stranger} in the sample.", "Micrograph of the surface after {n} h.", "Structure of {stranger}.",
    "Flow chart of the selection of {m} patients.", "Dependence of {stranger} on {other}.",
    "{stranger} over {n} years.",
)  # fmt: skip
_FOREIGN = (
    "Abbildung {n}: {y} in Abhängigkeit von {x}.", "Vergleich der Verfahren.", "Évolution de {y} selon {x}.",
    "Comparaison des méthodes (n = {m}).", "Comparación de {y} entre grupos.", "Resultados del experimento {n}.",
    "{y} in funzione di {x}.", "图{n} 不同方法的比较", "図{n} {x}と{y}の関係", "Рис. {n}. Зависимость {y} от {x}.",
    "Ergebnisse der Messung vom {n}. Mai.", "Porównanie wyników dla {m} prób.",
)  # fmt: skip
_PREFIXES = (
    "Figure {n}: ", "Figure {n}. ", "Fig. {n}. ", "Fig. {n}: ", "Fig {n} ", "Figure {n}.{d}: ", "Figure S{n}. ",
    "Fig. {n} | ",
    "Extended Data Fig. {n} | ", "FIG. {n}. ", "Chart {n}: ", "Supplementary Figure {n}. ", "Exhibit {n}. ",
    "Plot {n}. ",
)  # fmt: skip


def caption(panels: Sequence[Drawn], rng: random.Random) -> str:
    """A caption of a figure with these panels, or ""."""
    form = rng.random()
    if form < 0.2:
        return ""
    if form < 0.3:
        text = rng.choice(_USELESS)
    elif form < 0.35:
        text = _filled(rng.choice(_ELSEWHERE), rng)
    elif form < 0.39:
        y, x = _quantities(panels[0])
        forms = [form for form in _FOREIGN if (y or "{y}" not in form) and (x or "{x}" not in form)]
        return _filled(rng.choice(forms), rng, y, x)  # some have a number of their own
    elif form < 0.65:
        text = _lead(panels[0], rng)
    else:
        text = _rich(panels, rng)
    prefix = _filled(rng.choice(_PREFIXES), rng) if rng.random() < 0.55 else ""
    return prefix + text


def _filled(form: str, rng: random.Random, y: str = "", x: str = "") -> str:
    year = rng.randint(1975, 2018)
    return form.format(
        n=rng.randint(1, 30),
        m=rng.choice((48, 64, 120, 256, 500, 1024, 2000, 12000)),
        d=rng.choice((1, 2, 0.5, 0.05, 0.01, 7.4, 0.92)),
        year=year,
        later=year + rng.randint(1, 20),
        stranger=words.quantity(rng, "train"),
        other=words.quantity(rng, "train"),
        y=y,
        x=x,
    )


def _quantities(panel: Drawn) -> tuple[str, str]:
    return spoken(panel.y), spoken(panel.x)


def _lead(panel: Drawn, rng: random.Random) -> str:
    """What is drawn, in one sentence."""
    y, x = _quantities(panel)
    forms = ["Comparison of results.", "Measurements of this study."]
    if y:
        forms = [f"{y}.", f"Comparison of {y}.", f"{y} in our experiments.", f"Measured {y}.", f"{y} of all groups."]
    if x and y:
        forms += [
            f"{y} against {x}.",
            f"{y} for different {x}.",
            f"Effect of {x} on {y}.",
            f"{y} as a function of {x}.",
        ]
        forms += [f"{y} vs. {x}.", f"{y} over {x}.", f"Dependence of {y} on {x}.", f"How {x} affects {y}."]
        forms += [f"{y} versus {x} (lower panel: residuals).", f"{y} by {x}.", f"Influence of {x} on the {y}."]
    return rng.choice(forms)


def _rich(panels: Sequence[Drawn], rng: random.Random) -> str:
    """Two or three sentences: what is drawn, whom it is drawn for, and conditions."""
    sentences = []
    if len(panels) > 1 and rng.random() < 0.75:
        if rng.random() < 0.5:
            sentences.append(rng.choice(_USELESS))
        form = rng.choice(("({}) {}", "({}) {}", "{}, {}", "{}: {}"))
        for letter, panel in zip("abcdef", panels, strict=False):
            y, x = _quantities(panel)
            shown = f"{y} against {x}" if x and y else y or "The same for the other group"
            sentences.append(form.format(letter, shown) + ".")
    elif panels[0].legend and rng.random() < 0.6:
        sentences.append(_with_names(panels[0], rng))
    else:
        sentences.append(_lead(panels[0], rng))
    sentences += [_filled(tail, rng) for tail in rng.sample(_TAILS, rng.choice((1, 1, 2)))]
    return " ".join(sentences)


def _with_names(panel: Drawn, rng: random.Random) -> str:
    """A sentence that names some of the series, now and then with the colours that nobody reads."""
    y, x = _quantities(panel)
    names = list(panel.legend)
    if len(names) > _MOST_NAMED or rng.random() < 0.25:
        names = names[: rng.randint(1, min(len(names), 4))]
    subject = f"{y} against {x}" if x and y else y or "Results"
    if rng.random() < 0.35:
        strokes = ("solid", "dashed", "dotted", "blue", "red", "green", "black", "grey", "circles", "squares", "orange")
        named = [f"{name} ({stroke})" for name, stroke in zip(names, rng.sample(strokes, len(names)), strict=True)]
        return f"{subject}: {', '.join(named)}."
    forms = (
        f"{subject} for {listing(names)}.",
        f"Comparison of {listing(names)}: {subject}.",
        f"{subject} of {listing(names)}, measured in {rng.choice(paper_words.CITIES)}.",
    )
    return rng.choice(forms)
