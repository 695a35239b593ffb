"""Puts a LLaVA together for training, and writes what training made of it.

    join()    a vision tower, a language model and a new projector (the first stage)
    load()    an existing LLaVA in llava-hf's layout (every later stage)
    save()    the folder that `transformers`, vLLM and `llava-graph weights` take

A linear projector, the original's, is trained as the one matrix that it is. transformers' LLaVA has two layers: the
folder holds the same function in that form, exactly (weights/projector.py), and `load` recognises it again.

What learns is decided in adapters.py, and which conversation format a sample is written in by its recipe.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    CLIPImageProcessor,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from training.recipe import Recipe
from training.refusals import MissingPackageError, ModelError
from weights.checkpoint import read_json
from weights.errors import WeightsError
from weights.folder import new_folder
from weights.layouts import IN_MEMORY, LINEAR, OUTPUT, PROJECTOR
from weights.projector import one_layer, two_layers
from weights.templates import TEMPLATES
from weights.tensors import LazyTensor, in_memory
from weights.tokens import END, IMAGE, PATCH, START, ImageVocabulary, read_tokenizer, with_image_token
from weights.writing import WriteOptions, write_weights

WITHOUT_CLASS_TOKEN = ("siglip_vision_model", "siglip2_vision_model")
"""Towers whose hidden states are patches alone: nothing is dropped from them."""


@dataclass(frozen=True, slots=True)
class Llava:
    """A model with the processor that belongs to it."""

    model: LlavaForConditionalGeneration
    processor: LlavaProcessor

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        tokenizer: PreTrainedTokenizerFast = self.processor.tokenizer
        return tokenizer


class LinearProjector(nn.Module):
    """The original's projector. Its parameters have the names that weights/layouts.py calls LINEAR."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out)

    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        """[images, patches, width of the tower] to [images, patches, width of the language model]."""
        projected: torch.Tensor = self.linear(image_features)
        return projected


def load(folder: Path, recipe: Recipe) -> Llava:
    """The LLaVA in `folder`, in the recipe's number format. Raises ModelError for a folder of another kind."""
    config = _config_of(folder)
    if config.get("model_type") != "llava" or "text_config" not in config:
        raise ModelError(
            f"{folder}: is no LLaVA in llava-hf's layout. `llava-graph weights convert {folder} NEW --to llava-hf` "
            "makes one of an original checkpoint; a language model is given as --language-model, with --vision-tower"
        )
    _check_packages(recipe)
    model = LlavaForConditionalGeneration.from_pretrained(folder, **_loading(recipe))
    processor = LlavaProcessor.from_pretrained(folder)
    # Factors on the projector want the layers that the merged folder will have.
    if not (recipe.tune.lora and recipe.tune.lora.projector):
        _make_linear_again(model)
    return Llava(model, processor)


def join(language_model: Path, vision_tower: Path, recipe: Recipe) -> Llava:
    """A new LLaVA of two folders. Its projector, and the rows of new tokens, are untrained.

    Raises ModelError where a folder is of another kind or the projector's form does not fit the widths.
    """
    _check_packages(recipe)
    vision_config = _vision_config(vision_tower)
    vocabulary = _vocabulary(language_model, recipe)
    language = _language_model(language_model, vocabulary, recipe)
    full = vision_config.model_type in WITHOUT_CLASS_TOKEN
    text_config: Any = language.config
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=text_config,
        image_token_index=vocabulary.image_id,
        image_seq_length=(vision_config.image_size // vision_config.patch_size) ** 2,
        vision_feature_layer=recipe.model.vision_feature_layer,
        vision_feature_select_strategy="full" if full else "default",
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        tie_word_embeddings=bool(text_config.tie_word_embeddings),
    )
    if recipe.model.projector == "linear" and 2 * vision_config.hidden_size > text_config.hidden_size:
        raise ModelError(
            f"a linear projector from {vision_config.hidden_size} to {text_config.hidden_size} has no two-layer form, "
            f"which transformers and vLLM want; use --set model.projector=mlp2x_gelu"
        )
    with torch.device("meta"):  # its parts come from elsewhere
        model = LlavaForConditionalGeneration(config)
    tower = type(model.model.vision_tower).from_pretrained(vision_tower, config=vision_config, dtype=language.dtype)
    model.model.vision_tower = tower
    model.model.language_model = language.get_decoder()
    model.lm_head = language.get_output_embeddings()
    model.model.multi_modal_projector = _new_projector(config, recipe).to(language.dtype)
    model.config.dtype = language.dtype
    model.set_attn_implementation(recipe.compute.attention)
    return Llava(model, _new_processor(vocabulary, vision_config, vision_tower, language_model, recipe, full))


