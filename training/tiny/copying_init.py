"""Initialises a small decoder with a copying circuit: previous-token heads and induction heads written into weights.

To name "Vodi" in an explanation, a decoder must find "Vo" in the context and repeat what followed it there.
Transformers learn this as two heads in a row (Olsson et al. 2022, arXiv:2209.11895): one that tells each token what
stood before it, one that looks for the token whose predecessor equals the current token. On two CPU cores the circuit
had not formed after hours of training from random weights, so we write a rough one by hand and let training refine it,
as mimetic initialisation does for other structure (Trockman and Kolter 2023, arXiv:2305.09828). Nothing here names a
token: the circuit copies anything.

Shapes: D hidden width, H heads, d head width; rotary positions pair channel f with channel f + d/2 of a head.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from transformers import LlamaModel
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer

EMBEDDING_STD = 0.05
_CONSTANT = 4.0
"""Channel 0 of every embedding, in units of EMBEDDING_STD: attention that must not depend on content keys on it."""

_HIGH_FREQUENCIES = 6
"""So many of the fastest rotary pairs tell neighbours apart; more would blur the peak."""

_LOW_FREQUENCY = 0.01
"""Rotary pairs slower than this (radians a token) turn by a few degrees over a figure's context: they carry content."""

_PEAK = 24.0
"""Scale of the previous-token scores: high enough that the softmax leaves little to other distances."""

_MATCH = 1.6
"""Scale of the induction scores, for the same reason; training sharpens them."""

_COPY = 2.0
"""Scale of a copied token beside what the residual stream already holds."""


@torch.no_grad()
def plant_copying(decoder: LlamaModel, previous_layer: int = 0, induction_layers: tuple[int, ...] = (2, 3)) -> None:
    """Write the circuit into `decoder`: layer `previous_layer`, and two heads of each of `induction_layers`.

    Heads 0 and 1 of the previous-token layer look one token back, 2 and 3 two tokens back. Draws from torch's default
    generator. Raises ValueError for a decoder with fewer than four heads or with grouped key-value heads.
    """
    config = decoder.config
    if config.num_attention_heads < 4 or config.num_key_value_heads != config.num_attention_heads:
        raise ValueError("the copying circuit needs at least four heads, each with its own keys and values")
    width = config.hidden_size
    embedding = decoder.embed_tokens.weight
    embedding.normal_(0, EMBEDDING_STD)
    embedding[:, 0] = _CONSTANT * EMBEDDING_STD
    one_back, two_back = (_isometry(width) for _ in range(2))
    _plant_previous_token(decoder, previous_layer, one_back, two_back)
    for layer in induction_layers:
        _plant_induction(decoder, layer, one_back, two_back)


def _isometry(width: int) -> torch.Tensor:
    """A random rotation of all channels but the constant one, [D, D]."""
    rotation = torch.zeros(width, width)
    rotation[1:, 1:] = torch.linalg.qr(torch.randn(width - 1, width - 1))[0]
    return rotation


def _attention(decoder: LlamaModel, layer: int) -> LlamaAttention:
    return cast(LlamaDecoderLayer, decoder.layers[layer]).self_attn


def _frequencies(decoder: LlamaModel) -> torch.Tensor:
    return decoder.rotary_emb.inv_freq.float()  # [d / 2]


def _plant_previous_token(decoder: LlamaModel, layer: int, one_back: torch.Tensor, two_back: torch.Tensor) -> None:
    attention = _attention(decoder, layer)
    d: int = attention.head_dim
    half = d // 2
    frequencies = _frequencies(decoder)[:_HIGH_FREQUENCIES]
    amplitude = math.sqrt(_PEAK) / _CONSTANT
    attention.q_proj.weight.zero_()
    attention.k_proj.weight.zero_()
    attention.o_proj.weight.zero_()
    for head, (distance, rotation) in enumerate(((1, one_back), (1, one_back), (2, two_back), (2, two_back))):
        at = head * d
        # The score of a key `o` tokens back is the sum of cos(frequency * (o - distance)): it peaks at `distance`.
        attention.q_proj.weight[at : at + _HIGH_FREQUENCIES, 0] = amplitude
        attention.k_proj.weight[at : at + _HIGH_FREQUENCIES, 0] = amplitude * torch.cos(frequencies * distance)
        turned = slice(at + half, at + half + _HIGH_FREQUENCIES)
        attention.k_proj.weight[turned, 0] = amplitude * torch.sin(frequencies * distance)
        channels = slice(1 + (head % 2) * d, 1 + (head % 2) * d + d)
        attention.v_proj.weight[at : at + d] = torch.eye(attention.v_proj.weight.shape[1])[channels]
        attention.o_proj.weight[:, at : at + d] = EMBEDDING_STD * rotation[:, channels]


def _plant_induction(decoder: LlamaModel, layer: int, one_back: torch.Tensor, two_back: torch.Tensor) -> None:
    """Head 0 matches the current token with the one before the key, head 1 the token before with the one two before."""
    attention = _attention(decoder, layer)
    d: int = attention.head_dim
    width = attention.q_proj.weight.shape[1]
    slow = torch.nonzero(_frequencies(decoder) < _LOW_FREQUENCY).flatten()
    rows = torch.cat([slow, slow + d // 2])  # channels of a head that hardly turn
    identity = torch.eye(width)
    for head, (query, key) in enumerate(((identity, one_back), (one_back, two_back))):
        at = head * d
        # Only the first 2 d channels travelled through the previous-token heads.
        picked = 1 + torch.randperm(2 * d)[: len(rows)]
        attention.q_proj.weight[at : at + d] = 0
        attention.k_proj.weight[at : at + d] = 0
        scale = math.sqrt(_MATCH)
        attention.q_proj.weight[at + rows] = scale * query[:, picked].T
        attention.k_proj.weight[at + rows] = scale * key[:, picked].T
        channels = 1 + torch.randperm(width - 1)[:d]
        attention.v_proj.weight[at : at + d] = identity[channels]
        attention.o_proj.weight[:, at : at + d] = _COPY * EMBEDDING_STD * identity[:, channels]
