"""The same interface served by a model: a chart-to-table model behind an OpenAI-compatible endpoint. Off by default.

Sends the figure as a data URI in one chat completion and reads the table that comes back: in DePlot's form
(`TITLE | … <0x0A> x | a | b <0x0A> 1 | 2 | 3`, Liu et al. 2022, arXiv:2212.10505), as CSV or TSV, or in markdown. A
model does not say where it read a value and how sure it is: positions are the middle of the figure, tolerances are
wide, and no plot area is known.

Knows nothing of pixels. What the endpoint sends is untrusted: sizes are bounded, and anything else than a table is an
abstention.
"""

from __future__ import annotations

import base64
import csv
import http.client
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import cv2

from llava_graph.chart import Axis, Chart, ChartKind, Panel, Point, Series
from llava_graph.curves import facts_of
from llava_graph.ocr import Line
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError, ChartReadingError, DeadlineError
from ocr_worker.charts.numerals import readings
from ocr_worker.charts.picture import Pixels

PROMPT = "Convert this chart to a table. The first row holds the column names. Answer with the table only."

MAX_ANSWER_BYTES = 200_000
MAX_ROWS = 500
MAX_COLUMNS = 12
"""A chart with more is answered with a table that a model repeats without end."""

TOLERANCE = 0.03
"""Share of an axis within which values are claimed: what chart-to-table models are scored by at their strictest is 5 %
of the value, and most of their errors are of digits rather than of places."""


class RemoteReaderError(ChartReadingError):
    """The endpoint could not be reached, or answered with an error or with no completion."""


@dataclass(frozen=True, slots=True)
class RemoteChartReader:
    """A chart-to-table model. `base_url`: of the OpenAI interface, such as http://127.0.0.1:8000/v1."""

    base_url: str
    model: str
    api_key: str | None = None
    prompt: str = PROMPT
    max_tokens: int = 1500
    timeout_s: float = 20.0

    @property
    def revision(self) -> str:
        """Part of the cache key."""
        return f"remote-1/{self.model}"

    def read_chart(self, image: Pixels, ocr_lines: Sequence[Line], deadline: Deadline | None = None) -> Chart:
        """As `reader.read_chart`: never raises. `image`: RGB, [height, width, 3]."""
        try:
            limit = min(self.timeout_s, deadline.left_s) if deadline else self.timeout_s
            if limit <= 0:
                raise DeadlineError
            table = parse_table(self._ask(image, Deadline(limit)))
            height, width = image.shape[:2]
            return replace(chart_of(table, ocr_lines, (width, height)), revision=self.revision)
        except DeadlineError:
            return Chart(abstained="deadline", revision=self.revision)
        except AbstainError as error:
            return Chart(abstained=error.reason, revision=self.revision)
        except (RemoteReaderError, cv2.error, ValueError, IndexError):
            return Chart(abstained="reader_failed", revision=self.revision)

    def read_in_process(self, image: Pixels, lines: Sequence[Line], deadline_s: float, reread: object) -> Chart:
        """The same as `ocr_worker.charts.process` calls it. A model reads no crops."""
        del reread
        return self.read_chart(image, lines, Deadline(deadline_s))

    def _ask(self, image: Pixels, deadline: Deadline) -> str:
        """The text of the completion. Raises RemoteReaderError and DeadlineError."""
        done, png = cv2.imencode(".png", image[:, :, ::-1])
        if not done:
            raise RemoteReaderError("the figure could not be encoded")
        uri = "data:image/png;base64," + base64.b64encode(png.tobytes()).decode("ascii")
        content = [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": self.prompt}]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        answer = _post(f"{self.base_url.rstrip('/')}/chat/completions", body, self.api_key, deadline)
        try:
            text = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise RemoteReaderError("the endpoint sent no completion") from error
        if not isinstance(text, str):
            raise RemoteReaderError("the endpoint sent no text")
        return text


def _post(url: str, body: object, api_key: str | None, deadline: Deadline) -> bytes:
    """POSTs JSON; the answer has at most MAX_ANSWER_BYTES. Raises RemoteReaderError and DeadlineError."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RemoteReaderError("the base URL is neither http nor https")
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}
    connection = kind(parts.hostname, parts.port, timeout=max(deadline.left_s, 0.001))
    try:
        connection.request("POST", parts.path, json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise RemoteReaderError(f"the endpoint answered {response.status}")
        received = bytearray()
        while chunk := response.read1(16_384):  # read1 returns what is there: the deadline holds for slow answers too
            received += chunk
            deadline.check()
            if len(received) > MAX_ANSWER_BYTES:
                raise RemoteReaderError("the answer is too large")
            if connection.sock is not None:
                connection.sock.settimeout(max(deadline.left_s, 0.001))
        return bytes(received)
    except TimeoutError as error:
        raise DeadlineError from error
    except (OSError, http.client.HTTPException) as error:
        raise RemoteReaderError(f"the endpoint could not be asked: {type(error).__name__}") from error
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` have as many cells as `header`; the first column is x."""

    title: str | None
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def parse_table(text: str) -> Table:
    """The table of an answer: DePlot's form, markdown, CSV or TSV. Raises AbstainError where there is none."""
    lines = [line.strip() for line in re.split(r"<0x0A>|\r?\n", text) if line.strip()]
    lines = [line for line in lines if not line.startswith("```")][: MAX_ROWS + 4]
    title = None
    if lines and re.match(r"title\s*[|:,\t]", lines[0], re.IGNORECASE):
        title = re.split(r"[|:,\t]", lines[0], maxsplit=1)[1].strip() or None
        lines = lines[1:]
    piped = [line for line in lines if "|" in line]
    if len(piped) >= 2:
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in piped]
        cells = [row for row in cells if not all(re.fullmatch(r":?-{2,}:?", cell) for cell in row)]
    else:
        separator = "\t" if sum("\t" in line for line in lines) >= 2 else ","
        found = [line for line in lines if separator in line]
        cells = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(found)), delimiter=separator)
        ]
    if len(cells) < 2 or not 2 <= len(cells[0]) <= MAX_COLUMNS:
        raise AbstainError("kind_unknown")
    header = tuple(cells[0])
    rows = tuple(tuple(row) for row in cells[1 : MAX_ROWS + 1] if len(row) == len(header))
    if len(rows) < 0.8 * (len(cells) - 1) or not rows:
        raise AbstainError("kind_unknown")
    return Table(title, header, rows)


