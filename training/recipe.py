"""Recipes: every hyperparameter of a training run, read from YAML into frozen dataclasses.

    recipe = load("lightning-finetune-v1", overrides=("batch.devices=4",))

A recipe says how to train. Where data, weights and results lie is not known here: those are options of the command.
Reading is strict: a key that does not exist is refused with the nearest one that does, and so is a key given twice. A
recipe may begin as another one (`extends: NAME`) and then holds only what differs.

Units: lengths are in tokens, counts in samples or optimizer steps, shares from 0 to 1. `effective.py` turns a recipe
into transformers' TrainingArguments.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from training.refusals import RecipeError

FOLDER = Path(__file__).parent / "recipes"

Strategy = Literal["none", "ddp", "fsdp", "zero2", "zero3"]
AspectRatio = Literal["square", "pad", "squash", "keep"]
Reporter = Literal["tensorboard", "wandb"]

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """How samples become tokens and pixels."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    template: str
    """Conversation format, one of training/templates."""
    max_tokens: Count = 2048
    """Longest sample, its image's tokens included. A longer one is cut, never within an image, and counted."""
    image_aspect_ratio: AspectRatio = "square"
    """square: shortest edge to the tower's side, then the middle; pad: to a square of the mean colour, then that;
    squash: squeezed into the square. The processor that is saved with the model does the same where it is served."""
    image_placement: Literal["in_place", "turn_front", "conversation_front"] = "in_place"
    """Where a prompt shows the image: where the data do; before the rest of its turn (LLaVA from 1.0 on); or before
    the whole conversation (the original's `sep_image_conv_front`)."""
    group_by_modality_length: bool = False
    """Whether a step holds samples of about one length. Steps of images and of text alone are apart in any case: the
    ranks of FSDP and ZeRO-3 must do the same work."""
    packing: bool = False
    """Whether samples share a row of `max_tokens`; none sees another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """How vision tower and language model are joined. An existing LLaVA keeps what it has."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    base: str
    """What the published run started from. For the reader: the weights themselves are an option of the command."""
    vision_tower: str = "openai/clip-vit-large-patch14"
    """Likewise."""
    projector: Literal["linear", "mlp2x_gelu"] = "linear"
    vision_feature_layer: int = -2
    """Which hidden states of the tower are shown to the language model; -2: those before its last layer."""
    image_start_end: bool = False
    """Whether <im_start> and <im_end> surround an image (the original's `mm_use_im_start_end`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Hu et al. 2021, arXiv:2106.09685. Targets are all linear layers of the language model but the output's."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    rank: Count = 64
    alpha: Count = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    projector: bool = False
    """Whether the projector gets factors, too, rather than being trained in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tune:
    """What learns. The vision tower never does."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    language_model: bool
    """False: the first stage (the original's `tune_mm_mlp_adapter`), or `freeze_backbone`."""
    projector: bool = True
    """False: the original's `freeze_mm_mlp_adapter`."""
    lora: Lora | None = None
    """Low-rank factors in place of the language model's own weights."""
    quantised_bits: Literal[4, 8] | None = None
    """QLoRA (arXiv:2305.14314): the frozen language model in 4 (NF4, double quantisation) or 8 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """AdamW (betas 0.9 and 0.999, eps 1e-8) with a warm-up, then a schedule over all steps."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    learning_rate: Rate
    projector_learning_rate: Rate | None = None
    """None: the same."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_share: Share = 0.03
    """Share of all steps in which the learning rate rises."""
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How many samples make an optimizer step, and how many steps there are."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    samples_per_device: Count
    accumulation_steps: Count = 1
    devices: Count = 1
    """Of the published run. Another number is said at the start, and changes the samples of a step."""
    epochs: Count = 1
    max_steps: Count | None = None
    """Ends the run earlier; the schedule then spans these steps."""

    @property
    def samples(self) -> int:
        """Of one optimizer step, on `devices` devices."""
        return self.samples_per_device * self.accumulation_steps * self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Number formats, kernels, and how a model is spread over devices."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    bf16: bool = True
    tf32: bool = True
    """TensorFloat-32 for what is left in float32, where the device has it (Ampere and later)."""
    gradient_checkpointing: bool = True
    """Activations of a layer are computed again in the backward pass: less memory, a third more computing."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    read_ahead: bool = True
    """Whether a process of its own reads, encodes and decodes images for each device, ahead of the training."""
    strategy: Strategy = "none"
    """fsdp: parameters, gradients and optimizer state in shards (PyTorch's FSDP2). zero2, zero3: DeepSpeed."""
    offload: bool = False
    """Whether shards wait in the host's memory. With fsdp, zero2 and zero3."""
    wrap: tuple[str, ...] = ("LlamaDecoderLayer",)
    """Classes of the modules that fsdp gathers one at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is kept and told while the run goes on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    every_steps: Count = 1
    checkpoint_every_steps: Count = 500
    checkpoints_kept: Count = 1
    report_to: tuple[Reporter, ...] = ()
    """The original's runs reported to W&B, which sends data to its servers: nothing does so here unless asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run, apart from its files."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    summary: str
    """One line for `train list`."""
    data: Data
    model: Model
    tune: Tune
    optimizer: Optimizer
    batch: Batch
    compute: Compute = field(default_factory=Compute)
    log: Log = field(default_factory=Log)
    seed: int = 42
    """Of new weights, dropout and the order of the samples."""

    def __post_init__(self) -> None:
        if not self.tune.language_model and self.tune.lora is not None:
            raise ValueError("tune.lora trains factors in the language model, but tune.language_model is false")
        if not (self.tune.language_model or self.tune.projector):
            raise ValueError("tune: neither projector nor language model would learn")
        if self.tune.quantised_bits is not None and self.tune.language_model and self.tune.lora is None:
            raise ValueError("tune.quantised_bits: quantised weights cannot learn; add tune.lora")
        if self.compute.offload and self.compute.strategy not in ("fsdp", "zero2", "zero3"):
            raise ValueError(f"compute.offload: the strategy {self.compute.strategy!r} has no shards")
        if self.data.packing and self.data.group_by_modality_length:
            raise ValueError("data.packing: rows are full anyway; leave out data.group_by_modality_length")


_ADAPTER = TypeAdapter(Recipe)


def names() -> list[str]:
    """The recipes that come with this package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_file: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of a name, or of a YAML file, with `section.key=value` overrides (values in YAML) on top.

    Raises RecipeError, whose message names the key and the nearest one that exists.
    """
    raw = _raw(path_of(name_or_file), ())
    for override in overrides:
        _override(raw, override)
    return _validated(raw, str(name_or_file))


def path_of(name_or_file: str | Path) -> Path:
    """The YAML file of a recipe. Raises RecipeError where there is none."""
    path = Path(name_or_file)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError(f"{path}: no such file")
        return path
    if str(name_or_file) not in names():
        raise RecipeError(f"no such recipe: {str(name_or_file)!r}{_nearest(str(name_or_file), names())}")
    return FOLDER / f"{name_or_file}.yaml"


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as YAML holds it, with every value written out."""
    plain: dict[str, Any] = _ADAPTER.dump_python(recipe, mode="json")
    return plain


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # pyyaml has no types
    """YAML's data types only, and no key twice: of two, the later would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _raw(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    if path in extended_by:
        raise RecipeError(f"{path}: extends itself")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise RecipeError(f"{path}: holds no keys")
    base = found.pop("extends", None)
    if base is None:
        return found
    # A file beside this one, where it names one, else a recipe of this package.
    beside = path.parent / str(base)
    below = _raw(beside if beside.suffix in (".yaml", ".yml") else path_of(str(base)), (*extended_by, path))
    return _merged(below, found)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _override(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise RecipeError(f"{override!r}: write section.key=value")
    *sections, last = key.strip().split(".")
    place = raw
    for section in sections:
        if place.get(section) is None:
            place[section] = {}
        place = place[section]
        if not isinstance(place, dict):
            raise RecipeError(f"{key}: {section} is a value, not a section")
    try:
        place[last] = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{override!r}: {error}") from error


def _validated(raw: Mapping[str, Any], source: str) -> Recipe:
    try:
        return _ADAPTER.validate_python(dict(raw))
    except ValidationError as error:
        raise RecipeError("; ".join(_told(problem, source) for problem in error.errors())) from error


def _told(problem: Any, source: str) -> str:
    place = [str(part) for part in problem["loc"] if not str(part).startswith("function-")]
    key = ".".join(place)
    if problem["type"] == "unexpected_keyword_argument":
        return f"{source}: no such key: {key}{_nearest(place[-1], _keys(place[:-1]))}"
    if problem["type"] == "missing":
        return f"{source}: {key} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{source}: {key}: {message}" if key else f"{source}: {message}"


def _keys(sections: Sequence[str]) -> list[str]:
    """The keys of a section."""
    kind: Any = Recipe
    for section in sections:
        hint = get_type_hints(kind)[section]
        kind = next((part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)), None)
        if kind is None:
            return []
    return [entry.name for entry in dataclasses.fields(kind)]


def _nearest(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {found[0]}?)" if found else f" (there are {', '.join(known)})" if known else ""
