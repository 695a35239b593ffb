"""The sections of a report: what each file of the runs becomes as tables and plots.

Every comparison of runs stands beside what their fingerprints differ in; one that the fingerprints forbid is replaced
by the reason. Nothing here knows HTML.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.errors import InputError, MismatchError
from evaluation.fingerprint import compared, differences
from evaluation.metrics import scores
from evaluation.metrics.protocols import ProtocolName, protocol
from evaluation.metrics.published import ITEMS, PUBLISHED, SOURCE
from evaluation.metrics.score import compare_runs, score_run
from evaluation.report.parts import Plot, Section, Table
from evaluation.report.plots import Value, bars, points, said_and_true
from evaluation.report.runs import Run
from evaluation.rows import Row, by_id, text_of
from evaluation.statistics import Estimate, estimate
from llava_graph.chart import Axis, Chart, ChartFormatError, Fact, Point, from_json
from llava_graph.numbers import numbers_in

VERDICTS = ("printed", "read", "contradicted", "unsupported")
"""What a check says of a number or trend of an answer, in the order of tables."""

_FINGERPRINT_ROWS = (
    "model",
    "revision",
    "weights_sha256",
    "engine",
    "engine_version",
    "template",
    "context",
    "questions_sha256",
    "prompts_sha256",
    "pixels_sha256",
    "preprocessing",
    "sampling",
    "software",
)


def sections_of(runs: Sequence[Run], references: Sequence[Row] | None, name: ProtocolName) -> list[Section]:
    """All sections for which the runs hold something."""
    found = [
        _about(runs),
        _metrics(runs, references, name),
        _by_type(runs, references, name),
        _contexts(runs),
        _numbers(runs),
        *_judges(runs),
        _ocr(runs),
        _scienceqa(runs),
    ]
    return [section for section in found if section is not None]


def _about(runs: Sequence[Run]) -> Section | None:
    known = [run for run in runs if run.fingerprint is not None]
    if not known:
        return Section("Runs", ["No run has a fingerprint: in what they differ is not known."])
    rows = []
    for name in _FINGERPRINT_ROWS:
        values = [_short(getattr(run.fingerprint, name)) for run in known]
        rows.append([f"{name} ≠" if len(set(values)) > 1 else name, *values])
    rows.append(["answers", *(str(len(run.answers)) for run in known)])
    notes = []
    for run in known[1:]:
        left, right = known[0].fingerprint, run.fingerprint
        if left is not None and right is not None:
            names = [item.name for item in differences(left, right)]
            notes.append(f"{run.name} differs from {known[0].name} in: {', '.join(names) or 'nothing'}.")
    notes += [f"{run.name} has answers without a fingerprint." for run in runs if run.answers and not run.fingerprint]
    return Section("Runs", notes, [Table(["", *(run.name for run in known)], rows)])


def _metrics(runs: Sequence[Run], references: Sequence[Row] | None, name: ProtocolName) -> Section | None:
    """Scores computed here where references are given, else those of metrics.json."""
    scored: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for run in runs:
        if references is not None and run.answers:
            scored[run.name] = score_run(list(run.answers.values()), references, name, with_spice=False).to_json()
        elif "metrics" in run.results:
            scored[run.name] = dict(run.results["metrics"])
    if not scored:
        return None
    protocols = {str(document.get("protocol")) for document in scored.values()}
    if len(protocols) > 1:
        raise InputError(f"the runs were scored under different protocols ({', '.join(sorted(protocols))})")
    chosen = protocols.pop()
    metrics = [metric for metric in (*scores.METRICS, "SPICE") if any(metric in doc for doc in scored.values())]
    labels = {metric: metric if chosen == "original" else f"{metric} ({chosen})" for metric in metrics}
    tables = [
        Table(
            ["metric", *scored],
            [[labels[metric], *(_cell(document.get(metric), 4) for document in scored.values())] for metric in metrics]
            + [["answers", *(str(document.get("items", "–")) for document in scored.values())]],
        )
    ]
    scorers = sorted({str(document.get("scorer")) for document in scored.values()})
    notes.append(f"Protocol `{chosen}`; scorer: {'; '.join(scorers)}. Values with 95 % intervals.")
    if references is not None:
        paired, said = _paired(runs, references, name)
        tables += paired
        notes += said
    if chosen == "original":
        items = {document.get("items") for document in scored.values()}
        here = "" if items == {ITEMS} else " The runs here are on other questions, so the rows are no comparison."
        notes.append(f"Published rows, quoted: {SOURCE}. CIDEr depends on the set of references.{here}")
        rows = [[row.model, f"{row.cider:g}", f"{row.bleu_4:g}", f"{row.rouge_l:g}"] for row in PUBLISHED]
        tables.append(Table(["published", "CIDEr", "BLEU-4", "ROUGE-L"], rows))
    return Section("Answers against references", notes, tables)


def _paired(runs: Sequence[Run], references: Sequence[Row], name: ProtocolName) -> tuple[list[Table], list[str]]:
    """Paired differences of each run from the first; where fingerprints forbid them, the reason."""
    answered = [run for run in runs if run.answers]
    columns: dict[str, list[str]] = {}
    notes = []
    for run in answered[1:]:
        try:
            differing = compared(answered[0].fingerprint, run.fingerprint)
        except MismatchError as error:
            notes.append(f"{run.name} is not compared with {answered[0].name}: {error}")
            continue
        found = compare_runs(
            list(answered[0].answers.values()), list(run.answers.values()), references, name, with_spice=False
        )
        columns[run.name] = [
            f"{paired.difference.text(4)}" + (f", p = {paired.p_value:.4f}" if paired.p_value is not None else "")
            for paired in found.values()
        ]
        names = ", ".join(item.name for item in differing or []) or "nothing"
        notes.append(f"{run.name} and {answered[0].name} differ in {names}.")
    if not columns:
        return [], notes
    rows = [[metric, *(column[index] for column in columns.values())] for index, metric in enumerate(scores.METRICS)]
    return [Table([f"less {answered[0].name}", *columns], rows)], notes


def _by_type(runs: Sequence[Run], references: Sequence[Row] | None, name: ProtocolName) -> Section | None:
    """ROUGE-L by category of the questions (figure type, where the data set says it)."""
    if references is None:
        return None
    true = by_id(references, "the references")
    chosen = protocol(name)
    columns: dict[str, dict[str, Estimate]] = {}
    for run in runs:
        values: dict[str, list[float]] = defaultdict(list)
        for key, row in run.answers.items():
            answer, reference = text_of(row, run.name), text_of(true[key], "the references")
            values[_category(row)].append(scores.rouge_l(chosen.prepare(answer), chosen.prepare(reference)))
        if values:
            columns[run.name] = {category: _mean(found) for category, found in sorted(values.items())}
    categories = sorted({category for column in columns.values() for category in column})
    if len(categories) < 2:
        return None
    label = "ROUGE-L" if name == "original" else f"ROUGE-L ({name})"
    rows = [[category, *(_of(column.get(category)) for column in columns.values())] for category in categories]
    plot = bars(
        f"{label} by figure type",
        label,
        categories,
        {run: [_value(column.get(category)) for category in categories] for run, column in columns.items()},
    )
    return Section("By figure type", [], [Table(["type", *columns], rows)], [plot])


def _contexts(runs: Sequence[Run]) -> Section | None:
    tables, plots, notes = [], [], []
    for run in runs:
        document = run.results.get("context")
        if document is None:
            continue
        base, contexts, found = document["base"], document["contexts"], document["differences"]
        metrics = [metric for metric in ("BLEU-4", "ROUGE-L", "CIDEr") if all(metric in c for c in contexts.values())]
        labels = [str(next(iter(contexts.values()))[metric].get("label", metric)) for metric in metrics]
        tables.append(
            Table(
                [f"{run.name}: context", *labels],
                [[name, *(_cell(scored[metric], 4) for metric in metrics)] for name, scored in contexts.items()],
            )
        )
        tables.append(
            Table(
                [f"{run.name}: less {base}", *labels],
                [[name, *(_cell(paired[metric], 4) for metric in metrics)] for name, paired in found.items()],
            )
        )
        for metric, label in zip(metrics, labels, strict=True):
            values = {name: _json_value(paired[metric]) for name, paired in found.items()}
            plots.append(
                points(f"{run.name}: what a context adds to {base}", f"{label}, paired difference", values, 0.0)
            )
        for name, others in document.get("also_differing", {}).items():
            notes.append(f"{run.name}: `{name}` differs in more than the context: {'; '.join(others)}.")
    if not tables:
        return None
    return Section("What each context is worth", notes, tables, plots)


def _numbers(runs: Sequence[Run]) -> Section | None:
    """What the checks say of the answers' numbers and trends, and numbers said against numbers read."""
    counts: dict[str, Counter[str]] = {}
    shares: dict[str, list[Value | None]] = {}
    pairs: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        checks = [_checks(row) for row in run.answers.values()]
        count = Counter(str(check.get("verdict")) for found in checks for check in found)
        if not count:
            continue
        counts[run.name] = count
        verdicts = [*VERDICTS, *sorted(set(count) - set(VERDICTS))]
        shares[run.name] = [_verdict_share(checks, verdict) for verdict in verdicts[: len(VERDICTS)]]
        said = [pair for row in run.answers.values() for pair in said_and_read(row)]
        if said:
            pairs[run.name] = said
    if not counts:
        return None
    names = [*VERDICTS, *sorted({name for count in counts.values() for name in count} - set(VERDICTS))]
    rows = [
        [verdict, *(f"{count[verdict]} ({100 * count[verdict] / count.total():.1f} %)" for count in counts.values())]
        for verdict in names
    ]
    plots = [bars("Statements of the answers, by what the checks say", "share of statements", VERDICTS, shares)]
    if pairs:
        plots.append(said_and_true("Calibration of numbers", pairs))
    notes = [
        "Checks hold an answer's numbers and trends against what is printed in the figure and read off it. Where our "
        "service answered, that is what it read under the context of the run; with --readings it is the same for all."
    ]
    return Section("Numbers", notes, [Table(["verdict", *counts], rows)], plots)


