"""A Report as one HTML page, or as Markdown.

The page holds everything it shows: styles, plots and images stand in it, and its content security policy forbids any
request, so that a report opened anywhere tells no server about it. All text is escaped by Jinja. It computes nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation.report.parts import Report, Table

TEMPLATE = "page.html.jinja"

_MARKDOWN_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|])")


def html(report: Report) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("evaluation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg_uri"] = _svg_uri
    return environment.get_template(TEMPLATE).render(report=report)


def markdown(report: Report) -> str:
    """Tables, notes and the examples' texts. Plots and figures are in the page; here their words stand for them."""
    parts = [f"# {report.title}"]
    for section in report.sections:
        parts.append(f"## {section.title}")
        parts += section.notes
        parts += [_table(table) for table in section.tables]
        parts += [f"*Plot in the HTML page: {_plain(plot.alt)}.*" for plot in section.plots]
    if report.examples:
        parts.append("## Examples")
    for example in report.examples:
        parts.append(f"### Question {_plain(example.question_id)}")
        parts.append(f"> {_plain(example.question)}")
        if example.reference is not None:
            parts.append(f"Reference: {_plain(example.reference)}")
        parts += [f"**{_plain(answer.run)}**: {_plain(answer.text)}" for answer in example.answers]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    return "\n".join([_row(table.header), "|" + " --- |" * len(table.header), *map(_row, table.rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text of figures and models, on one line, with nothing that Markdown or HTML would read as a command."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", " ".join(text.split()))


def _svg_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")
