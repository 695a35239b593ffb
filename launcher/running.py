"""Runs a command: its coroutine until a signal, errors printed as messages, an exit status returned."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, NoReturn

import httpx2
from rich.console import Console

from launcher.bulk import BulkError
from launcher.errors import SetupError
from launcher.supervisor import ServiceError
from launcher.terminal import show_log_tail
from llava_graph import client
from llava_graph.manifest import ManifestError

INTERRUPTED = 130
"""Exit status of a command that was stopped before its work was done: what shells say after ctrl-C."""


class CommandFailedError(Exception):
    """The work is not done. What went wrong is said in the message, or was said before when there is none."""


def gateway_client(url: str) -> httpx2.AsyncClient:
    """A client that identifies itself with the key in the environment, if there is one."""
    key = os.environ.get("LLAVA_GRAPH_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # How much is under way is for the command to say: at the library's own bound requests would wait, and then fail.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
    # A proxy from the environment is for the outside world; the gateway is ours.
    return httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT, trust_env=False, headers=headers, limits=limits)


def run_command(console: Console, work: Coroutine[Any, Any, None], status_when_stopped: int) -> None:
    """Runs a command's work to its end; returns when all went well, leaves with the right exit status otherwise."""
    try:
        stopped = asyncio.run(_until_stopped(work))
    except ServiceError as error:
        show_log_tail(console, error.service)
        _fail(console, str(error))
    except (SetupError, ManifestError, CommandFailedError, BulkError, OSError) as error:
        _fail(console, str(error))
    else:
        if stopped and status_when_stopped:
            raise SystemExit(status_when_stopped)


def _fail(console: Console, words: str) -> NoReturn:
    if words:
        console.print(f"failed: {words}", style="red", markup=False, soft_wrap=True)
    raise SystemExit(1)


async def _until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Awaits the work; True when SIGINT or SIGTERM stopped it.

    The first signal cancels the work, whose contexts then stop everything in order; a second one cancels that, too.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False
