"""Scores of one model under several contexts, and the paired difference of each from the image alone.

Every context answers the same questions about the same pixels, so differences are taken question by question: their
intervals are narrower than those of the scores, and they are what the claim is about. The runs' fingerprints are
compared too, and whatever differs besides the context is said. It asks no model and reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.answers.contexts import CONTEXTS
from evaluation.errors import InputError
from evaluation.fingerprint import Difference, Fingerprint, compared
from evaluation.metrics.protocols import ProtocolName
from evaluation.metrics.score import Scored, compare_runs, score_run
from evaluation.rows import Row
from evaluation.statistics import PairedDifference

METRICS = ("BLEU-4", "ROUGE-L", "CIDEr")

EXPECTED = ("context", "prompts_sha256")
"""In these the runs differ by design."""


@dataclass(frozen=True, slots=True)
class ContextRun:
    """The answers under one context and their fingerprint."""

    answers: Sequence[Row]
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class ContextComparison:
    """Scores by context, differences from `base` by context and metric, and what else differs between the runs."""

    base: str
    scores: Mapping[str, Scored]
    differences: Mapping[str, Mapping[str, PairedDifference]]
    unexpected: Mapping[str, Sequence[Difference]]

    def to_json(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "contexts": {name: scored.to_json() for name, scored in self.scores.items()},
            "differences": {
                name: {metric: paired.to_json() for metric, paired in found.items()}
                for name, found in self.differences.items()
            },
            "also_differing": {name: [str(item) for item in found] for name, found in self.unexpected.items()},
        }


def compare_contexts(
    runs: Mapping[str, ContextRun], references: Sequence[Row], protocol: ProtocolName
) -> ContextComparison:
    """Scores and differences; the base is `none`, or the first run where that was not asked.

    Raises MismatchError when runs are of other questions or pixels, InputError for fewer than two.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs at least two contexts")
    ordered = sorted(runs, key=lambda name: CONTEXTS.index(name) if name in CONTEXTS else len(CONTEXTS))
    base = "none" if "none" in runs else ordered[0]
    differences: dict[str, Mapping[str, PairedDifference]] = {}
    unexpected: dict[str, Sequence[Difference]] = {}
    for name in ordered:
        if name == base:
            continue
        found = compared(runs[base].fingerprint, runs[name].fingerprint) or []
        unexpected[name] = [item for item in found if item.name not in EXPECTED]
        paired = compare_runs(runs[base].answers, runs[name].answers, references, protocol, with_spice=False)
        differences[name] = {metric: paired[metric] for metric in METRICS}
    scores = {name: score_run(runs[name].answers, references, protocol, with_spice=False) for name in ordered}
    return ContextComparison(base, scores, differences, {name: found for name, found in unexpected.items() if found})


def table(comparison: ContextComparison) -> str:
    """Markdown: scores by context, then differences from the base."""
    any_scored = next(iter(comparison.scores.values()))
    labels = [any_scored.label(metric) for metric in METRICS]
    lines = [f"| context | {' | '.join(labels)} |", "| --- |" + " --- |" * len(labels)]
    for name, scored in comparison.scores.items():
        lines.append(f"| {name} | {' | '.join(scored.metrics[metric].text(4) for metric in METRICS)} |")
    lines += ["", f"| less {comparison.base} | {' | '.join(labels)} |", "| --- |" + " --- |" * len(labels)]
    for name, found in comparison.differences.items():
        cells = [
            f"{found[metric].difference.text(4)}, p = {found[metric].p_value:.4f}"
            if found[metric].p_value is not None
            else found[metric].difference.text(4)
            for metric in METRICS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"{any_scored.items} questions, protocol `{any_scored.protocol}`; differences are paired by question.",
    ]
    for name, others in comparison.unexpected.items():
        lines += [
            "",
            f"`{name}` differs from `{comparison.base}` in more than the context:",
            *(f"- {o}" for o in others),
        ]
    return "\n".join(lines) + "\n"
