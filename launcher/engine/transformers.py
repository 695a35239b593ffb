"""Command line of `transformers serve`: one request at a time for vision-language models, no GPU needed."""

from __future__ import annotations

from pathlib import Path

from launcher.engine.command import OFFLINE, EngineChoice, EngineCommand, flag, refuse_unknown
from llava_graph.address import Address
from llava_graph.manifest import ModelManifest

_AT_ONCE = 2
"""It generates one answer at a time, first come, first served; the next one's image is prepared meanwhile. What else is
asked for waits in the gateway, where callers take turns."""

_OPTIONS = {"device", "dtype", "attn_implementation", "quantization", "compile"}


def serve_command(
    choice: EngineChoice, manifest: ModelManifest, weights: Path, workspace: Path, address: Address
) -> EngineCommand:
    """Puts a link to the weights into `workspace`. Raises EngineConfigError.

    The server knows its model by the very text it was started with, and a request's `model` must be the same. A link
    with the model's name in the working folder makes that text the name, wherever the weights are.
    """
    link = workspace / manifest.name
    link.unlink(missing_ok=True)
    link.symlink_to(weights.resolve(), target_is_directory=True)
    serve = [choice.interpreter, "-m", "transformers.cli.transformers", "serve", manifest.name]
    listen = ["--host", address.host, "--port", str(address.port)]
    return EngineCommand([*serve, *listen, *_flags(manifest), *choice.extra], OFFLINE, workspace, _AT_ONCE)


def _flags(manifest: ModelManifest) -> list[str]:
    """`{"dtype": "float32", "compile": true}` as `--dtype float32 --compile`."""
    options = manifest.engine.get("transformers", {})
    refuse_unknown("transformers", options, _OPTIONS)
    flags: list[str] = []
    for option, value in options.items():
        if isinstance(value, bool):
            flags += [flag(option)] if value else []
        else:
            flags += [flag(option), str(value)]
    return flags
