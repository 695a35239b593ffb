"""Our own service under evaluation: the real gateway, and where text is read, a real OCR worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry

from data.cli import main as draw
from evaluation.fingerprint import load
from evaluation.rows import read_json, read_rows
from llava_graph.jobs import Keys, connect
from ocr_worker import Worker
from ocr_worker.child import load_charts
from ocr_worker.engines.rapid import RapidEngine
from ocr_worker.metrics import WorkerMetrics
from ocr_worker.settings import WorkerSettings
from tests.fakes import evaluation_files as files
from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.engines import until
from tests.harness.gateway import MANIFEST, gateway, png

Command = Callable[..., Awaitable[Result]]

CHARTED = replace(MANIFEST, context_template="located@2", context_length=4096)

QUESTIONS = [
    {"question_id": n, "image": f"{n}.png", "text": "Why?", "caption": f"Caption {n}.", "category": "conv"}
    for n in range(3)
]


@pytest.fixture(scope="module")
def rapid() -> RapidEngine:
    return RapidEngine(threads=1)


@asynccontextmanager
async def reading(redis_url: str, engine: RapidEngine, *, charts: bool = False) -> AsyncIterator[None]:
    """A real OCR worker beside the test, with or without the real chart reader."""
    redis = connect(redis_url)
    reader = load_charts(WorkerSettings(chart_deadline_s=10), engine) if charts else None
    worker = Worker(
        redis,
        engine,
        charts=reader,
        keys=Keys(),
        consumer="beside-the-test",
        host="here",
        metrics=WorkerMetrics(CollectorRegistry()),
        log=structlog.get_logger(),
    )
    running = asyncio.create_task(worker.run())
    await worker.wait_until_announced()
    try:
        yield
    finally:
        worker.stop()
        await running
        if reader is not None:
            reader.close()
        await redis.aclose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Questions and their figures, which hold the words Vodikar 0, 1 and 2, and the truth about these words."""
    images = tmp_path / "images"
    images.mkdir()
    truth = []
    for number in range(3):
        (images / f"{number}.png").write_bytes(png(f"Vodikar{number}"))
        truth.append({"file": f"{number}.png", "texts": [{"text": f"Vodikar{number}", "box": [24, 82, 200, 118]}]})
    files.lines(images / "truth.jsonl", truth)
    files.lines(tmp_path / "q.jsonl", QUESTIONS)
    return tmp_path


async def _answer(run_eval: Command, folder: Path, url: object, context: str, *more: object) -> Result:
    return await run_eval(
        "answer", "--questions", folder / "q.jsonl", "--images", folder / "images", "--service", url,
        "--context", context, "--out", folder / context / "answers.jsonl", *more,
    )  # fmt: skip


async def test_service_answers_with_its_own_template_and_says_so_in_the_fingerprint(
    redis_url: str, engine_url: str, engine: OpenAIEngine, run_eval: Command, folder: Path
) -> None:
    async with gateway(redis_url, engine_url) as service:
        result = await _answer(run_eval, folder, service.http.base_url, "caption")
        assert result.exit_code == 0, result.output
    rows = read_rows(folder / "caption" / "answers.jsonl")
    assert [row["text"] for row in rows] == ["The figure shows growth."] * 3
    assert rows[0]["metadata"]["size"] == [320, 200]
    fingerprint = load(folder / "caption" / "answers.jsonl")
    assert fingerprint is not None
    assert (fingerprint.model, fingerprint.revision) == (MANIFEST.name, MANIFEST.revision)
    assert (fingerprint.template, fingerprint.context) == ("located v1", "caption")
    assert fingerprint.prompts_sha256 is not None
    assert "gateway" in str(fingerprint.engine_version)
    captions = {text.split("\n")[0] for text in _prompts(engine)}
    assert captions == {"Caption: Caption 0.", "Caption: Caption 1.", "Caption: Caption 2."}


async def test_fingerprint_names_the_version_of_the_engine_behind_the_gateway(
    redis_url: str, engine_url: str, engine: OpenAIEngine, run_eval: Command, folder: Path
) -> None:
    engine.version = "0.32.0"
    async with gateway(redis_url, engine_url, engine_health_interval_s=0.02) as service:
        up = {"model": MANIFEST.name, "engine": "engine"}
        await until(lambda: service.metric("engine_up", **up) == 1, engine)
        result = await _answer(run_eval, folder, service.http.base_url, "caption")
        assert result.exit_code == 0, result.output
    fingerprint = load(folder / "caption" / "answers.jsonl")
    assert fingerprint is not None
    assert str(fingerprint.engine_version).endswith(", vllm 0.32.0")


async def test_context_none_keeps_the_caption_from_the_model(
    redis_url: str, engine_url: str, engine: OpenAIEngine, run_eval: Command, folder: Path
) -> None:
    async with gateway(redis_url, engine_url) as service:
        assert (await _answer(run_eval, folder, service.http.base_url, "none")).exit_code == 0
    assert not any("Caption 0." in text for text in _prompts(engine))


