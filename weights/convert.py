"""The original's checkpoints in the layout that transformers and vLLM load, and back.

What is read (`to_llava_hf`): a full original checkpoint of v0, v1 or v1.5, with its vision tower inside or beside it;
an adapter (`mm_projector.bin`) or a LoRA folder with the language model it belongs to; any layout of transformers.

What is written: weights under the hub's names, in one type; config, tokenizer, processor, chat template and generation
defaults; and in `original/` the config and tokenizer files as they were, from which `to_original` restores them.

Source of names and rules: the original's llava/model (config keys), transformers' LlavaConfig and LlavaProcessor.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaImageProcessor,
    LlavaProcessor,
)

from weights.checkpoint import Checkpoint, read_json, weight_files
from weights.errors import CheckpointError, MismatchError, UnsupportedError
from weights.files import ORIGINAL_FOLDER, copy_beside, write_json
from weights.folder import new_folder
from weights.layouts import (
    EMBEDDING,
    LANGUAGE_MODEL,
    LINEAR,
    ORIGINAL,
    ORIGINAL_V0,
    OUTPUT,
    PROJECTOR,
    TOWER,
    Prefixes,
    detect,
    is_original,
    tower_names,
)
from weights.lora import is_lora, merged
from weights.projector import ProjectorError, check, is_linear, one_layer, two_layers
from weights.tensors import LazyTensor, first_rows, with_rows_appended, with_rows_replaced
from weights.tokens import (
    END,
    IMAGE,
    PATCH,
    START,
    TOKENIZER_FILES,
    ImageVocabulary,
    chat_template,
    has_tokenizer,
    read_tokenizer,
    with_image_token,
)
from weights.writing import DEFAULTS, WriteOptions, write_file_of_tensors, write_weights

ADAPTER_FILE = "mm_projector.bin"
RECORD_FILE = "conversion.json"
ADDED_FILE = "added_tokens.json"

CLIP_TOWERS = {224: "openai/clip-vit-large-patch14", 336: "openai/clip-vit-large-patch14-336"}
"""What the original calls its towers, by the side of their images in pixels."""

_LLAMA_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
)


@dataclass(frozen=True, slots=True)
class ConversionSummary:
    """What was found, and what was changed on the way."""

    layout: str
    projector: str
    tower: str
    notes: tuple[str, ...]
    check: ProjectorError | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """The tensors of a source under hub names, its config as plain JSON, and where its tokenizer lies."""

    tensors: dict[str, LazyTensor]
    layout: Prefixes
    config: dict[str, Any]
    tokenizer: Path
    inputs: tuple[Checkpoint, ...]
    folders: tuple[Path, ...]
    new_rows: torch.Tensor | None = None
    """Rows of <im_start> and <im_end> that an adapter brings along for the end of the embedding."""


def to_llava_hf(
    source: Path,
    target: Path,
    *,
    tower: Path | None = None,
    base: Path | None = None,
    template: str | None = None,
    dtype: torch.dtype | None = None,
    checked: bool = False,
    options: WriteOptions = DEFAULTS,
) -> ConversionSummary:
    """Writes `source` to `target` in llava-hf's layout.

    `tower` is a CLIP folder: needed where the source has no vision tower, else only read for its config. `base` is the
    language model that an adapter or a LoRA folder belongs to. `dtype` None means that of the language model. With
    `checked`, both forms of a linear projector are compared on random inputs. Raises WeightsError where something is
    missing or of a kind that transformers' LLaVA does not have.
    """
    with _opened(source, base) as found, ExitStack() as opened:
        _refuse_other_kinds(found)
        tower_files = opened.enter_context(Checkpoint(tower)) if tower else None
        tensors, tower_from = _with_tower(found, tower_files)
        notes: list[str] = []
        vocabulary, added = _vocabulary(found, tensors)
        linear = is_linear(tensors)
        kind = "linear" if linear else "mlp2x_gelu"
        errors = check(tensors, dtype or tensors[f"{LINEAR}weight"].dtype) if checked and linear else None
        old_rows = tensors[EMBEDDING].rows
        tensors = two_layers(_with_rows(tensors, vocabulary, found.new_rows))
        kept = dtype or tensors[EMBEDDING].dtype
        tensors = {name: tensor.cast(kept) for name, tensor in tensors.items()}
        config = _llava_config(found, tensors, vocabulary, tower, kept)
        inputs = (*found.inputs, *((tower_files,) if tower_files else ()))
        folders = (*found.folders, *((tower,) if tower else ()))
        folder = opened.enter_context(new_folder(target, overwrite=options.overwrite, inputs=folders))
        write_weights(folder, tensors, options, inputs=inputs)
        config.save_pretrained(folder)
        _write_processor(found, vocabulary, config, tower, template, folder)
        if is_original(found.layout) or found.layout == LANGUAGE_MODEL:
            # Tokens that only the config implies are in no file of the source: on the way back their rows must stay.
            rows = vocabulary.rows if added else old_rows
            _keep_original(found, folder, added, rows=rows, projector=kind, tower=tower_from)
        if vocabulary.rows != old_rows:
            notes.append(f"embeddings grew from {old_rows} to {vocabulary.rows} rows")
        return ConversionSummary(found.layout.name, kind, tower_from, tuple(notes), errors)


def to_original(
    source: Path,
    target: Path,
    *,
    tower: Path | None = None,
    options: WriteOptions = DEFAULTS,
) -> ConversionSummary:
    """Writes a checkpoint of transformers to `target` in the original's layout.

    The vision tower is written inside, unless `tower` names a folder for it or the checkpoint was converted from one
    that had none inside. A projector that has exactly the form of projector.py becomes linear again. Where the source
    was converted by `to_llava_hf`, its own config, tokenizer and number of rows come back.
    """
    with Checkpoint(source) as ours, ExitStack() as opened:
        layout = detect(ours.tensors)
        if is_original(layout) or layout == LANGUAGE_MODEL:
            raise UnsupportedError(f"{source}: is in the {layout.name} layout already")
        record = _record(source)
        tensors = one_layer(layout.to_hf(ours.tensors))
        kind = "linear" if is_linear(tensors) else "mlp2x_gelu"
        rows = record.get("rows", tensors[EMBEDDING].rows)
        for name in (EMBEDDING, OUTPUT):
            if name in tensors and tensors[name].rows > rows:
                tensors[name] = first_rows(tensors[name], rows)
        inside = tower is None and record.get("tower") != "beside"
        kept = {name: tensor for name, tensor in tensors.items() if inside or not name.startswith(TOWER)}
        folder = opened.enter_context(new_folder(target, overwrite=options.overwrite, inputs=(source,)))
        names = ORIGINAL_V0 if record.get("tower") == "inside, v0" else ORIGINAL
        planned = names.from_hf(kept)
        write_weights(folder, planned, options, inputs=(ours,))
        if record:
            copy_beside(source / ORIGINAL_FOLDER, folder, leave=(RECORD_FILE,))
            original = read_json(source / ORIGINAL_FOLDER / "config.json")
        else:
            _copy_tokenizer(source, folder)
            original = {"mm_use_im_start_end": _shows_borders(source)}
        write_json(folder / "config.json", _original_config(ours.config, original, kind, tower))
        if tower is not None:
            _write_tower(tensors, source, tower, opened, options)
        where = "inside" if inside else str(tower) if tower else "left out, as it was before"
        return ConversionSummary(layout.name, kind, where, ())


@contextmanager
def _opened(source: Path, base: Path | None) -> Iterator[_Source]:
    """The source, whatever its kind, while the context lasts."""
    if is_lora(source):
        with merged(_needed(base, source, "a LoRA folder"), source) as result:
            tokenizer = source if has_tokenizer(source) or base is None else base
            folders = (source, *((base,) if base else ()))
            yield _Source(result.tensors, result.layout, result.config, tokenizer, result.inputs, folders)
    elif source.is_file() or ((source / ADAPTER_FILE).is_file() and not _holds_model(source)):
        with _adapter(source, _needed(base, source, "an adapter")) as found:
            yield found
    else:
        with Checkpoint(source) as checkpoint:
            layout = detect(checkpoint.tensors)
            tensors = layout.to_hf(checkpoint.tensors)
            yield _Source(tensors, layout, checkpoint.config, source, (checkpoint,), (source,))


def _needed(base: Path | None, source: Path, kind: str) -> Path:
    if base is None:
        raise UnsupportedError(f"{source}: is {kind}; name the language model that it belongs to with --base")
    return base


def _holds_model(folder: Path) -> bool:
    try:
        return any(file.name != ADAPTER_FILE for file in weight_files(folder))
    except CheckpointError:
        return False


@contextmanager
def _adapter(source: Path, base: Path) -> Iterator[_Source]:
    file = source if source.is_file() else source / ADAPTER_FILE
    with Checkpoint(file) as adapter, Checkpoint(base) as theirs:
        layout = detect(theirs.tensors)
        tensors = layout.to_hf(theirs.tensors)
        named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.tensors.items()}
        brought = detect(named).to_hf(named)
        rows = brought.pop(EMBEDDING, None)
        if not any(name.startswith(PROJECTOR) for name in brought):
            raise CheckpointError(f"{file}: holds no mm_projector")
        kept = tensors[EMBEDDING].dtype
        tensors |= {name: tensor.cast(kept) for name, tensor in brought.items()}
        config = dict(theirs.config)
        own = file.parent / "config.json"
        config |= read_json(own) if own.is_file() else _bare_adapter_config(rows is not None)
        tokenizer = file.parent if has_tokenizer(file.parent) else base
        new_rows = None if rows is None else first_rows_from_end(rows, 2).collect()
        yield _Source(tensors, ORIGINAL, config, tokenizer, (adapter, theirs), (file, base), new_rows)


def _bare_adapter_config(start_end: bool) -> dict[str, Any]:
    """For an adapter without a config: every training script of the original selects the layer before the last."""
    return {"mm_use_im_start_end": start_end, "mm_vision_select_layer": -2}


def first_rows_from_end(tensor: LazyTensor, rows: int) -> LazyTensor:
    """The last `rows` rows of `tensor`: an adapter brings the whole embedding, or only these."""
    start = tensor.rows - rows
    return LazyTensor(tensor.dtype, (rows, *tensor.shape[1:]), lambda first, n: tensor.read(start + first, n))


def _refuse_other_kinds(found: _Source) -> None:
    names = found.tensors
    if EMBEDDING not in names:
        raise CheckpointError(f"{found.folders[0]}: holds no language model that is laid out like Llama")
    if not any(name.startswith(PROJECTOR) for name in names):
        raise UnsupportedError(f"{found.folders[0]}: has no projector: this is a language model without vision")
    kind = found.config.get("mm_projector_type", "linear" if is_linear(names) else "mlp2x_gelu")
    if is_original(found.layout) and kind not in ("linear", "mlp2x_gelu"):
        raise UnsupportedError(f"{found.folders[0]}: transformers has no projector of the type {kind!r}")


def _with_tower(found: _Source, beside: Checkpoint | None) -> tuple[dict[str, LazyTensor], str]:
    """The tensors with a vision tower, and where it is from. A tower inside wins: it may have been trained."""
    if any(name.startswith(TOWER) for name in found.tensors):
        return dict(found.tensors), "inside, v0" if found.layout == ORIGINAL_V0 else "inside"
    if beside is None:
        wanted = found.config.get("mm_vision_tower", CLIP_TOWERS[224])
        raise MismatchError(
            f"{found.folders[0]}: has no vision tower inside; name a folder that holds {wanted} with --vision-tower"
        )
    tower = tower_names(beside.tensors)
    width = found.tensors[f"{LINEAR}weight" if is_linear(found.tensors) else f"{PROJECTOR}linear_1.weight"].shape[1]
    given = tower.get(f"{TOWER}embeddings.class_embedding")
    if given is None or given.shape != (width,):
        raise MismatchError(f"{beside.path}: is no CLIP vision tower of width {width}, which the projector expects")
    return {**found.tensors, **tower}, "beside"


def _vocabulary(found: _Source, tensors: Mapping[str, LazyTensor]) -> tuple[ImageVocabulary, dict[str, int]]:
    """The tokenizer with `<image>`, and the original's own tokens that the source's tokenizer lacked.

    Adapters and LoRA folders come without a tokenizer: the original adds these tokens to the base's when it loads them.
    """
    tokenizer = read_tokenizer(found.tokenizer)
    borders = found.config.get("mm_use_im_start_end", START in tokenizer.get_vocab())
    start_end = bool(borders) or found.new_rows is not None
    added = {}
    if start_end and START not in tokenizer.get_vocab():
        added = {token: len(tokenizer) + i for i, token in enumerate((PATCH, START, END))}
        tokenizer.add_tokens(list(added), special_tokens=True)
    separate = is_original(found.layout) and not start_end
    rows = tensors[EMBEDDING].rows
    return with_image_token(tokenizer, rows, start_end=start_end, separate=separate), added


def _with_rows(
    tensors: Mapping[str, LazyTensor], vocabulary: ImageVocabulary, new_rows: torch.Tensor | None
) -> dict[str, LazyTensor]:
    grown = dict(tensors)
    for name in (EMBEDDING, OUTPUT):
        if name in grown and grown[name].rows < vocabulary.rows:
            grown[name] = with_rows_appended(grown[name], vocabulary.rows)
    if new_rows is not None:
        start = vocabulary.tokenizer.get_vocab()[START]
        grown[EMBEDDING] = with_rows_replaced(grown[EMBEDDING], start, new_rows)
    return grown


def _llava_config(
    found: _Source,
    tensors: Mapping[str, LazyTensor],
    vocabulary: ImageVocabulary,
    tower: Path | None,
    dtype: torch.dtype,
) -> LlavaConfig:
    config, tokenizer = found.config, vocabulary.tokenizer
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if "text_config" in config:
        made = LlavaConfig.from_dict(config)
    else:
        text = {key: config[key] for key in _LLAMA_KEYS if config.get(key) is not None}
        text.setdefault("max_position_embeddings", config.get("max_sequence_length", 2048))
        vision: Any = _vision_config(tensors, tower)
        full = config.get("mm_vision_select_feature", "patch") == "cls_patch"
        made = LlavaConfig(
            text_config=LlamaConfig(vocab_size=vocabulary.rows, **ids, **text),
            vision_config=vision,
            # The original's own default, where a config does not say.
            vision_feature_layer=config.get("mm_vision_select_layer", -1),
            vision_feature_select_strategy="full" if full else "default",
            image_seq_length=(vision.image_size // vision.patch_size) ** 2 + full,
            projector_hidden_act="gelu",
            multimodal_projector_bias=True,
        )
    text_config: Any = made.text_config
    text_config.vocab_size = vocabulary.rows
    for key, value in ids.items():
        setattr(text_config, key, value)
    made.image_token_index = made.image_token_id = vocabulary.image_id
    made.tie_word_embeddings = text_config.tie_word_embeddings = OUTPUT not in tensors
    made.architectures = ["LlavaForConditionalGeneration"]
    made.dtype = dtype
    return made


def _vision_config(tensors: Mapping[str, LazyTensor], tower: Path | None) -> CLIPVisionConfig:
    """The tower's own config where a folder is named; else what the shapes of its weights say, with CLIP's rules."""
    if tower is not None:
        given = read_json(tower / "config.json")
        return CLIPVisionConfig(**given.get("vision_config", given))
    width, _, patch, _ = tensors[f"{TOWER}embeddings.patch_embedding.weight"].shape
    positions = tensors[f"{TOWER}embeddings.position_embedding.weight"].rows
    layers = f"{TOWER}encoder.layers."
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=tensors[f"{layers}0.mlp.fc1.weight"].rows,
        num_hidden_layers=len({name.removeprefix(layers).split(".")[0] for name in tensors if name.startswith(layers)}),
        num_attention_heads=max(1, width // 64),
        patch_size=patch,
        image_size=round((positions - 1) ** 0.5) * patch,
        projection_dim=768,
    )


def _write_processor(
    found: _Source,
    vocabulary: ImageVocabulary,
    config: LlavaConfig,
    tower: Path | None,
    template: str | None,
    folder: Path,
) -> None:
    vision: Any = config.vision_config
    text: Any = config.text_config
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=_image_processor(found, vision.image_size, tower),
        tokenizer=vocabulary.tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=_additional_tokens(found),
        image_token=IMAGE,
        chat_template=chat_template(found.tokenizer, vocabulary.tokenizer, vocabulary.image_block, template),
    )
    processor.save_pretrained(folder)
    GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
    ).save_pretrained(folder)


def _additional_tokens(found: _Source) -> int:
    """CLIP's class token, which the strategy "default" drops again; other towers of transformers' LLaVA have none."""
    if "text_config" not in found.config:
        return 1
    processor = AutoProcessor.from_pretrained(found.folders[0])  # type: ignore[no-untyped-call]
    return int(processor.num_additional_image_tokens)


def _image_processor(found: _Source, side: int, tower: Path | None) -> Any:
    """How the model's own training prepared images: square (shortest edge, then a crop) or padded to a square."""
    if "text_config" in found.config:
        return AutoImageProcessor.from_pretrained(found.folders[0])  # type: ignore[no-untyped-call]
    if tower is not None and (tower / "preprocessor_config.json").is_file():
        images = CLIPImageProcessor.from_pretrained(tower)
    else:
        images = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    if found.config.get("image_aspect_ratio") != "pad":
        return images
    shared = {key: getattr(images, key) for key in ("size", "crop_size", "image_mean", "image_std", "resample")}
    return LlavaImageProcessor(do_pad=True, **shared)


