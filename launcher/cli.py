"""The `llava-graph` command: a table of subcommands, each loaded only when it is called.

Every part of the project has an extra of its own, so a machine may hold the gateway without torch, or the OCR worker
without a web framework. This module therefore imports no part; where one's extra is missing, it says which.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Subcommand:
    """Where a subcommand lives (`module:attribute`, a click command), and the extra that its imports need."""

    target: str
    extra: str
    help: str


SUBCOMMANDS = {
    "up": Subcommand("launcher.commands:up", "local", "Run everything on this machine."),
    "demo": Subcommand("launcher.commands:demo", "local", "Run everything, explain the examples, stop."),
    "explain": Subcommand("launcher.explaining:explain", "local", "Explain figures."),
    "chat": Subcommand("launcher.chatting:chat", "local", "Talk about a figure."),
    "replay": Subcommand("launcher.replaying:replay_command", "local", "Ask again what a receipt says."),
    "engine": Subcommand("launcher.commands:engine", "local", "Run and supervise the inference engine."),
    "gateway": Subcommand("service.__main__:main", "service", "Run the gateway (HTTP)."),
    "keys": Subcommand("llava_graph.api_keys:main", "service", "Make API keys for the gateway."),
    "ocr-worker": Subcommand("ocr_worker.__main__:main", "ocr", "Run an OCR worker."),
    "data": Subcommand("data.cli:main", "data", "Read data sets, build and draw training data."),
    "weights": Subcommand("weights.cli:main", "weights", "Convert weights, make and apply deltas."),
    "train": Subcommand("training.cli:main", "training", "Train a model."),
    "eval": Subcommand("evaluation.cli:main", "evaluation", "Measure a model."),
}

_OUR_PACKAGES = {"llava_graph"} | {entry.target.partition(".")[0] for entry in SUBCOMMANDS.values()}


class LazyGroup(click.Group):
    """A click group over SUBCOMMANDS that imports a subcommand's module when it is run, and not for `--help`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = SUBCOMMANDS.get(cmd_name)
        return _load(cmd_name, entry) if entry else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in SUBCOMMANDS.items()])


def _load(name: str, entry: Subcommand) -> click.Command:
    module_name, _, attribute = entry.target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise click.ClickException(f"`llava-graph {name}` is not part of this installation.") from error
        if missing.partition(".")[0] in _OUR_PACKAGES:
            raise  # a defect of ours, which no extra mends
        raise click.ClickException(
            f"`llava-graph {name}` needs {missing!r}, which is not installed: pip install 'llava-graph[{entry.extra}]'"
        ) from error
    command = getattr(module, attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.target} is not a click command")
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="llava-graph")
def main() -> None:
    """LLaVA-Graph explains scientific figures: figure and caption in, streamed explanation out."""


if __name__ == "__main__":
    main()