def _judges(runs: Sequence[Run]) -> list[Section]:
    return [_judge(run.name, run.results["judge"]) for run in runs if "judge" in run.results]


def _judge(name: str, document: Mapping[str, Any]) -> Section:
    notes = []
    if "original" in document:
        rows = [[row["category"], *map(str, row["means"]), str(row["ratio"])] for row in document["original"]]
        header = ["category", "answer 1", "answer 2", "2 as % of 1"]
        return Section(f"Judge: {name}", ["The original's arithmetic."], [Table(header, rows)])
    groups = document["groups"]
    if document["kind"] == "pairs":
        header = ["category", "questions", "answer 1", "answer 2", "2 as % of 1", "1 wins", "2 wins", "ties"]
        rows = [
            [
                category,
                str(group["questions"]),
                _cell(group["score1"], 2),
                _cell(group["score2"], 2),
                _cell(group["ratio_percent"], 1),
                *(str(group["wins"].get(winner, 0)) for winner in ("answer 1", "answer 2", "tie")),
            ]
            for category, group in groups.items()
        ]
        if not document.get("both_orders"):
            notes.append("Only one order was judged: position bias is neither known nor removed.")
    else:
        header = ["category", "questions", "score, 0 to 10"]
        rows = [[category, str(group["items"]), _cell(group, 2)] for category, group in groups.items()]
    tables = [Table(header, rows)]
    facts = {fact: value for fact, value in document["judge"].items() if value is not None}
    if document.get("kappa"):
        facts["Cohen's kappa of two judges"] = document["kappa"]
    plots: list[Plot] = []
    if facts:
        tables.append(Table(["of the judge", "value"], [[fact, _cell(value, 3)] for fact, value in facts.items()]))
        values = {fact: _json_value(value) for fact, value in facts.items()}
        plots.append(points(f"{name}: bias of the judge", "value with 95 % interval", values, 0.0))
    left_out = ", ".join(f"{reason}: {count}" for reason, count in document.get("left_out", {}).items()) or "none"
    notes.append(f"Reviews without a readable verdict: {left_out}.")
    return Section(f"Judge: {name}", notes, tables, plots)


