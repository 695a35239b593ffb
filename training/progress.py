"""Shows a run in the terminal: steps, loss and rates, on one line of the error stream."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_FORMATS = (
    ("loss", "loss {:.4f}"),
    ("samples_per_second", "{:.2f} samples/s"),
    ("tokens_per_second", "{:,.0f} tokens/s"),
    ("padding_waste", "padding {:.1%}"),
    ("mfu", "MFU {:.1%}"),
)


def described(logs: dict[str, float]) -> str:
    """What a line of the log says, for a reader."""
    return " · ".join(form.format(logs[name]) for name, form in _FORMATS if name in logs)


class ProgressLine(TrainerCallback):
    """A bar over the run's steps. For one rank: the others keep silent."""

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console)
        self._task: Any = None

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002  # the interface's
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **more: object,  # noqa: ARG002
    ) -> None:
        self._task = self._bar.add_task("", total=state.max_steps, completed=state.global_step)
        self._bar.start()

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **more: object,  # noqa: ARG002
    ) -> None:
        if logs and "loss" in logs:
            self._bar.update(self._task, completed=state.global_step, description=described(logs))

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **more: object,  # noqa: ARG002
    ) -> None:
        self._bar.stop()
