"""`llava-graph chat`: a conversation about one figure in the terminal, through a gateway that runs somewhere.

The gateway keeps the figure; the conversation is here, and each question brings all of it. Lines are edited and found
again with readline, for this conversation alone: nothing is written but what `/save` is told to write.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from launcher.figure_source import FigureSourceError, read_figure
from launcher.running import gateway_client
from launcher.terminal import AnswerView, legible, show_chart, show_ocr
from llava_graph import client
from llava_graph.client import ExplainError
from llava_graph.context import Turn
from llava_graph.context_parts import ContextParts

_PROMPT = "> "

HELP = """/clear          forget the conversation, and go on with the same figure
/context        show what the model is told of the figure
/context PARTS  tell it only these: any of caption, ocr, chart with commas between, or all, both, none
/save FILE      write the conversation: as Markdown where FILE ends with .md, else as JSON lines with receipts
/help           show this
/quit           end, as ctrl-D does; ctrl-C stops an answer"""


@dataclass(slots=True)
class Conversation:
    """The figure and what was said about it. `answers` holds each answer's `done` event with its question."""

    image: bytes
    caption: str
    kept_id: str
    context: str = "all"
    turns: list[Turn] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The `ocr` and `chart` events of the last answer."""

    def clear(self) -> None:
        self.turns.clear()
        self.answers.clear()


@click.command()
@click.argument("figure")
@click.option("--caption", default="", help="The figure's caption.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The gateway.")
@click.option("--model", "model_name", help="Which of the gateway's models answers; default: its first.")
@click.option("--no-ocr", is_flag=True, help="Do without the text in the figure.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer; default: the model's.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 is greedy; default: the model's.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Draw from the likeliest.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Draw the same again; default: another each time.")
def chat(
    figure: str,
    caption: str,
    url: str,
    model_name: str | None,
    no_ocr: bool,
    max_tokens: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
) -> None:
    """Talk about FIGURE, a file or an https URL, in the terminal. /help lists the commands."""
    console = Console(highlight=False)
    how: dict[str, Any] = {
        "model": model_name,
        "ocr": not no_ocr,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
    }
    try:
        image = asyncio.run(read_figure(figure))
        kept_id = asyncio.run(_kept(url, image, caption))
    except (FigureSourceError, ExplainError) as error:
        raise click.ClickException(legible(str(error))) from error
    console.print(Text(legible(figure), "bold"), Text(legible(caption), "italic"))
    console.print(Text("Ask about the figure; /help lists the commands.", "dim"))
    _talk(console, Conversation(image, caption, kept_id), url, how)


def _talk(console: Console, conversation: Conversation, url: str, how: dict[str, Any]) -> None:
    """Until the end of the input."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # where Python has none, lines are read without editing
            importlib.import_module("readline")
    while True:
        try:
            line = input(_PROMPT).strip()
        except EOFError:
            console.print()
            return
        except KeyboardInterrupt:
            console.print()
            continue
        if line == "/quit":
            return
        if line.startswith("/"):
            _obey(console, conversation, line)
        elif line:
            _ask(console, conversation, line, url, how)


def _obey(console: Console, conversation: Conversation, line: str) -> None:
    name, _, rest = line.partition(" ")
    commands: dict[str, Callable[[Console, Conversation, str], None]] = {
        "/clear": _clear,
        "/context": _context,
        "/save": _save,
        "/help": _help,
    }
    command = commands.get(name)
    if command is None:
        console.print(Text(f"There is no command {legible(name)}; /help lists them.", "red"))
    else:
        command(console, conversation, rest.strip())


def _help(console: Console, _: Conversation, __: str) -> None:
    console.print(Text(HELP, "dim"), soft_wrap=True)


def _clear(console: Console, conversation: Conversation, _: str) -> None:
    conversation.clear()
    console.print(Text("The conversation is forgotten.", "dim"))


def _context(console: Console, conversation: Conversation, parts: str) -> None:
    if parts:
        try:
            conversation.context = str(ContextParts.parse(parts))
        except ValueError as error:
            console.print(Text(legible(str(error)), "red"), soft_wrap=True)
            return
    console.print(Text(f"The model is told {conversation.context}.", "dim"))
    console.print(Text.assemble(("caption: ", "dim"), legible(conversation.caption)), soft_wrap=True)
    if "ocr" in conversation.told:
        show_ocr(console, conversation.told["ocr"])
    if "chart" in conversation.told:
        show_chart(console, conversation.told["chart"])
    if not conversation.told:
        console.print(Text("Text and data are known with the first answer.", "dim"))


def _save(console: Console, conversation: Conversation, name: str) -> None:
    if not name:
        console.print(Text("Name a file: /save FILE", "red"))
        return
    path = Path(name).expanduser()
    text = _markdown(conversation) if path.suffix == ".md" else _json_lines(conversation)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        console.print(Text(f"It could not be written: {error}", "red"), soft_wrap=True)
        return
    console.print(Text(f"{len(conversation.answers)} answers are in {path}.", "dim"), soft_wrap=True)


def _markdown(conversation: Conversation) -> str:
    said = [f"**{answer['question']}**\n\n{answer['text']}\n" for answer in conversation.answers]
    return "\n".join([f"*{conversation.caption}*\n", *said]) if conversation.caption else "\n".join(said)


def _json_lines(conversation: Conversation) -> str:
    return "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in conversation.answers)


def _ask(console: Console, conversation: Conversation, question: str, url: str, how: dict[str, Any]) -> None:
    """Asks and shows the answer. A question that got no whole answer is not part of the conversation."""
    view = AnswerView(console)
    turns = [*conversation.turns, Turn("user", question)]
    try:
        done = asyncio.run(_answered(conversation, turns, view, url, how))
    except ExplainError as error:
        view.show_error(error)
    except KeyboardInterrupt:
        view.end_line()
        console.print(Text("stopped", "dim"))
    else:
        conversation.turns = [*turns, Turn("assistant", str(done["text"]))]
        conversation.answers.append({"question": question, **done})


async def _answered(
    conversation: Conversation, turns: list[Turn], view: AnswerView, url: str, how: dict[str, Any]
) -> dict[str, Any]:
    """The `done` event of an answer that is shown as it comes. A figure that the gateway has forgotten since is sent
    again. Raises ExplainError."""
    try:
        return await _streamed(conversation, turns, view, url, how)
    except ExplainError as error:
        if error.code != "figure_unknown":
            raise
    conversation.kept_id = await _kept(url, conversation.image, conversation.caption)
    return await _streamed(conversation, turns, view, url, how)


async def _streamed(
    conversation: Conversation, turns: list[Turn], view: AnswerView, url: str, how: dict[str, Any]
) -> dict[str, Any]:
    done: dict[str, Any] = {}
    async with gateway_client(url) as gateway:
        events = client.chat(gateway, conversation.kept_id, turns, context=conversation.context, **how)
        async with aclosing(events):
            async for event in events:
                view.show(event)
                if event.name in ("ocr", "chart"):
                    conversation.told[event.name] = event.data
                elif event.name == "done":
                    done = event.data
    return done


async def _kept(url: str, image: bytes, caption: str) -> str:
    """The id under which the gateway keeps the figure. Raises ExplainError."""
    async with gateway_client(url) as gateway:
        return str((await client.add_figure(gateway, image, caption))["id"])