def save(llava: Llava, state: Mapping[str, torch.Tensor], folder: Path, dtype: torch.dtype) -> None:
    """Writes the folder, whole or not at all; one that exists is replaced.

    `state` is the model's whole state: the model itself may hold only shards of it.
    """
    tensors = {name: tensor.cast(dtype) for name, tensor in hub_tensors(state).items()}
    if llava.model.config.tie_word_embeddings:
        tensors.pop(OUTPUT, None)
    with new_folder(folder, overwrite=True) as partial:
        write_weights(partial, tensors, WriteOptions(overwrite=True))
        save_beside(llava, partial, dtype)


def hub_tensors(state: Mapping[str, torch.Tensor]) -> dict[str, LazyTensor]:
    """A model's state under the hub's names, with a projector of two layers."""
    return two_layers(IN_MEMORY.to_hf({name: in_memory(tensor) for name, tensor in state.items()}))


def save_beside(llava: Llava, folder: Path, dtype: torch.dtype) -> None:
    """All of a model's folder but its weights: config, processor, tokenizer, chat template, generation defaults."""
    config: Any = copy.deepcopy(llava.model.config)
    config.architectures = ["LlavaForConditionalGeneration"]
    for part in (config, config.text_config, config.vision_config):
        part.dtype = dtype
    config.save_pretrained(folder)
    llava.processor.save_pretrained(folder)
    tokenizer = llava.tokenizer
    GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(folder)


def _check_packages(recipe: Recipe) -> None:
    if recipe.compute.attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise MissingPackageError(
            "compute.attention is flash_attention_2, but flash-attn is not installed; use --set compute.attention=sdpa"
        )
    if recipe.tune.quantised_bits is not None and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingPackageError(
            f"tune.quantised_bits is {recipe.tune.quantised_bits}, which needs bitsandbytes: pip install bitsandbytes"
        )


def _loading(recipe: Recipe) -> dict[str, Any]:
    """Arguments of from_pretrained."""
    arguments: dict[str, Any] = {"attn_implementation": recipe.compute.attention, "dtype": storage_dtype(recipe)}
    if recipe.tune.quantised_bits is not None:
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=recipe.tune.quantised_bits == 4,
            load_in_8bit=recipe.tune.quantised_bits == 8,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if recipe.compute.bf16 else torch.float32,
            llm_int8_skip_modules=["vision_tower", "multi_modal_projector", "lm_head"],
        )
    return arguments


def storage_dtype(recipe: Recipe) -> torch.dtype:
    """How weights are held before adapters.py decides what learns: that is held in float32."""
    whole = recipe.tune.language_model and recipe.tune.lora is None
    return torch.bfloat16 if recipe.compute.bf16 and not whole else torch.float32


def result_dtype(recipe: Recipe) -> torch.dtype:
    """How the weights are written in the end."""
    return torch.bfloat16 if recipe.compute.bf16 else torch.float32


def _config_of(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / "config.json")
    except WeightsError as error:
        raise ModelError(str(error)) from error


def _vision_config(folder: Path) -> Any:
    """The tower's configuration, of a folder that holds the tower alone or with its text side."""
    config: Any = AutoConfig.from_pretrained(folder)
    config = getattr(config, "vision_config", config)
    if getattr(config, "image_size", None) is None or getattr(config, "patch_size", None) is None:
        raise ModelError(f"{folder}: is no vision tower: its configuration has no image_size and patch_size")
    return config


