"""A model's manifest turned into the command line of an inference engine.

One function per backend, found by name in BACKENDS. The gateway never looks in here: it knows a base URL and OpenAI's
protocol. Every engine serves the model under the id `manifest.name`, so that is what a request's `model` says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llava_graph.local.addresses import Address
from llava_graph.local.errors import EngineConfigError
from llava_graph.manifest import EngineOption, ModelManifest

# No engine of ours may reach out to a model hub: what it serves lies on the disk.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """How to start an engine; `health_path` answers 200 once the model is loaded."""

    argv: list[str]
    env: Mapping[str, str]
    cwd: Path
    health_path: str = "/health"


def engine_command(
    backend: str, manifest: ModelManifest, model_dir: Path, workspace: Path, address: Address
) -> EngineCommand:
    """The command that serves the model in `model_dir`. Puts a link to it into `workspace`, a folder of the caller's.

    Raises EngineConfigError when there are no weights or the manifest asks for an option the backend does not have.
    """
    if not (model_dir / "config.json").is_file():
        raise EngineConfigError(f"{model_dir} holds a manifest but no model (there is no config.json)")
    return BACKENDS[backend](manifest, model_dir, workspace, address)


def _transformers(manifest: ModelManifest, model_dir: Path, workspace: Path, address: Address) -> EngineCommand:
    """Hugging Face's own server: one request at a time for vision-language models, up in seconds, no GPU needed.

    The server knows its model by the very text it was started with, and a request's `model` must be the same. A link
    with the model's name in the working folder makes that text the name, wherever the model's folder is.
    """
    link = workspace / manifest.name
    link.unlink(missing_ok=True)
    link.symlink_to(model_dir.resolve(), target_is_directory=True)
    options = manifest.engine.get("transformers", {})
    flags = _flags("transformers", options, known={"device", "dtype", "attn_implementation", "quantization", "compile"})
    serve = [sys.executable, "-m", "transformers.cli.transformers", "serve", manifest.name]
    return EngineCommand([*serve, "--host", address.host, "--port", str(address.port), *flags], _OFFLINE, workspace)


BACKENDS: dict[str, Callable[[ModelManifest, Path, Path, Address], EngineCommand]] = {"transformers": _transformers}


def _flags(backend: str, options: Mapping[str, EngineOption], known: set[str]) -> list[str]:
    """`{"dtype": "float32", "compile": true}` as `--dtype float32 --compile`."""
    if unknown := sorted(options.keys() - known):
        raise EngineConfigError(
            f"the manifest's engine.{backend}.{unknown[0]} is no option (known: {', '.join(sorted(known))})"
        )
    flags: list[str] = []
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            flags += [flag] if value else []
        else:
            flags += [flag, str(value)]
    return flags
