"""From answers and references to a table of scores: joined by id, with intervals, and two runs paired.

An answer without a reference, or the reverse, is an error: a mean over whatever happens to be there is another number.
It reads and writes no file; see `evaluation.metrics.commands`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.errors import InputError
from evaluation.fingerprint import Difference
from evaluation.metrics import scores
from evaluation.metrics.protocols import Protocol, ProtocolName, protocol
from evaluation.metrics.published import ITEMS, PUBLISHED, SOURCE
from evaluation.metrics.spice import spice
from evaluation.rows import Row, by_id, joined, pairs_sha256, text_of, text_sha256
from evaluation.statistics import Estimate, PairedDifference, compare, compare_means, estimate, mean_of


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one run. `empty` counts answers without a word, which are scored like any other."""

    protocol: ProtocolName
    scorer: str
    references_sha256: str
    items: int
    empty: int
    metrics: Mapping[str, Estimate]

    def label(self, metric: str) -> str:
        """The metric's name as tables print it, which says its protocol."""
        return metric if self.protocol == "original" else f"{metric} (tokenised)"

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: {**found.to_json(), "label": self.label(name)} for name, found in self.metrics.items()},
            "protocol": self.protocol,
            "scorer": self.scorer,
            "references_sha256": self.references_sha256,
            "items": self.items,
            "empty_answers": self.empty,
            "confidence": 0.95,
        }


@dataclass(frozen=True, slots=True)
class _Texts:
    """Prepared strings of one run beside their references, in the references' order."""

    answers: list[str]
    references: list[str]
    references_sha256: str
    chosen: Protocol


def score_run(answers: Sequence[Row], references: Sequence[Row], name: ProtocolName, *, with_spice: bool) -> Scored:
    """Scores of one run. Rows hold `question_id` and `text`.

    Raises MismatchError when the two do not hold the same ids, InputError for a reference without a word, and
    UnavailableError when SPICE is asked for and lacks something.
    """
    texts = _texts(answers, references, name)
    parts = scores.parts_of(texts.answers, texts.references)
    found = {metric: estimate(parts.statistic(metric), parts.items) for metric in scores.METRICS}
    if with_spice:
        found["SPICE"] = estimate(mean_of(spice(texts.answers, texts.references)), parts.items)
    empty = sum(not answer.strip() for answer in texts.answers)
    return Scored(name, scorer(texts.chosen), texts.references_sha256, parts.items, empty, found)


def compare_runs(
    left: Sequence[Row], right: Sequence[Row], references: Sequence[Row], name: ProtocolName, *, with_spice: bool
) -> dict[str, PairedDifference]:
    """For each metric: `right − left` on the same questions, with interval and paired randomisation test."""
    a, b = _texts(left, references, name), _texts(right, references, name)
    left_parts, right_parts = scores.parts_of(a.answers, a.references), scores.parts_of(b.answers, b.references)
    both = scores.together(left_parts, right_parts)
    found = {metric: compare(both.statistic(metric), left_parts.items) for metric in scores.METRICS}
    if with_spice:
        found["SPICE"] = compare_means(spice(a.answers, a.references), spice(b.answers, b.references))
    return found


def scorer(chosen: Protocol) -> str:
    """The scorer's version as fingerprints hold it."""
    return f"llava-graph metrics {scores.VERSION}, pycocoevalcap 1.2's definitions; {chosen.name}: {chosen.signature}"


def table(scored: Scored) -> str:
    """Markdown: a row for each metric, then SciGraphQA's published rows where the protocol is theirs."""
    lines = [
        f"{scored.items} answers, protocol `{scored.protocol}`, {scored.scorer}",
        "",
        "| metric | value (95 % interval) |",
        "| --- | --- |",
        *(f"| {scored.label(name)} | {found.text(4)} |" for name, found in scored.metrics.items()),
    ]
    if scored.empty:
        lines += ["", f"{scored.empty} answers are empty; they are scored as they are."]
    if scored.protocol == "original":
        lines += ["", *published_table(scored.items)]
    return "\n".join(lines) + "\n"


def published_table(items: int) -> list[str]:
    """SciGraphQA's rows as Markdown lines, with their source and what a comparison needs."""
    lines = [
        f"Published (quoted): {SOURCE}. Comparable only on those references"
        + ("." if items == ITEMS else f"; this run has {items} items."),
        "",
        "| model | CIDEr | BLEU-4 | ROUGE-L |",
        "| --- | --- | --- | --- |",
    ]
    return lines + [f"| {row.model} | {row.cider:g} | {row.bleu_4:g} | {row.rouge_l:g} |" for row in PUBLISHED]


def comparison_table(
    found: Mapping[str, PairedDifference], differing: Sequence[Difference] | None, left: str, right: str
) -> str:
    """Markdown: right − left for each metric, below in what the runs differ. `left` and `right` name the runs."""
    lines = [f"| metric | {right} less {left} (95 % interval) | p |", "| --- | --- | --- |"]
    for name, paired in found.items():
        p_value = "–" if paired.p_value is None else f"{paired.p_value:.4f}"
        lines.append(f"| {name} | {paired.difference.text(4)} | {p_value} |")
    if differing is None:
        lines += ["", "In what the runs differ is not known: at least one has no fingerprint."]
    elif differing:
        lines += ["", "The runs differ in:", *(f"- {item}" for item in differing)]
    else:
        lines += ["", "The fingerprints of the runs are the same."]
    return "\n".join(lines) + "\n"


def _texts(answers: Sequence[Row], references: Sequence[Row], name: ProtocolName) -> _Texts:
    answered, true = by_id(answers, "answers"), by_id(references, "references")
    ids = joined(true, "the references", answered, "the answers")
    chosen = protocol(name)
    texts = {key: text_of(true[key], "references") for key in ids}
    for key, text in texts.items():
        if not text.strip():
            raise InputError(f"references: the text of question {key} is empty")
    return _Texts(
        [chosen.prepare(text_of(answered[key], "answers")) for key in ids],
        [chosen.prepare(texts[key]) for key in ids],
        pairs_sha256((key, text_sha256(text)) for key, text in texts.items()),
        chosen,
    )
