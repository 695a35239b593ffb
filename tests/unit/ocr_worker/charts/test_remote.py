"""The reader that asks a model: tables in three forms, and an endpoint that fails in each way it can."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from llava_graph.ocr import Line
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError
from ocr_worker.charts.process import ChartProcess
from ocr_worker.charts.remote import MAX_ANSWER_BYTES, RemoteChartReader, parse_table
from ocr_worker.child import load_charts
from ocr_worker.engines import OcrEngine, Pixels
from ocr_worker.settings import WorkerSettings

FIGURE = np.full((40, 60, 3), 255, np.uint8)
DEPLOT = "TITLE | Growth <0x0A> Day | Control | Treated <0x0A> 0 | 1.5 | 2 <0x0A> 5 | 3 | 1,200 <0x0A> 10 | 4.5 | 900"


@contextlib.contextmanager
def endpoint(
    answer: bytes, status: int = 200, release: threading.Event | None = None
) -> Iterator[tuple[str, list[Any]]]:
    """A server of chat completions on loopback; with `release` it answers only when told."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            if release is not None:
                release.wait(30)
            with contextlib.suppress(OSError):  # a client that went away
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing to standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        if release is not None:
            release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def completion(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def test_a_table_becomes_series_with_facts_and_wide_tolerances() -> None:
    with endpoint(completion(DEPLOT)) as (url, asked):
        chart = RemoteChartReader(url, "table-model", "secret").read_chart(FIGURE, [Line("Treated", (1, 1, 9, 9))])
    (panel,) = chart.panels
    control, treated = panel.series
    assert (control.name, control.line, treated.line) == ("Control", None, 0)
    assert [(p.x, p.y) for p in treated.points] == [(0, 2), (5, 1200), (10, 900)]
    assert {f.kind for f in control.facts} >= {"first", "last"}
    assert treated.y_tolerance >= 0.03
    assert chart.revision == "remote-1/table-model"
    path, key, body = asked[0]
    assert (path, key, body["model"], body["temperature"]) == (
        "/v1/chat/completions",
        "Bearer secret",
        "table-model",
        0,
    )
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    "text",
    [
        DEPLOT,
        "| Day | Control | Treated |\n|---|:---:|---|\n| 0 | 1.5 | 2 |\n| 5 | 3 | 1,200 |\n| 10 | 4.5 | 900 |",
        'Here it is:\n```csv\nDay,Control,Treated\n0,1.5,2\n5,3,"1,200"\n10,4.5,900\n```',
        "Day\tControl\tTreated\n0\t1.5\t2\n5\t3\t1,200\n10\t4.5\t900",
    ],
)
def test_each_form_of_a_table_is_parsed(text: str) -> None:
    table = parse_table(text)
    assert table.header == ("Day", "Control", "Treated")
    assert table.rows == (("0", "1.5", "2"), ("5", "3", "1,200"), ("10", "4.5", "900"))


def test_names_along_x_are_categories_of_bars() -> None:
    with endpoint(completion("Fruit | Sales\nApple | 3\nPear | 12%")) as (url, _):
        (panel,) = RemoteChartReader(url, "m").read_chart(FIGURE, []).panels
    assert (panel.kind, panel.x.categories) == ("bar", ("Apple", "Pear"))
    assert [p.y for p in panel.series[0].points] == [3, 12]


@pytest.mark.parametrize(
    "text", ["", "I cannot see a chart.", "a | b", "|" * 4000, "a,b\n1\n2,3,4\n", ",".join("x" * 40)]
)
def test_an_answer_without_a_table_is_an_abstention(text: str) -> None:
    with pytest.raises(AbstainError):
        parse_table(text)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"no JSON", 200),
        (b"{}", 200),
        (b'{"choices": [{"message": {"content": 7}}]}', 200),
        (completion(DEPLOT), 500),
        (b" " * (MAX_ANSWER_BYTES + 1), 200),
    ],
)
def test_an_endpoint_that_answers_wrongly_costs_nothing_but_the_chart(answer: bytes, status: int) -> None:
    with endpoint(answer, status) as (url, _):
        assert RemoteChartReader(url, "m").read_chart(FIGURE, []).abstained == "reader_failed"


def test_an_endpoint_that_is_not_there_is_a_failure() -> None:
    with endpoint(b"") as (url, _):
        pass
    assert RemoteChartReader(url, "m").read_chart(FIGURE, []).abstained == "reader_failed"


def test_only_http_is_asked() -> None:
    assert RemoteChartReader("file:///etc", "m").read_chart(FIGURE, []).abstained == "reader_failed"


def test_an_endpoint_that_hangs_ends_at_the_deadline() -> None:
    with endpoint(completion(DEPLOT), release=threading.Event()) as (url, _):
        assert RemoteChartReader(url, "m", timeout_s=0.2).read_chart(FIGURE, []).abstained == "deadline"


def test_a_deadline_that_has_passed_sends_no_request() -> None:
    with endpoint(completion(DEPLOT)) as (url, asked):
        assert RemoteChartReader(url, "m").read_chart(FIGURE, [], Deadline(-1)).abstained == "deadline"
    assert asked == []


class NoEngine(OcrEngine):
    """An engine that must be asked for nothing."""

    revision = "none"

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        raise AssertionError(f"{len(images)} figures")

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        raise AssertionError(f"{len(crops)} crops")


def loaded(settings: WorkerSettings) -> ChartProcess | None:
    """What a worker with these settings reads charts with."""
    return load_charts(settings, NoEngine())


def test_a_worker_with_an_endpoint_asks_its_model_from_the_process_of_the_reader() -> None:
    with endpoint(completion(DEPLOT)) as (url, asked):
        settings = WorkerSettings(
            chart_endpoint=url, chart_model="chart2table", chart_api_key="secret", chart_endpoint_timeout_s=25
        )
        charts = loaded(settings)
        assert charts is not None
        try:
            chart = charts.read(FIGURE, [Line("Treated", (1, 2, 30, 12), 0.9)])
        finally:
            charts.close()
    assert chart.revision == charts.revision == "remote-1/chart2table"
    assert [series.name for series in chart.panels[0].series] == ["Control", "Treated"]
    ((path, key, body),) = asked
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "chart2table")


def test_a_worker_asks_no_model_unless_it_is_told_to() -> None:
    settings = WorkerSettings()
    assert settings.chart_endpoint is None
    charts = loaded(settings)
    assert charts is not None
    try:
        assert charts.revision.startswith("chart-")
    finally:
        charts.close()


def test_an_endpoint_without_a_model_is_refused() -> None:
    with pytest.raises(ValidationError, match="chart_model"):
        WorkerSettings(chart_endpoint="http://127.0.0.1:1/v1")


def test_the_key_of_an_endpoint_is_not_logged_but_reaches_the_worker_processes() -> None:
    settings = WorkerSettings(chart_endpoint="http://u:pw@h/v1", chart_model="m", chart_api_key="secret")
    assert "secret" not in str(settings.for_log())
    assert "pw" not in str(settings.for_log())
    assert settings.to_environment()["LLAVA_GRAPH_CHART_API_KEY"] == "secret"
