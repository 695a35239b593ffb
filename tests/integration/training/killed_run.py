"""A training run that is killed with SIGKILL, as a process of its own: WHEN RECIPE OUT ROOM MODEL [--resume].

WHEN is `step-N`, after the N-th step, or `writing-N`, when all of checkpoint-N is written and it has no name yet.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState

from training import recipe as recipes
from training import trainer
from training.run import Files, run


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KilledAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **more: Any) -> None:  # noqa: ARG002
        if state.global_step == self.step:
            die()


def main(when: str, recipe: str, out: str, room: str, model: str, *more: str) -> None:
    moment, _, number = when.partition("-")
    if moment == "writing":
        finish = trainer.finish

        def killed(folder: Path, name: str, keep: int) -> Path:
            if name == f"checkpoint-{number}":
                die()
            return finish(folder, name, keep)

        trainer.finish = killed
    callbacks = [KilledAfter(int(number))] if moment == "step" else []
    files = Files(data=Path(room) / "built" / "train", out=Path(out), model=Path(model))
    # Batches are read ahead in another process: what was read and not trained on must come again.
    loaded = recipes.load(Path(recipe), ["compute.read_ahead=true"])
    run(loaded, files, resume="--resume" in more, callbacks=callbacks)


if __name__ == "__main__":
    main(*sys.argv[1:])