async def test_an_answer_without_the_text_is_no_answer_under_the_context_ocr(
    redis_url: str, engine_url: str, run_eval: Command, folder: Path
) -> None:
    async with gateway(redis_url, engine_url) as service:  # without an OCR worker
        result = await _answer(run_eval, folder, service.http.base_url, "ocr", "--tries", 1)
    assert result.exit_code == 1
    assert "the text of the figure was not read" in result.output
    assert not (folder / "ocr" / "answers.jsonl").exists()


async def test_questions_without_a_figure_are_refused_before_the_first_request(
    redis_url: str, engine_url: str, engine: OpenAIEngine, run_eval: Command, folder: Path
) -> None:
    files.lines(folder / "q.jsonl", [*QUESTIONS, {"question_id": 9, "text": "Why?"}])
    async with gateway(redis_url, engine_url) as service:
        result = await _answer(run_eval, folder, service.http.base_url, "none")
    assert result.exit_code == 1
    assert "need --endpoint" in result.output
    assert engine.requests == []


async def test_text_of_figures_is_read_kept_measured_and_told(
    redis_url: str, engine_url: str, engine: OpenAIEngine, run_eval: Command, folder: Path, rapid: RapidEngine
) -> None:
    readings, out = folder / "readings.jsonl", folder / "ocr.json"
    async with reading(redis_url, rapid), gateway(redis_url, engine_url, ocr_deadline_s=100) as service:
        url = service.http.base_url
        result = await run_eval("ocr", folder / "images", "--service", url, "--json", out)
        assert result.exit_code == 0, result.output
        result = await run_eval(
            "readings", "--questions", folder / "q.jsonl", "--images", folder / "images", "--service", url,
            "--out", readings,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        result = await _answer(run_eval, folder, url, "ocr")
        assert result.exit_code == 0, result.output
    score = read_json(out)
    assert score["metrics"]["word recall"]["value"] == 1.0
    assert score["metrics"]["mean box IoU"]["value"] > 0.3
    assert [row["lines"][0]["text"] for row in sorted(read_rows(readings), key=lambda row: str(row["image"]))] == [
        "Vodikar0",
        "Vodikar1",
        "Vodikar2",
    ]
    prompts = _prompts(engine)
    assert len(prompts) == 3
    assert all("Vodikar" in text and "Caption 0." not in text for text in prompts)
    rows = read_rows(folder / "ocr" / "answers.jsonl")
    assert rows[1]["metadata"]["lines"][0]["text"] == "Vodikar1"


async def test_service_that_reads_no_charts_gives_no_answer_under_a_context_that_holds_one(
    redis_url: str, engine_url: str, run_eval: Command, folder: Path, rapid: RapidEngine
) -> None:
    async with reading(redis_url, rapid), gateway(redis_url, engine_url, ocr_deadline_s=100) as service:
        result = await _answer(run_eval, folder, service.http.base_url, "all")
    assert result.exit_code == 1
    assert "this service reads no charts" in result.output


async def test_contexts_of_drawn_figures_are_compared_and_reported(
    redis_url: str, engine_url: str, run_eval: Command, tmp_path: Path, rapid: RapidEngine
) -> None:
    figures, out = tmp_path / "figures", tmp_path / "context"
    drawn = await asyncio.to_thread(
        CliRunner().invoke, draw, ["synthetic", "--split", "heldout", "--count", "2", "--out", str(figures)]
    )
    assert drawn.exit_code == 0, drawn.output
    async with (
        reading(redis_url, rapid, charts=True),
        gateway(redis_url, engine_url, manifest=CHARTED, ocr_deadline_s=100) as service,
    ):
        result = await run_eval(
            "context", "--questions", figures, "--images", figures, "--service", service.http.base_url, "--out", out,
            "--contexts", "none", "--contexts", "chart", "--contexts", "all",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert list(read_json(out / "context.json")["contexts"]) == ["none", "chart", "all"]
    charts = [row["metadata"]["chart"]["status"] for row in read_rows(out / "chart" / "answers.jsonl")]
    assert set(charts) <= {"ok", "cached", "abstained"}
    assert "chart" not in read_rows(out / "none" / "answers.jsonl")[0]["metadata"]
    result = await run_eval(
        "report", out, out / "all", "--images", figures, "--out", tmp_path / "r.html", "--markdown", tmp_path / "r.md"
    )
    assert result.exit_code == 0, result.output
    assert "## What each context is worth" in (tmp_path / "r.md").read_text(encoding="utf-8")


def _prompts(engine: OpenAIEngine) -> list[str]:
    return [request["messages"][0]["content"][1]["text"] for request in engine.requests]