def _ocr(runs: Sequence[Run]) -> Section | None:
    found = {run.name: run.results["ocr"] for run in runs if "ocr" in run.results}
    if not found:
        return None
    metrics = list(next(iter(found.values()))["metrics"])
    rows = [[metric, *(_cell(document["metrics"].get(metric), 3) for document in found.values())] for metric in metrics]
    rows.append(["figures", *(str(document["figures"]) for document in found.values())])
    return Section("Text of the figures", [], [Table(["metric", *found], rows)])


def _scienceqa(runs: Sequence[Run]) -> Section | None:
    found = {run.name: run.results["scienceqa"] for run in runs if "scienceqa" in run.results}
    if not found:
        return None
    rows = [["accuracy", *(_cell(document["accuracy"], 4) for document in found.values())]]
    rows.append(
        ["without exactly one answer", *(str(document["without_exactly_one_answer"]) for document in found.values())]
    )
    rows.append(["random guess for these", *("yes" if d["random_guess"] else "no" for d in found.values())])
    return Section("ScienceQA", [], [Table(["", *found], rows)])


def _checks(row: Row) -> list[Mapping[str, Any]]:
    checks = (row.get("metadata") or {}).get("checks") or []
    return [check for check in checks if isinstance(check, dict)]


def said_and_read(row: Row) -> list[tuple[float, float]]:
    """The numbers of an answer that are held against one reading, and what was read there, as (said, read).

    Both as shares of the axis that the reading lies on: 0 at its low end, 1 at its high end.
    """
    metadata, text = row.get("metadata") or {}, str(row.get("text", ""))
    try:
        chart = from_json(metadata.get("chart"))
    except ChartFormatError:
        return []
    pairs = []
    for check in _checks(row):
        start, end = check.get("start"), check.get("end")
        if check.get("kind") != "number" or not isinstance(start, int) or not isinstance(end, int):
            continue
        numbers = numbers_in(text[start:end])
        if len(numbers) == 1 and not numbers[0].is_vague:
            pairs += _against(numbers[0].value, chart, check)
    return pairs


