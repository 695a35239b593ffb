"""Has a model answer questions about figures that were read, many at once: to look at a checkpoint, and to measure.

    for answer in answers(llava, tokenizer, prompts): ...

Greedy, as the manifest has serving do. Readings come from a cache, so that OCR does not run again. How answers are
scored is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from llava_graph.context import conversation
from training.devices import has_bfloat16
from training.small.examples import Example
from training.small.model import IMAGE
from training.small.told import TEMPLATE
from training.tiny.model import IMAGE_TOKENS, normalised

MAX_NEW_TOKENS = 320


def prompt_of(tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    """The prompt as the engine tokenises it; the example's last turn is the user's."""
    messages, _ = conversation(TEMPLATE, example.context, example.turns, {"type": "image"})
    text = tokenizer.apply_chat_template(cast(Any, messages), tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text.replace(IMAGE, IMAGE * IMAGE_TOKENS, 1)


def answers(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[Example],
    batch_size: int = 16,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Iterator[tuple[int, str]]:
    """The index of each example with its answer; those of like length come together. Each has its image."""
    prompts = [prompt_of(tokenizer, example) for example in examples]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        encoded = tokenizer(
            [prompts[i] for i in chosen],
            padding=True,
            padding_side="left",
            add_special_tokens=False,
            return_tensors="pt",
        )
        shown = [image for i in chosen if (image := examples[i].pixels) is not None]
        pixels = normalised(torch.from_numpy(np.stack(shown)))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
            said = cast(Any, model).generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                pixel_values=pixels,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        for i, ids in zip(chosen, said[:, encoded["input_ids"].shape[1] :], strict=True):
            yield i, str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