def _vocabulary(folder: Path, recipe: Recipe) -> ImageVocabulary:
    config = _config_of(folder)
    if "vocab_size" not in config:
        raise ModelError(f"{folder}: is no language model: its configuration has no vocab_size")
    try:
        tokenizer = read_tokenizer(folder)
        start_end = recipe.model.image_start_end
        if start_end and START not in tokenizer.get_vocab():
            tokenizer.add_tokens([PATCH, START, END], special_tokens=True)
        separate = not start_end and (folder / "tokenizer.model").is_file()
        return with_image_token(tokenizer, config["vocab_size"], start_end=start_end, separate=separate)
    except WeightsError as error:
        raise ModelError(str(error)) from error


def _language_model(folder: Path, vocabulary: ImageVocabulary, recipe: Recipe) -> Any:
    # Old LLaMA folders name wrong ids (bos 0, eos 1, pad -1): the vocabulary's are right.
    tokenizer = vocabulary.tokenizer
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad")}
    config = AutoConfig.from_pretrained(folder, **ids)
    language: Any = AutoModelForCausalLM.from_pretrained(folder, config=config, **_loading(recipe))
    old = language.get_input_embeddings().weight.shape[0]
    if vocabulary.rows > old:
        # LLaVA begins with the mean of the others; transformers would draw at random around it.
        language.resize_token_embeddings(vocabulary.rows, mean_resizing=False)
        with torch.no_grad():
            for embedding in {language.get_input_embeddings(), language.get_output_embeddings()}:
                embedding.weight[old:] = embedding.weight[:old].float().mean(dim=0).to(embedding.weight.dtype)
    return language


def _new_projector(config: LlavaConfig, recipe: Recipe) -> nn.Module:
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    text: Any = config.text_config
    vision: Any = config.vision_config
    torch.manual_seed(recipe.seed)
    if recipe.model.projector == "linear":
        return LinearProjector(vision.hidden_size, text.hidden_size)
    return LlavaMultiModalProjector(config)


def _make_linear_again(model: LlavaForConditionalGeneration) -> None:
    """Where the projector is a linear one in its two-layer form, it is replaced by the one layer."""
    projector = model.model.multi_modal_projector
    found = one_layer({PROJECTOR + name: in_memory(tensor) for name, tensor in projector.state_dict().items()})
    if f"{LINEAR}weight" not in found:
        return
    weight, bias = found[f"{LINEAR}weight"].collect(), found[f"{LINEAR}bias"].collect()
    linear = LinearProjector(weight.shape[1], weight.shape[0]).to(weight.dtype)
    linear.linear.load_state_dict({"weight": weight, "bias": bias})
    model.model.multi_modal_projector = linear


def _new_processor(
    vocabulary: ImageVocabulary, vision: Any, tower: Path, language_model: Path, recipe: Recipe, full: bool
) -> LlavaProcessor:
    if (tower / "preprocessor_config.json").is_file():
        images = AutoImageProcessor.from_pretrained(tower)  # type: ignore[no-untyped-call]
    elif vision.model_type == "clip_vision_model":
        side = vision.image_size
        images = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    else:
        raise ModelError(f"{tower}: has no preprocessor_config.json")
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=vocabulary.tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy="full" if full else "default",
        # The class token, which "default" drops again.
        num_additional_image_tokens=0 if full else 1,
        image_token=IMAGE,
        chat_template=_chat_template(vocabulary, language_model, recipe),
    )


def _chat_template(vocabulary: ImageVocabulary, language_model: Path, recipe: Recipe) -> str:
    """The template in which the model will be asked: that of its training, where training has one of its own."""
    if recipe.data.template in TEMPLATES:
        return TEMPLATES[recipe.data.template](vocabulary.image_block)
    own = vocabulary.tokenizer.chat_template
    if own:
        return str(own)
    if recipe.data.template == "chat":
        raise ModelError(f"{language_model}: data.template is chat, but the tokenizer has no chat template")
    # Formats of the first stage alone (plain) are never asked in; Vicuna's is what follows them.
    return TEMPLATES["v1"](vocabulary.image_block)
