"""Progress of a long run in the terminal: count, time taken, and an estimate of the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error; what it yields is called with the numbers done and in all. What was done before a run
    was resumed does not count towards the estimate."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=None)
        started = False

        def advance(done: int, total: int) -> None:
            nonlocal started
            if not started:
                # The first call says what was there already: rich estimates from changes after it.
                progress.reset(task, total=total, completed=done, start=True)
                started = True
            else:
                progress.update(task, completed=done, total=total)

        yield advance
