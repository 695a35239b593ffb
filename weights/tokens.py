"""Tokenizer and special tokens of the original, as transformers and vLLM want them. Knows no weights.

What is repaired on the way:

- Ids. Old LLaMA configs say bos 0, eos 1, pad -1; the vocabulary says <s> 1, </s> 2. Ids of added tokens are read from
  `added_tokens.json`, never assumed: with a [PAD] the order differs between releases.
- The image token. transformers and vLLM look for `<image>`. Where the original has `<im_patch>`, that token is renamed
  and its row used (no model reads it: image features stand in its place); elsewhere `<image>` is added.
- Padding. Where no token is named for it, <unk> is, as in the original from v1 on.
- White space. The original trained with the slow tokenizer, which begins every stretch between added tokens with "▁"
  and takes away white space beside them; transformers 5 does neither for a `tokenizer.model`. Where the original has
  <im_start> and <im_end>, both are written into the tokenizer. Where it has not, it tokenised the text before and after
  an image apart, and only the "▁" is written.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from weights.checkpoint import read_json
from weights.errors import CheckpointError, UnsupportedError
from weights.templates import TEMPLATES

IMAGE, PATCH, START, END = "<image>", "<im_patch>", "<im_start>", "<im_end>"

ROWS_MULTIPLE = 64
"""Added rows are rounded up to a multiple, as llava-hf's checkpoints are: 32,064 for LLaVA-1.5."""

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True, slots=True)
class ImageVocabulary:
    """A tokenizer with `<image>`: `rows` is what the embeddings need, `image_block` how a prompt shows an image."""

    tokenizer: PreTrainedTokenizerFast
    image_id: int
    rows: int
    image_block: str


def has_tokenizer(folder: Path) -> bool:
    """Whether a vocabulary lies in `folder`."""
    return any((folder / name).is_file() for name in ("tokenizer.model", "tokenizer.json"))


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in `folder`, with bos, eos and unk as its vocabulary has them.

    `tokenizer.model` is preferred to `tokenizer.json`: it is what the original used. Raises CheckpointError where
    there is neither, or where an added token's id is not the next free one.
    """
    if (folder / "tokenizer.model").is_file():
        return _from_sentencepiece(folder)
    if (folder / "tokenizer.json").is_file():
        return _from_json(folder)
    raise CheckpointError(f"{folder}: holds no tokenizer (tokenizer.model or tokenizer.json)")


def with_image_token(
    tokenizer: PreTrainedTokenizerFast, rows: int, *, start_end: bool, separate: bool
) -> ImageVocabulary:
    """The tokenizer with `<image>`, for embeddings that have `rows` rows.

    `start_end`: prompts wrap an image in <im_start> and <im_end>. `separate`: the model was trained with the text
    before and after an image tokenised apart.
    """
    known = tokenizer.get_vocab()
    if start_end and not {START, END} <= known.keys():
        raise UnsupportedError(f"mm_use_im_start_end is set, but the tokenizer lacks {START} and {END}")
    described: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    added = IMAGE not in known and PATCH not in known
    if added:
        described["added_tokens"].append(_entry(IMAGE, len(tokenizer)))
    elif IMAGE not in known:
        _rename(described, PATCH, IMAGE)
    always = _prefixes_each_stretch(described)
    for entry in described["added_tokens"]:
        if entry["content"] in (IMAGE, START, END):
            # `normalized`: matched in the text as it is, not in its normalised form.
            entry |= {"special": True, "normalized": False, "lstrip": start_end, "rstrip": start_end}
    changed = _rebuilt(tokenizer, described, tokenizer.pad_token or tokenizer.unk_token or tokenizer.eos_token)
    block = f"{START}{IMAGE}{END}" if start_end else f"{IMAGE}\\n"
    if separate and not start_end and not always:
        block = f"{IMAGE} \\n"  # the space becomes the "▁" with which a text of its own begins
    needed = max(len(changed), rows)
    if added and needed > rows:
        needed = -(-needed // ROWS_MULTIPLE) * ROWS_MULTIPLE
    return ImageVocabulary(changed, changed.get_vocab()[IMAGE], needed, block)


def chat_template(folder: Path, tokenizer: PreTrainedTokenizerFast, image_block: str, template: str | None) -> str:
    """The template named `template`; else the folder's own; else, for LLaMA's vocabulary, v0 where [PAD] was added
    and v1 where it was not. Raises UnsupportedError where none of these says.
    """
    if template is not None:
        return TEMPLATES[template](image_block)
    if tokenizer.chat_template:
        return str(tokenizer.chat_template)
    if (folder / "tokenizer.model").is_file():
        return TEMPLATES["v0" if "[PAD]" in tokenizer.get_vocab() else "v1"](image_block)
    raise UnsupportedError(f"{folder}: has no chat template; name one with --template ({', '.join(TEMPLATES)})")


def _from_sentencepiece(folder: Path) -> PreTrainedTokenizerFast:
    # Alone in a folder: old files beside it name empty special tokens, and `config.json` a model type of another kind.
    with tempfile.TemporaryDirectory() as alone:
        shutil.copyfile(folder / "tokenizer.model", Path(alone) / "tokenizer.model")
        tokenizer = LlamaTokenizer.from_pretrained(alone)
    settings = _optional(folder / "tokenizer_config.json")
    added = _optional(folder / "added_tokens.json")
    for token, number in sorted(added.items(), key=lambda item: item[1]):
        if token in tokenizer.get_vocab():
            continue
        if number != len(tokenizer):
            raise CheckpointError(f"{folder / 'added_tokens.json'}: {token} has the id {number}, not {len(tokenizer)}")
        tokenizer.add_tokens([token], special_tokens=True)
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    legacy = settings.get("legacy", True)
    described["pre_tokenizer"]["prepend_scheme"] = "always" if legacy else "first"
    special = _optional(folder / "special_tokens_map.json")
    pad = _token_text(settings.get("pad_token")) or _token_text(special.get("pad_token"))
    rebuilt = _rebuilt(tokenizer, described, pad if pad in tokenizer.get_vocab() else None)
    length = settings.get("model_max_length")
    if isinstance(length, int) and length < 10**9:
        rebuilt.model_max_length = length
    rebuilt.chat_template = _own_template(folder, settings)
    return rebuilt


def _from_json(folder: Path) -> PreTrainedTokenizerFast:
    with tempfile.TemporaryDirectory() as alone:
        for name in TOKENIZER_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(alone) / name)
        tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(alone)
    known = tokenizer.get_vocab()
    for role, usual in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")):
        if getattr(tokenizer, role) not in known and usual in known:
            setattr(tokenizer, role, usual)
    return tokenizer


def _own_template(folder: Path, settings: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    return template if isinstance(template, str) else None


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _token_text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def _prefixes_each_stretch(described: dict[str, Any]) -> bool:
    return (described.get("pre_tokenizer") or {}).get("prepend_scheme") == "always"


def _entry(token: str, number: int) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": token, **flags}


def _rename(described: dict[str, Any], old: str, new: str) -> None:
    for entry in described["added_tokens"]:
        if entry["content"] == old:
            entry["content"] = new
    vocabulary = described["model"]["vocab"]
    if isinstance(vocabulary, dict) and old in vocabulary:
        vocabulary[new] = vocabulary.pop(old)


def _rebuilt(tokenizer: PreTrainedTokenizerFast, described: dict[str, Any], pad: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer from its changed description, with the special tokens of the old one."""
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(described)),
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        unk_token=tokenizer.unk_token,
        pad_token=pad,
        model_max_length=tokenizer.model_max_length,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = tokenizer.chat_template
    return made
