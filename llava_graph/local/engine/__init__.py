"""A model's manifest turned into the command line of an inference engine.

command.py       what an engine's command is, and what the operator chooses
transformers.py  `transformers serve`: light, one request at a time
vllm.py          vLLM: continuous batching, on GPUs and on CPUs

The gateway never looks in here: it knows a base URL and OpenAI's protocol. Every engine serves the model under the id
`manifest.name`, so that is what a request's `model` says.
"""

from __future__ import annotations

from pathlib import Path

from llava_graph.local.addresses import Address
from llava_graph.local.engine import transformers, vllm
from llava_graph.local.engine.command import EngineChoice, EngineCommand
from llava_graph.local.errors import EngineConfigError
from llava_graph.manifest import ModelManifest

BACKENDS = ("transformers", "vllm")


def engine_command(
    choice: EngineChoice, manifest: ModelManifest, model_dir: Path, workspace: Path, address: Address
) -> EngineCommand:
    """The command that serves the model whose manifest lies in `model_dir`. It runs in `workspace`, the caller's own.

    Raises EngineConfigError when there are no weights, the manifest asks for an option that the backend does not have,
    or the backend is not installed.
    """
    weights = find_weights(manifest, model_dir, choice.weights_dir)
    if choice.backend == "vllm":
        return vllm.serve_command(choice, manifest, model_dir, weights, workspace, address)
    return transformers.serve_command(choice, manifest, weights, workspace, address)


def find_weights(manifest: ModelManifest, model_dir: Path, weights_dir: Path | None) -> Path:
    """The folder of the weights: `weights_dir`, or the manifest's own. Raises EngineConfigError when there are none."""
    folder = weights_dir or model_dir
    if (folder / "config.json").is_file():
        return folder
    complaint = f"{folder} holds no weights of {manifest.name} (there is no config.json)"
    if manifest.weights is None:
        raise EngineConfigError(f"{complaint}; name their folder with --weights")
    source = manifest.weights
    raise EngineConfigError(
        f"{complaint}. Get them once, under their licence ({source.license}), and name their folder with --weights:\n"
        f"  hf download {source.repository} --revision {source.revision} --local-dir {source.repository.split('/')[-1]}"
    )
