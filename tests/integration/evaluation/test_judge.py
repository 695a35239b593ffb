"""A judge over HTTP, in all the ways in which one answers, refuses and fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from evaluation.fingerprint import load
from evaluation.rows import read_json, read_rows
from tests.fakes import evaluation_files as files
from tests.fakes.judge import (
    FakeJudge,
    Reply,
    answers_in,
    cut,
    fails,
    filtered,
    hangs_up,
    no_json,
    prompt_of,
    rate_limited,
    refuses,
    says,
    without_choices,
)

Command = Callable[..., Awaitable[Result]]


class Bench:
    """The files of one pairwise comparison, and the command over them."""

    def __init__(self, folder: Path, url: str, run_eval: Command) -> None:
        self._run_eval = run_eval
        self._url = url
        self.questions = files.lines(folder / "q.jsonl", files.QUESTIONS)
        self.first = files.lines(folder / "a.jsonl", files.ANSWERS_A)
        self.second = files.lines(folder / "b.jsonl", files.ANSWERS_B)
        self.references = files.lines(folder / "r.jsonl", files.REFERENCES)
        self.contexts = files.lines(folder / "c.jsonl", files.CONTEXTS)
        self.out = folder / "reviews.jsonl"
        self.summary = folder / "judge.json"

    async def judge(self, *more: object, pairs: bool = True) -> Result:
        what = ("--against", self.second) if pairs else ("--references", self.references)
        return await self._run_eval(
            "judge", "--questions", self.questions, "--answers", self.first, *what, "--contexts", self.contexts,
            "--endpoint", self._url, "--model", "judge", "--no-key", "--yes", "--concurrency", 1, "--out", self.out,
            *more,
        )  # fmt: skip

    async def pairs(self, *more: object) -> list[dict[str, Any]]:
        result = await self.judge(*more)
        assert result.exit_code == 0, result.output
        return read_rows(self.out)

    async def summarised(self, *more: object) -> dict[str, Any]:
        result = await self._run_eval("summarize", self.out, "--json", self.summary, *more)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = read_json(self.summary)
        return document


@pytest.fixture
def bench(tmp_path: Path, judge_url: str, run_eval: Command) -> Bench:
    return Bench(tmp_path, judge_url, run_eval)


def longer_is_better(request: dict[str, Any]) -> Reply:
    first, second = (len(text.split()) for text in answers_in(prompt_of(request)))
    return says(f"{min(10, 1 + first)} {min(10, 1 + second)}\nBy length.")


async def test_scores_belong_to_their_answers_in_either_order(bench: Bench, judge: FakeJudge) -> None:
    judge.otherwise = longer_is_better
    rows = await bench.pairs()
    assert [row["id"] for row in rows] == list(range(1, 9))
    assert [row["metadata"]["order"] for row in rows[:2]] == ["as given", "swapped"]
    for row in rows:
        lengths = row["metadata"]["words"]
        assert row["tuple"] == [min(10, 1 + length) for length in lengths]
    assert {row["answer1_id"] for row in rows} == {"a0", "a1", "a2", "a3"}
    summary = await bench.summarised()
    assert summary["groups"]["all"]["wins"] == {"answer 1": 3, "answer 2": 1}
    assert summary["judge"]["position bias (first less second)"]["value"] == 0
    assert summary["judge"]["verbosity correlation (Spearman)"]["value"] > 0.7


async def test_a_judge_of_places_makes_ties_and_shows_its_bias(bench: Bench, judge: FakeJudge) -> None:
    judge.otherwise = says("9 5\nThe first.")
    await bench.pairs()
    summary = await bench.summarised()
    assert summary["groups"]["all"]["wins"] == {"tie": 4}
    assert summary["groups"]["all"]["ratio_percent"]["value"] == 100
    assert summary["judge"]["position bias (first less second)"]["value"] == 4
    assert summary["judge"]["first answer preferred (of decided)"]["value"] == 1


@pytest.mark.parametrize(
    "text",
    ["8 7\nBoth.", "8,7\nBoth.", "8, 7\nBoth.", "8 7 \nBoth.", "8  7\nBoth.", "(8, 7)\nBoth.", "I solved it.\n(8, 7)"],
)
async def test_every_form_that_means_one_thing_is_read(bench: Bench, judge: FakeJudge, text: str) -> None:
    judge.otherwise = says(text)
    rows = await bench.pairs()
    assert [row["tuple"] for row in rows[:2]] == [[8.0, 7.0], [7.0, 8.0]]
    assert len(judge.requests) == 8


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (says("Both are good."), "unparsable"),
        (says("8"), "unparsable"),
        (says("12 3"), "out of range"),
        (says(""), "empty"),
        (cut("Let me first consider"), "cut"),
        (cut("8 1"), "cut"),
        (refuses(), "refused"),
        (filtered(), "refused"),
    ],
)
async def test_verdicts_that_cannot_be_read_are_asked_for_again_then_left_out_and_counted(
    bench: Bench, judge: FakeJudge, reply: Reply, reason: str
) -> None:
    judge.replies = [reply] * 3
    judge.otherwise = says("8 4\nThe first.")
    rows = await bench.pairs()
    assert len(judge.requests) == 3 + 7
    assert (rows[0]["tuple"], rows[0]["metadata"]["failure"], rows[0]["metadata"]["tries"]) == ([-1.0, -1.0], reason, 3)
    summary = await bench.summarised()
    assert (summary["left_out"], summary["incomplete_questions"]) == ({reason: 1}, 1)
    assert summary["groups"]["all"]["questions"] == 3


async def test_a_bad_verdict_followed_by_a_good_one_is_a_verdict(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [says("Hm."), says("6 5\nFine.")]
    rows = await bench.pairs()
    assert (rows[0]["tuple"], rows[0]["metadata"]["tries"]) == ([6.0, 5.0], 2)
    assert "failure" not in rows[0]["metadata"]


async def test_original_averages_in_what_is_left_out_otherwise(
    bench: Bench, judge: FakeJudge, run_eval: Command
) -> None:
    judge.replies = [says("Hm.")] * 3
    judge.otherwise = says("8 4\nThe first.")
    await bench.pairs()
    result = await run_eval("summarize", "--original", bench.out)
    # Seven reviews of 8 and 4, three of them as given, and one of −1 and −1.
    assert "all [4.875, 5.375] 110.3" in result.output


@pytest.mark.parametrize(
    "reply",
    [
        rate_limited("0"),
        rate_limited("Wed, 21 Oct 2015 07:28:00 GMT"),
        fails(503, "Busy.", headers=(("retry-after", "0"),)),
    ],
)
async def test_a_busy_judge_is_asked_again(bench: Bench, judge: FakeJudge, reply: Reply) -> None:
    judge.replies = [reply, reply]
    assert len(await bench.pairs()) == 8
    assert len(judge.requests) == 10


@pytest.mark.parametrize("reply", [hangs_up(), no_json(), without_choices()])
async def test_a_broken_response_is_asked_for_again(bench: Bench, judge: FakeJudge, reply: Reply) -> None:
    judge.replies = [reply]
    assert len(await bench.pairs()) == 8
    assert len(judge.requests) == 9


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (fails(401, "Wrong key."), "HTTP 401: "),
        (fails(429, "You have no money left.", code="insufficient_quota"), "HTTP 429: "),
        (rate_limited("7200"), "wants a pause of 7200 s"),
    ],
)
async def test_what_no_waiting_mends_ends_the_run_at_once(
    bench: Bench, judge: FakeJudge, reply: Reply, words: str
) -> None:
    judge.replies = [reply]
    result = await bench.judge()
    assert result.exit_code == 1
    assert words in result.output
    assert len(judge.requests) == 1


async def test_tries_come_to_an_end(bench: Bench, judge: FakeJudge) -> None:
    judge.otherwise = rate_limited("0")
    result = await bench.judge("--tries", 3)
    assert result.exit_code == 1
    assert "was asked 3 times: HTTP 429" in result.output


async def test_a_stopped_run_goes_on_where_it_ended(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [*[says("8 4\nThe first.")] * 3, fails(401, "Wrong key.")]
    assert (await bench.judge()).exit_code == 1
    kept = read_rows(bench.out)
    assert len(kept) == 3
    rows = await bench.pairs()
    assert len(judge.requests) == 4 + 5
    assert len(rows) == 8
    assert [row["tuple"] for row in rows[:3]] == [row["tuple"] for row in kept]
    assert (await bench.pairs()) == rows
    assert len(judge.requests) == 9


async def test_other_answers_are_not_mixed_into_a_run(bench: Bench, judge: FakeJudge) -> None:
    await bench.pairs()
    files.lines(bench.second, [{**row, "text": "Other."} for row in files.ANSWERS_B])
    result = await bench.judge()
    assert result.exit_code == 1
    assert "holds another run" in result.output
    assert len(judge.requests) == 8


async def test_a_judge_that_changes_during_the_run_ends_it(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [says("8 7"), says("8 7", model="another-judge")]
    result = await bench.judge()
    assert result.exit_code == 1
    assert "changed during the run: model: fake-judge-2026 / another-judge" in result.output


async def test_cost_is_said_first_and_can_be_all(bench: Bench, judge: FakeJudge) -> None:
    result = await bench.judge("--estimate-only", "--usd-in", 1, "--usd-out", 2)
    assert result.exit_code == 0
    assert "8 requests, about " in result.output
    assert "US dollars" in result.output
    assert judge.requests == []


async def test_a_missing_key_fails_before_the_first_request(
    bench: Bench, judge: FakeJudge, run_eval: Command, judge_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    arguments = (
        "judge", "--questions", bench.questions, "--answers", bench.first, "--references", bench.references,
        "--endpoint", judge_url, "--model", "judge", "--yes", "--key-env", "JUDGE_KEY", "--out", bench.out,
    )  # fmt: skip
    result = await run_eval(*arguments)
    assert result.exit_code == 1
    assert "JUDGE_KEY" in result.output
    assert judge.requests == []
    monkeypatch.setenv("JUDGE_KEY", "secret")
    judge.otherwise = says("7")
    assert (await run_eval(*arguments)).exit_code == 0
    assert {headers["authorization"] for headers in judge.headers} == {"Bearer secret"}


async def test_single_answers_are_scored_from_0_to_10(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [says("seven")] * 3
    judge.otherwise = says("7.5")
    result = await bench.judge(pairs=False)
    assert result.exit_code == 0, result.output
    assert "4 reviews" in result.output
    assert "1 without a readable verdict" in result.output
    summary = await bench.summarised()
    assert summary["kind"] == "single"
    assert summary["groups"]["all"]["value"] == 7.5
    assert summary["left_out"] == {"unparsable": 1}
    assert '"reference_answer": "Treated is best, it rises to the end."' in judge.prompts[0]


async def test_repeats_show_how_often_a_verdict_flips(bench: Bench, judge: FakeJudge) -> None:
    judge.otherwise = says("8 4")
    # Tasks go question by question: both orders, then both orders again.
    judge.replies = [says("8 4"), says("4 8"), says("3 9"), says("4 8")]
    rows = await bench.pairs("--repeats", 2)
    assert len(rows) == 16
    summary = await bench.summarised()
    assert summary["judge"]["flip rate on repeats"]["value"] == 1 / 8


async def test_two_judges_are_compared_by_kappa_with_what_differs(
    bench: Bench, judge: FakeJudge, run_eval: Command, tmp_path: Path
) -> None:
    judge.otherwise = longer_is_better
    await bench.pairs()
    first, bench.out = bench.out, tmp_path / "second.jsonl"
    judge.otherwise = says("9 5\nThe first.", model="another-judge")
    await bench.pairs()
    result = await run_eval("summarize", first, "--second", bench.out, "--json", bench.summary)
    assert result.exit_code == 0, result.output
    assert "model: fake-judge-2026 / another-judge" in result.output
    assert read_json(bench.summary)["kappa"]["value"] == pytest.approx(0.0)
    files.lines(bench.first, [{**row, "text": "Other."} for row in files.ANSWERS_A])
    bench.out = tmp_path / "third.jsonl"
    await bench.pairs()
    result = await run_eval("summarize", first, "--second", bench.out)
    assert result.exit_code == 1
    assert "not comparable: questions_sha256" in result.output


async def test_fields_that_a_model_refuses_need_not_be_sent(bench: Bench, judge: FakeJudge) -> None:
    await bench.pairs("--no-temperature", "--token-field", "max_completion_tokens")
    request = judge.requests[0]
    assert request["max_completion_tokens"] == 1024
    assert not {"temperature", "max_tokens"} & request.keys()


async def test_fingerprint_of_reviews_names_judge_prompts_and_sampling(bench: Bench) -> None:
    await bench.pairs()
    fingerprint = load(bench.out)
    assert fingerprint is not None
    assert fingerprint.model == "fake-judge-2026"
    assert fingerprint.template == "judge prompts v1"
    assert fingerprint.sampling["temperature"] == 0.2
    assert "both orders" in str(fingerprint.scorer)
