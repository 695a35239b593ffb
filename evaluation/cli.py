"""`llava-graph eval`: answers, metrics, judges, suites and reports.

    llava-graph eval answer --questions Q.jsonl --images figures --service URL --out runs/a/answers.jsonl
    llava-graph eval metrics --answers runs/a/answers.jsonl --references R.jsonl --json runs/a/metrics.json
    llava-graph eval report runs/a --images figures --out report.html

A table of commands; what they do stands in the rooms.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

from evaluation.answers.commands import answer, questions_command, readings
from evaluation.judge.commands import judge, summarize
from evaluation.metrics.commands import metrics
from evaluation.report.commands import report
from evaluation.suites.context.commands import context
from evaluation.suites.ocr.commands import ocr
from evaluation.suites.scienceqa.commands import scienceqa

COMMANDS = (
    answer,
    questions_command,
    readings,
    metrics,
    judge,
    summarize,
    ocr,
    scienceqa,
    context,
    report,
)


class _Heavy(NamedTuple):
    """A command whose module draws: where it stands (`module:attribute`), and its line of help."""

    target: str
    help: str


HEAVY = {
    "card": _Heavy("evaluation.suites.facts.commands:card", "Measure the tables of a model's card."),
    "charts": _Heavy("evaluation.suites.charts.cli:charts", "Measure a chart reader on figures of known data."),
    "facts": _Heavy("evaluation.suites.facts.commands:facts", "Score explanations of held-out synthetic figures."),
}
_OLD_NAMES = {"synthetic": "facts"}
"""Until version 0.2."""


class _Group(click.Group):
    """COMMANDS, and those of HEAVY, whose modules are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *HEAVY, *_OLD_NAMES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        heavy = HEAVY.get(_OLD_NAMES.get(cmd_name, cmd_name))
        if heavy is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = heavy.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        rows = [(command.name or "", command.get_short_help_str()) for command in COMMANDS]
        rows += [(name, heavy.help) for name, heavy in HEAVY.items()]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure a model."""


for command in COMMANDS:
    main.add_command(command)
