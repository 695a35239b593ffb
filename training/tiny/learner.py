"""The training module of the small LLaVA: its forward pass returns the losses of a batch.

A batch with text teaches the decoder, one with anchors teaches the vision tower (vision.py), one with both
teaches both in one pass. Afterwards `llava` alone is kept. Which parts learn, and how fast, is not known here.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import CLIPVisionConfig, LlavaForConditionalGeneration

from training.tiny.anchors import matching_loss
from training.tiny.model import normalised
from training.tiny.vision import IGNORED, AnchorReader

_INPUT_EMBEDDING = "llava.model.language_model.embed_tokens.weight"
_OUTPUT_EMBEDDING = "llava.lm_head.weight"

_ANSWER_BLOCK = 1024
"""oneDNN compiles a kernel for every new shape, which takes longer than the step itself: shapes come in few sizes."""

_SIGHT_WEIGHT = 0.2
"""The tower's losses are a sum of several and about ten times the language loss; what the answers say comes first."""


def padded_to_multiple(indices: torch.Tensor, block: int) -> torch.Tensor:
    """`indices` [N] followed by -1s up to the next multiple of `block`."""
    missing = -len(indices) % block
    return torch.cat([indices, torch.full((missing,), -1, device=indices.device)])


def _without_output_embedding(
    _module: nn.Module, state: dict[str, torch.Tensor], prefix: str, _metadata: object
) -> None:
    """The output embedding is the input embedding; safetensors refuses to write one tensor under two names."""
    del state[f"{prefix}{_OUTPUT_EMBEDDING}"]


def _with_output_embedding(_module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_loading: object) -> None:
    """The other way round, so that a saved state is complete when it is loaded: the Trainer resumes by that."""
    if f"{prefix}{_INPUT_EMBEDDING}" in state:
        state.setdefault(f"{prefix}{_OUTPUT_EMBEDDING}", state[f"{prefix}{_INPUT_EMBEDDING}"])


class Learner(nn.Module):
    """`llava` with a reader on its vision tower. What learns is decided by `requires_grad`, see stages.py."""

    def __init__(self, llava: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.llava = llava
        assert isinstance(llava.config.vision_config, CLIPVisionConfig)
        self.reader = AnchorReader(llava.config.vision_config.hidden_size)
        self.register_state_dict_post_hook(_without_output_embedding)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_output_embedding)  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        pixels: torch.Tensor | None = None,
        anchors: torch.Tensor | None = None,
        links: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Returns the losses: `loss`, which the stage minimises, and what it is made of.

        `input_ids` and `labels` [B, T], `pixels` uint8 [B, side, side, 3], `anchors` [B, A, columns],
        `links` [B, entries, columns].
        """
        states = None
        result: dict[str, torch.Tensor] = {}
        losses = []
        if pixels is not None:
            # The tower's last layer without its class token: `vision_feature_layer` -1, strategy "default".
            tower = self.llava.model.vision_tower
            seen = tower(normalised(pixels), output_hidden_states=True)
            states = seen.last_hidden_state[:, 1:]  # [B, patches, width]
            if anchors is not None and links is not None and states.requires_grad:
                result |= self.reader(states, anchors)
                result["matching_loss"] = matching_loss(tower, seen.hidden_states, links)
                sight_loss = result["loss"] + result["matching_loss"]
                losses.append(sight_loss * (1.0 if input_ids is None else _SIGHT_WEIGHT))
        if input_ids is not None and labels is not None:
            result["answer_loss"] = self._answer_loss(input_ids, labels, states)
            losses.append(result["answer_loss"])
        result["loss"] = torch.stack(losses).sum()
        return result

    def _answer_loss(self, input_ids: torch.Tensor, labels: torch.Tensor, states: torch.Tensor | None) -> torch.Tensor:
        """Cross entropy over the answer's tokens; logits are computed for those alone."""
        model = self.llava.model
        embedded = model.get_input_embeddings()(input_ids)  # [B, T, width]
        if states is not None:
            image_tokens = (input_ids == self.llava.config.image_token_id)[..., None].expand_as(embedded)
            embedded = embedded.masked_scatter(image_tokens, model.multi_modal_projector(states).to(embedded.dtype))
        decoded = model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        targets = labels[:, 1:].flatten()
        answered = padded_to_multiple(torch.nonzero(targets != IGNORED).flatten(), _ANSWER_BLOCK)
        logits = self.llava.lm_head(decoded[:, :-1].flatten(0, 1)[answered.clamp(min=0)])  # [answer tokens, vocabulary]
        truth = torch.where(answered < 0, IGNORED, targets[answered.clamp(min=0)])
        return cross_entropy(logits.float(), truth, ignore_index=IGNORED)
