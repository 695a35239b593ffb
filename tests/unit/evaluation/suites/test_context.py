"""Contexts compared: differences are paired, and whatever else differs is said."""

from __future__ import annotations

import pytest

from evaluation.errors import InputError, MismatchError
from evaluation.fingerprint import Fingerprint
from evaluation.suites.context.compare import ContextRun, compare_contexts, table

REFERENCES = [{"question_id": n, "text": f"run {n} rises from {n} to {n + 5} over time"} for n in range(30)]


def _run(context: str, words: str, **differing: str) -> ContextRun:
    answers = [{"question_id": n, "text": words.format(n=n, m=n + 5)} for n in range(30)]
    known = {"model": "m", "pixels_sha256": "p", "questions_sha256": "q", "prompts_sha256": context, **differing}
    return ContextRun(answers, Fingerprint("answers", context=context, **known))


def test_every_context_is_set_against_the_image_alone() -> None:
    runs = {
        "all": _run("all", "run {n} rises from {n} to {m} over time"),
        "none": _run("none", "a chart of {n}"),
        "caption": _run("caption", "run {n} over time"),
    }
    found = compare_contexts(runs, REFERENCES, "original")
    assert found.base == "none"
    assert list(found.scores) == ["none", "caption", "all"]
    assert set(found.differences) == {"caption", "all"}
    for paired in found.differences["all"].values():
        assert paired.difference.low is not None
        assert paired.difference.low > 0
    assert found.unexpected == {}
    assert "| all |" in table(found)


def test_what_differs_besides_the_context_is_said() -> None:
    runs = {"none": _run("none", "a {n}"), "all": _run("all", "run {n}", model="other")}
    found = compare_contexts(runs, REFERENCES, "original")
    assert [str(item) for item in found.unexpected["all"]] == ["model: m / other"]
    assert "`all` differs from `none` in more than the context:\n- model: m / other" in table(found)


def test_contexts_on_other_pixels_are_not_compared() -> None:
    with pytest.raises(MismatchError, match="pixels_sha256"):
        compare_contexts(
            {"none": _run("none", "a"), "all": _run("all", "b", pixels_sha256="x")}, REFERENCES, "original"
        )
    with pytest.raises(InputError, match="at least two"):
        compare_contexts({"none": _run("none", "a")}, REFERENCES, "original")
