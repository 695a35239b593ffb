"""A model's manifest turned into the command line of an inference engine.

command.py       what an engine's command is, and what the operator chooses
transformers.py  `transformers serve`: light, one request at a time
vllm.py          vLLM: continuous batching, on GPUs and on CPUs

The gateway does not import this: it knows a base URL and OpenAI's protocol. Every engine serves the model under the id
`manifest.name`, so that is what a request's `model` says.
"""

from __future__ import annotations

from pathlib import Path

from launcher.engine import transformers, vllm
from launcher.engine.command import EngineChoice, EngineCommand
from launcher.errors import EngineConfigError
from llava_graph.address import Address
from llava_graph.built import built_dir, is_built
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


def is_missing_build(manifest: ModelManifest, model_dir: Path, weights_dir: Path | None) -> bool:
    """Whether the model's weights are to be built on this machine, and are not yet."""
    if weights_dir is not None or manifest.build is None or is_built(model_dir):
        return False
    return not is_built(built_dir(model_dir, manifest))


def find_weights(manifest: ModelManifest, model_dir: Path, weights_dir: Path | None) -> Path:
    """The folder of the weights: `weights_dir`, the manifest's own, or the one in the cache that was built for it.

    Raises EngineConfigError when there are none.
    """
    if is_missing_build(manifest, model_dir, weights_dir):
        raise EngineConfigError(
            f"the weights of {manifest.name} are not built yet; this builds them, once:\n"
            f"  llava-graph weights build {model_dir}"
        )
    folder = weights_dir or model_dir
    if weights_dir is None and manifest.build is not None and not is_built(model_dir):
        return built_dir(model_dir, manifest)
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
