"""Runs as a report finds them: folders with the files that the other commands write, under the names of the docs.

    answers.jsonl, answers.fingerprint.json   eval answer
    metrics.json                              eval metrics --json
    judge.json                                eval summarize --json
    context.json                              eval context
    ocr.json, scienceqa.json                  eval ocr --json, eval scienceqa score --json

A folder may hold any of them; one that holds none is an error. Scores are not computed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evaluation import fingerprint
from evaluation.answers.contexts import Reading
from evaluation.errors import InputError
from evaluation.fingerprint import Fingerprint
from evaluation.rows import Row, by_id, read_json, read_rows
from llava_graph.checks import checks
from llava_graph.grounding import ground

ANSWERS_FILE = "answers.jsonl"
RESULT_FILES = ("metrics.json", "judge.json", "context.json", "ocr.json", "scienceqa.json")


@dataclass(frozen=True, slots=True)
class Run:
    """`answers` by question id; `results` by the file's name without its suffix."""

    name: str
    answers: Mapping[str, Row]
    fingerprint: Fingerprint | None
    results: Mapping[str, Mapping[str, Any]]


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Raises InputError for a folder without a file of ours, and for files of another shape."""
    bare = Counter(folder.resolve().name for folder in folders)
    runs = []
    for folder in folders:
        path = folder.resolve()
        name = path.name if bare[path.name] == 1 else f"{path.parent.name}/{path.name}"
        runs.append(_run(name, path))
    if len({run.name for run in runs}) < len(runs):
        raise InputError("two runs have the same name: give folders with different names")
    return runs


def checked(run: Run, readings: Mapping[str, Reading]) -> Run:
    """The run with grounding and checks against `readings`, whatever the model was told: one measure for all runs.

    Raises InputError for an answer about a figure that has no reading.
    """
    answers = {}
    for key, row in run.answers.items():
        metadata = dict(row.get("metadata") or {})
        image = metadata.get("image")
        if image is not None:
            if image not in readings:
                raise InputError(f"the figure {image!r} of question {key} has no reading")
            reading, text = readings[image], str(row.get("text", ""))
            metadata |= reading.to_json()
            metadata["grounding"] = [asdict(link) for link in ground(text, reading.lines)]
            found = checks(text, reading.lines, str(metadata.get("caption") or ""), reading.chart)
            metadata["checks"] = [check.to_json() for check in found]
        answers[key] = {**row, "metadata": metadata}
    return replace(run, answers=answers)


def _run(name: str, folder: Path) -> Run:
    rows = folder / ANSWERS_FILE
    answers = by_id(read_rows(rows), str(rows)) if rows.exists() else {}
    results = {}
    for file in RESULT_FILES:
        if (folder / file).exists():
            value = read_json(folder / file)
            if not isinstance(value, dict):
                raise InputError(f"{folder / file} is not what the commands of the evaluation write")
            results[file.removesuffix(".json")] = value
    if not answers and not results:
        raise InputError(f"{folder} holds none of {', '.join((ANSWERS_FILE, *RESULT_FILES))}")
    return Run(name, answers, fingerprint.load(rows), results)
