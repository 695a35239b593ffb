"""The original LLaVA's forward pass, put together from its parts: what a converted checkpoint is compared with.

`encode_images` and `prepare_inputs` of the original in a few lines: the tower's hidden states at the selected layer
without the class token, the projector, and the result in place of the <im_patch> tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.unit.weights.checkpoints import Parts

NEW_TOKENS = 12


@torch.no_grad()
def image_features(parts: Parts, pixels: Tensor) -> Tensor:
    """[patches, width of the language model] of one image [1, 3, side, side]."""
    hidden = parts.tower(pixels, output_hidden_states=True).hidden_states[-2]
    features: Tensor = parts.projector(hidden[:, 1:])[0]
    return features


@torch.no_grad()
def greedy(parts: Parts, ids: list[int], image_id: int, pixels: Tensor) -> list[int]:
    """The next NEW_TOKENS tokens; each place of `image_id` in `ids` takes one feature of the image."""
    language = parts.language
    tokens = torch.tensor([ids])
    embedded = language.get_input_embeddings()(tokens.clamp(max=language.config.vocab_size - 1))
    places = tokens[0] == image_id
    embedded[0, places] = image_features(parts, pixels)
    answer: list[int] = []
    for _ in range(NEW_TOKENS):
        logits = language(inputs_embeds=embedded).logits[0, -1]
        answer.append(int(logits.argmax()))
        embedded = torch.cat([embedded, language.get_input_embeddings()(torch.tensor([answer[-1:]]))], dim=1)
    return answer
