"""The small LLaVA, built from nothing: a CLIP-style vision tower, the two-layer projector, a Llama-style decoder.

Only stock architectures, so that `transformers` and vLLM serve the checkpoint as they serve LLaVA-1.5. About 8 million
parameters: what two CPU cores can train in an evening. Nothing here knows how it is trained.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from training.tiny.tokenizer import IMAGE, LOCATIONS

IMAGE_SIDE = 240
PATCH_SIDE = 20
GRID_SIDE = IMAGE_SIDE // PATCH_SIDE
IMAGE_TOKENS = GRID_SIDE**2
IMAGE_MEAN, IMAGE_STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def build_config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """`vision_feature_layer` -1 and "default": the last layer's patches without the class token, 144 per image."""
    vision = CLIPVisionConfig(
        hidden_size=192,
        intermediate_size=576,
        num_hidden_layers=6,
        num_attention_heads=3,
        projection_dim=192,
        image_size=IMAGE_SIDE,
        patch_size=PATCH_SIDE,
        hidden_act="gelu",
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.get_vocab()[IMAGE],
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        tie_word_embeddings=True,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The whole figure is squeezed to a square: nothing is cropped, and grid coordinates stay what they are."""
    images = CLIPImageProcessor(
        do_resize=True,
        size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        resample=2,
        do_center_crop=False,
        do_rescale=True,
        do_normalize=True,
        image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
        do_convert_rgb=True,
    )
    # The class token counts as the one additional token that the "default" strategy drops again.
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=tokenizer.chat_template,
    )


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 [B, side, side, 3] to float32 [B, 3, side, side], as the exported image processor does it."""
    scaled = pixels.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v, device=pixels.device).view(3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    return (scaled - mean) / std


def sincos_grid(width: int, positions: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of `positions` (0..1) in `width` channels, [N, width]: neighbours get similar rows."""
    waves = torch.pi * 1.7 ** torch.arange(width // 2, device=positions.device)
    angles = positions[:, None] * waves[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlavaForConditionalGeneration:
    """Random weights, except that places start as places: patches and location tokens get sines of where they are.

    Seeds torch's default generator.
    """
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(build_config(tokenizer))
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    vocabulary = tokenizer.get_vocab()
    with torch.no_grad():
        embed = embedding.weight
        rows = [vocabulary[token] for token in LOCATIONS]
        embed[rows] = embed[rows] * 0.5 + 0.5 * embed.std() * sincos_grid(
            embed.shape[1], torch.linspace(0, 1, len(rows))
        ) @ _rotation(embed.shape[1])
        patch = model.model.vision_tower.embeddings.position_embedding.weight
        centres = (torch.arange(GRID_SIDE) + 0.5) / GRID_SIDE
        axis = sincos_grid(patch.shape[1] // 2, centres)
        y, x = torch.meshgrid(torch.arange(GRID_SIDE), torch.arange(GRID_SIDE), indexing="ij")
        patch[1:] = 0.05 * torch.cat([axis[x.flatten()], axis[y.flatten()]], dim=-1)
    return model


def _rotation(width: int) -> torch.Tensor:
    """A random orthogonal matrix, [width, width]: spreads the waves over all channels."""
    rotation, _ = torch.linalg.qr(torch.randn(width, width))
    return torch.as_tensor(rotation)