def chart_of(table: Table, ocr_lines: Sequence[Line], size: tuple[int, int]) -> Chart:
    """The chart that a table tells of. Names that OCR did not read in the figure are kept, without a line."""
    width, height = size
    xs = [_number(row[0]) for row in table.rows]
    numeric = all(x is not None for x in xs) and len(set(xs)) == len(xs)
    series = []
    for column, name in enumerate(table.header[1:], start=1):
        values = [_number(row[column]) for row in table.rows]
        points = tuple(
            Point(x if numeric and x is not None else row[0], y, width / 2, height / 2)
            for row, x, y in zip(table.rows, xs, values, strict=True)
            if y is not None
        )
        known = len(points) / len(table.rows)
        text = name.strip() or None
        if known < 0.8:
            series.append(Series(text, _line_of(text, ocr_lines), abstained="low_coverage"))
            continue
        series.append(
            Series(
                text,
                _line_of(text, ocr_lines),
                None,
                points,
                round(known, 4),
                x_tolerance=TOLERANCE,
                y_tolerance=TOLERANCE,
            )
        )
    ys = [point.y for s in series for point in s.points]
    if not ys:
        raise AbstainError("kind_unknown")
    if numeric:
        places = [x for x in xs if x is not None]
        x_axis = Axis(table.header[0] or None, None, None, "linear", min(places), max(places))
    else:
        x_axis = Axis(table.header[0] or None, None, None, "category", categories=tuple(row[0] for row in table.rows))
    kind: ChartKind = "line" if numeric else "bar" if len(series) == 1 else "grouped_bar"
    low = min(ys) if numeric else min(*ys, 0.0)
    # A table does not say which chart it came from: numbers along x are read as curves, names as bars.
    panel = Panel(
        kind,
        (0.0, 0.0, float(width), float(height)),
        x_axis,
        Axis(None, None, None, "linear", low, max(ys)),
        tuple(series),
    )
    return Chart((replace(panel, series=facts_of(panel)),))


def _number(text: str) -> float | None:
    found = [n.value for n in readings(text) if n.form in ("plain", "percent")]
    return found[0] if found and math.isfinite(found[0]) else None


def _line_of(name: str | None, ocr_lines: Sequence[Line]) -> int | None:
    """The OCR line that holds the name, if there is exactly one."""
    if not name:
        return None
    found = [index for index, line in enumerate(ocr_lines) if line.text.strip().casefold() == name.casefold()]
    return found[0] if len(found) == 1 else None
