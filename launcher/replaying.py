"""`llava-graph replay`: sends a receipt's request again, and prints what is equal and what differs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import click
from rich.console import Console

from launcher.replay import KeptReceipt, Replay, ReplayError, choose, read_receipts, replay, same_beginning
from launcher.running import INTERRUPTED, CommandFailedError, gateway_client, run_command
from launcher.terminal import legible
from llava_graph.client import ExplainError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_SHOWN_CHARS = 60
"""Of two answers, from where they part."""


@click.command("replay")
@click.argument("receipt_file", metavar="RECEIPT", type=_FILE)
@click.option("--image", "image_file", type=_FILE, required=True, help="The figure that the answer is about.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The gateway.")
def replay_command(receipt_file: Path, image_file: Path, url: str) -> None:
    """Ask again what RECEIPT says was asked, and say what is the same now and what differs.

    RECEIPT is a receipt, or what an answer with one was kept in: a `done` event, an answer as one object, a chat
    completion, or the file of `explain --out`. Exits with 0 only when the answer is the same, letter by letter.
    """
    console = Console(highlight=False)

    async def work() -> None:
        try:
            image = await asyncio.to_thread(image_file.read_bytes)
            receipt = choose(read_receipts(receipt_file), image)
            async with gateway_client(url) as gateway:
                again = await replay(gateway, receipt, image)
        except (ReplayError, ExplainError) as error:
            raise CommandFailedError(legible(str(error))) from error
        _show(console, receipt, again)
        if not again.is_same_answer:
            raise CommandFailedError

    run_command(console, work(), status_when_stopped=INTERRUPTED)


def _show(console: Console, receipt: KeptReceipt, again: Replay) -> None:
    def say(words: str) -> None:
        console.print(legible(_HASH.sub(r"\1…", words)), markup=False, soft_wrap=True)

    width = max(len(row.name) for row in again.compared)
    for row in again.compared:
        if row.is_same:
            say(f"same     {row.name:<{width}}  {row.now}")
        else:
            say(f"differs  {row.name:<{width}}  {row.then} then; {row.now} now")
    say("")
    if again.is_same_answer:
        say("The answer is the same, letter by letter.")
        return
    say("The answer is another.")
    if receipt.answer is not None:
        same = same_beginning(receipt.answer, again.answer)
        rests = (text[same : same + _SHOWN_CHARS] for text in (receipt.answer, again.answer))
        say("After {} same characters it said “{}” then, and “{}” now.".format(same, *rests))
    if receipt.is_drawn_anew:
        say("It was drawn without a seed, so that another was to be expected.")