def _keep_original(
    found: _Source, folder: Path, added: Mapping[str, int], *, rows: int, projector: str, tower: str
) -> None:
    kept = folder / ORIGINAL_FOLDER
    kept.mkdir()
    _copy_tokenizer(found.tokenizer, kept)
    if added:
        before = read_json(kept / ADDED_FILE) if (kept / ADDED_FILE).is_file() else {}
        write_json(kept / ADDED_FILE, before | dict(added))
    write_json(kept / "config.json", {**found.config, "vocab_size": rows})
    write_json(kept / RECORD_FILE, {"rows": rows, "projector": projector, "tower": tower})


def _copy_tokenizer(source: Path, folder: Path) -> None:
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _shows_borders(source: Path) -> bool:
    """Whether prompts have <im_start> and <im_end> around an image: what the chat template writes says so."""
    return has_tokenizer(source) and START in (read_tokenizer(source).chat_template or "")


def _record(source: Path) -> dict[str, Any]:
    path = source / ORIGINAL_FOLDER / RECORD_FILE
    return read_json(path) if path.is_file() else {}


def _original_config(
    config: Mapping[str, Any], original: Mapping[str, Any], projector: str, tower: Path | None
) -> dict[str, Any]:
    """The original's config: its own where there is one, else made from transformers'; with all keys of LLaVA's."""
    text, vision = config["text_config"], config["vision_config"]
    strategy = config.get("vision_feature_select_strategy", "default")
    made = {
        **{key: text[key] for key in (*_LLAMA_KEYS, "vocab_size") if text.get(key) is not None},
        "bos_token_id": text.get("bos_token_id"),
        "eos_token_id": text.get("eos_token_id"),
        "pad_token_id": text.get("pad_token_id"),
        "torch_dtype": config.get("dtype", config.get("torch_dtype")),
        "mm_vision_tower": str(tower) if tower else CLIP_TOWERS.get(vision.get("image_size"), ""),
        "mm_hidden_size": vision["hidden_size"],
        "mm_vision_select_layer": config.get("vision_feature_layer", -2),
        "mm_vision_select_feature": "cls_patch" if strategy == "full" else "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "sep_image_conv_front": False,
        "tune_mm_mlp_adapter": False,
        "freeze_mm_mlp_adapter": False,
    }
    return {
        **made,
        **original,
        "model_type": "llava",
        "architectures": ["LlavaLlamaForCausalLM"],
        "use_mm_proj": True,
        "mm_projector_type": projector,
    }


def _write_tower(
    tensors: Mapping[str, LazyTensor], source: Path, tower: Path, opened: ExitStack, options: WriteOptions
) -> None:
    """The vision tower as a CLIP folder of its own."""
    folder = opened.enter_context(new_folder(tower, overwrite=options.overwrite, inputs=(source,)))
    own = {
        f"vision_model.{name.removeprefix(TOWER)}": tensor for name, tensor in tensors.items() if name.startswith(TOWER)
    }
    write_file_of_tensors(folder / "model.safetensors", own)
    config = read_json(source / "config.json")["vision_config"]
    write_json(folder / "config.json", {**config, "architectures": ["CLIPVisionModel"]})
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (source / name).is_file():
            images = read_json(source / name)
            write_json(folder / "preprocessor_config.json", images.get("image_processor", images))
            break
