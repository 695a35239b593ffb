"""Has the weights of a shipped model built where they are missing, before its engine is started.

Building needs torch and most of a minute, so a child does it: `llava-graph weights build`. Knows nothing of deltas.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path

from launcher.engine import is_missing_build
from launcher.errors import EngineConfigError
from llava_graph.manifest import load_manifest


async def build_missing(model_dir: Path, weights_dir: Path | None, say: Callable[[str], None]) -> None:
    """Returns when the model's weights are there, or when nothing is known of how to build them.

    `say` gets the builder's lines. Raises EngineConfigError with its last one when it fails, and ManifestError.
    """
    if not is_missing_build(load_manifest(model_dir), model_dir, weights_dir):
        return
    say(f"The weights of {model_dir} are built, which is done once")
    command = [sys.executable, "-m", "launcher.cli", "weights", "build", str(model_dir)]
    # A session of its own: pip, which it starts, is then stopped with it. Bars of libraries are no lines.
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        env={**os.environ, "TQDM_DISABLE": "1"},
        start_new_session=True,
    )
    assert child.stderr is not None
    last = ""
    try:
        async for line in child.stderr:
            if last:
                say(last)
            last = line.decode(errors="replace").strip()
        if await child.wait():
            raise EngineConfigError(
                f"{last.removeprefix('Error: ')}\n"
                "What needs no building is --model model_repo/llava-graph-tiny, a smaller model."
            )
        say(last)
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            await child.wait()
