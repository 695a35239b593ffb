"""Files in the formats of the data sets, all the way: answer, metrics, judge, summarize, report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from evaluation.rows import read_json, read_rows
from tests.fakes import evaluation_files as files
from tests.fakes.judge import FakeJudge, Reply, answers_in, prompt_of, says

Command = Callable[..., Awaitable[Result]]


def answers_or_judges(request: dict[str, Any]) -> Reply:
    """The models `good` and `bad`, and a judge that knows the words of the references."""
    prompt = prompt_of(request)
    if request["model"] == "judge":
        scores = [9 if "curve" in text or "Treated" in text else 3 for text in answers_in(prompt)]
        return says(f"{scores[0]} {scores[1]}\nBecause.", model="judge")
    if request["model"] == "bad":
        return says("A chart.", model="bad")
    known = {
        "best in the graph": "Treated is best, it rises to the end.",
        "graph rises": "Treated.",
        "in detail": "The figure shows two curves over time.",
        "curve fall": "The curve falls because the rate decays.",
        "x axis": "The curve has time in seconds.",
        "chart show": "Decay of a curve.",
        "Explain": "Figure 10 shows growth of a curve.",
    }
    return says(next(text for words, text in known.items() if words in prompt), model="good")


@pytest.mark.parametrize("layout", ["original", "scigraphqa", "scicap"])
async def test_data_sets_go_from_questions_to_a_report(
    tmp_path: Path, judge: FakeJudge, judge_url: str, run_eval: Command, layout: str
) -> None:
    judge.otherwise = answers_or_judges
    images = files.images(tmp_path / "images")
    source = {
        "original": lambda: files.lines(
            tmp_path / "source.jsonl",
            [{**q, "reference": r["text"]} for q, r in zip(files.QUESTIONS, files.REFERENCES, strict=True)],
        ),
        "scigraphqa": lambda: files.lines(tmp_path / "source.jsonl", files.SCIGRAPHQA),
        "scicap": lambda: files.document(tmp_path / "source.json", files.SCICAP_CHALLENGE),
    }[layout]()
    questions, references = tmp_path / "questions.jsonl", tmp_path / "references.jsonl"

    async def done(*arguments: object) -> str:
        result = await run_eval(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    await done("questions", source, "--out", questions, "--references", references)
    count = len(read_rows(questions))
    for model in ("good", "bad"):
        await done(
            "answer", "--questions", questions, "--images", images, "--endpoint", judge_url, "--model", model,
            "--context", "none", "--out", tmp_path / model / "answers.jsonl",
        )  # fmt: skip
    good, bad = (tmp_path / model / "answers.jsonl" for model in ("good", "bad"))
    printed = await done(
        "metrics", "--answers", good, "--references", references, "--against", bad,
        "--json", tmp_path / "good" / "metrics.json",
    )  # fmt: skip
    assert "- model: bad / good" in printed
    scores = read_json(tmp_path / "good" / "metrics.json")
    assert scores["items"] == count
    assert scores["against"]["differences"]["ROUGE-L"]["value"] > 0
    contexts = files.lines(tmp_path / "contexts.jsonl", files.CONTEXTS)
    await done(
        "judge", "--questions", questions, "--answers", good, "--against", bad, "--contexts", contexts,
        "--endpoint", judge_url, "--model", "judge", "--no-key", "--yes", "--unknown-as", "detail",
        "--out", tmp_path / "reviews.jsonl",
    )  # fmt: skip
    assert len(read_rows(tmp_path / "reviews.jsonl")) == 2 * count
    await done("summarize", tmp_path / "reviews.jsonl", "--json", tmp_path / "good" / "judge.json")
    original = await done("summarize", "--original", tmp_path / "reviews.jsonl")
    assert "all [9.0, 3.0] 33.3" in original
    assert read_json(tmp_path / "good" / "judge.json")["groups"]["all"]["wins"] == {"answer 1": count}
    await done(
        "report", tmp_path / "good", tmp_path / "bad", "--references", references, "--images", images,
        "--out", tmp_path / "report.html", "--markdown", tmp_path / "report.md",
    )  # fmt: skip
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "A chart." in page
    assert "data:image/png;base64," in page
    assert "## Judge: good" in (tmp_path / "report.md").read_text(encoding="utf-8")
