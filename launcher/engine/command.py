"""Shared types of the engine modules: the command to start, the operator's choice, and options turned into flags."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import EngineConfigError

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
"""Keeps engines from contacting a model hub: the weights are on the disk."""


HEALTH_PATH = "/health"
"""Where both engines answer 200 once the model is loaded."""


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """How to start an engine."""

    argv: list[str]
    env: Mapping[str, str]
    cwd: Path
    answers_at_once: int | None = None
    """How many requests it gains from having at the same time; None where it batches, and the gateway's bound holds."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What the operator decides about the engine, beside the model.

    `python` is an interpreter that has the engine installed; a name without a slash is looked up on the PATH.
    `weights_dir` is None where the weights lie beside the manifest. `extra` are flags for the engine itself; they come
    last, so that they win over the manifest's.
    """

    backend: str = "transformers"
    python: str = sys.executable
    weights_dir: Path | None = None
    extra: tuple[str, ...] = ()

    @property
    def interpreter(self) -> str:
        """`python` as any folder finds it. Not resolved: the link is what makes an interpreter an environment's."""
        return str(Path(self.python).absolute()) if "/" in self.python else self.python


def refuse_unknown(backend: str, options: Iterable[str], known: set[str]) -> None:
    """Raises EngineConfigError for an option that is not `known`: a mistyped one must not be lost."""
    if unknown := sorted(set(options) - known):
        raise EngineConfigError(
            f"the manifest's engine.{backend}.{unknown[0]} is no option (known: {', '.join(sorted(known))})"
        )


def flag(option: str) -> str:
    """`max_num_seqs` as `--max-num-seqs`."""
    return "--" + option.replace("_", "-")