def _against(said: float, chart: Chart, check: Mapping[str, Any]) -> list[tuple[float, float]]:
    """A number and the reading that its check points to; nothing where it points to none.

    A check does not say whether it is about the place along x or the height: of the two the nearer one is taken.
    """
    panel, series, point, fact = (check.get(name) for name in ("panel", "series", "point", "fact"))
    try:
        where = chart.panels[panel]  # type: ignore[index]
        found = where.series[series]  # type: ignore[index]
        place: Point | Fact = found.facts[fact] if fact is not None else found.points[point]  # type: ignore[index]
    except (IndexError, TypeError):
        return []
    pairs = []
    for axis, read in ((where.y, place.y), (where.x, place.x)):
        if isinstance(read, float):
            shares = _share_of(axis, said), _share_of(axis, read)
            if shares[0] is not None and shares[1] is not None:
                pairs.append((shares[0], shares[1]))
    return sorted(pairs, key=lambda pair: abs(pair[0] - pair[1]))[:1]


def _share_of(axis: Axis, value: float) -> float | None:
    """Where a value lies between the ends of an axis; None on one that is not calibrated."""
    if axis.low is None or axis.high is None:
        return None
    low, high = axis.low, axis.high
    if axis.scale == "log":
        if min(low, high, value) <= 0:
            return None
        low, high, value = math.log10(low), math.log10(high), math.log10(value)
    return (value - low) / (high - low) if high > low else None


def _verdict_share(checks: Sequence[Sequence[Mapping[str, Any]]], verdict: str) -> Value:
    """The share of statements with this verdict; answers are resampled, as statements of one hang together."""
    table = np.asarray(
        [(sum(check.get("verdict") == verdict for check in found), len(found)) for found in checks if found],
        dtype=np.float64,
    )

    def share(indices: Any) -> Any:
        sums = table[indices].sum(axis=-2)
        return sums[..., 0] / sums[..., 1]

    found = estimate(share, len(table))
    return found.value, found.low, found.high


def _category(row: Row) -> str:
    return str((row.get("metadata") or {}).get("category", "default"))


def _mean(values: Sequence[float]) -> Estimate:
    table = np.asarray(values, dtype=np.float64)
    return estimate(lambda indices: np.asarray(table[indices].mean(axis=-1)), len(table))


def _of(found: Estimate | None) -> str:
    return "–" if found is None else f"{found.text(4)}, n = {found.items}"


def _value(found: Estimate | None) -> Value | None:
    return None if found is None else (found.value, found.low, found.high)


def _json_value(found: Mapping[str, Any]) -> Value:
    low, high = found.get("interval") or (None, None)
    return float(found["value"]), low, high


def _cell(found: Mapping[str, Any] | None, digits: int) -> str:
    if found is None:
        return "–"
    value, low, high = _json_value(found)
    p_value = found.get("p_value")
    end = "" if p_value is None else f", p = {p_value:.4f}"
    return Estimate(value, low, high, 0).text(digits) + end


def _short(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items() if part is not None)
    text = str(value)
    return text[:12] + "…" if len(text) == 64 and text.isalnum() else text
