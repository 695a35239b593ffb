"""The planted circuit does what it is said to do before a single step of training: look back, find, copy."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaModel, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from training.tiny.copying_init import plant_copying
from training.tiny.model import build_model
from training.tiny.tokenizer import SPECIAL_TOKENS

HALF = 40
BATCH = 16


def random_halves(model: LlavaForConditionalGeneration, seed: int) -> torch.Tensor:
    """Ids [BATCH, HALF], no token twice in a row of them."""
    generator = torch.Generator().manual_seed(seed)
    first, last = len(SPECIAL_TOKENS), model.lm_head.out_features
    rows = [torch.randperm(last - first, generator=generator)[:HALF] + first for _ in range(BATCH)]
    return torch.stack(rows)


def attentions_on(model: LlavaForConditionalGeneration, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """For each layer [BATCH, heads, tokens, tokens]."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        embedded = model.get_input_embeddings()(ids)
        attentions = model.model.language_model(inputs_embeds=embedded, output_attentions=True).attentions
    assert isinstance(attentions, tuple)
    return attentions


def log_likelihoods(model: LlavaForConditionalGeneration, before: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Of the tokens of `half` but the first, when `before` stood in front of it, [BATCH, HALF - 1]."""
    with torch.no_grad():
        embedded = model.get_input_embeddings()(torch.cat([before, half], dim=1))
        states = model.model.language_model(inputs_embeds=embedded).last_hidden_state
        scores = model.lm_head(states[:, HALF:-1]).log_softmax(-1)
    return torch.as_tensor(scores.gather(-1, half[:, 1:, None])[..., 0])


@pytest.fixture(scope="module")
def unplanted(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    return build_model(tokenizer, seed=1)


@pytest.fixture(scope="module")
def planted(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    model = build_model(tokenizer, seed=1)
    plant_copying(model.model.language_model)
    return model


def test_the_first_layer_looks_one_and_two_tokens_back(
    planted: LlavaForConditionalGeneration, unplanted: LlavaForConditionalGeneration
) -> None:
    at = torch.arange(2, HALF)
    for head, distance in enumerate((1, 1, 2, 2)):
        shares = [
            attentions_on(model, random_halves(model, seed=0))[0][:, head, at, at - distance].mean().item()
            for model in (planted, unplanted)
        ]
        assert shares[0] > 0.7 and shares[1] < 0.1, (head, shares)


def test_induction_heads_look_behind_where_the_token_stood_before(
    planted: LlavaForConditionalGeneration, unplanted: LlavaForConditionalGeneration
) -> None:
    at = torch.arange(HALF + 2, 2 * HALF)
    chance = 1 / (1.5 * HALF)  # a token of the second half sees about so many others
    for layer, least in ((2, 4.0), (3, 2.0)):
        for head in (0, 1):
            found = []
            for model in (planted, unplanted):
                half = random_halves(model, seed=0)
                weights = attentions_on(model, torch.cat([half, half], dim=1))[layer]
                found.append(weights[:, head, at, at - HALF + 1].mean().item() / chance)
            assert found[0] > least and 0.8 < found[1] < 1.2, (layer, head, found)


def test_a_token_becomes_likelier_when_its_sequence_stood_before(
    planted: LlavaForConditionalGeneration, unplanted: LlavaForConditionalGeneration
) -> None:
    """Each sequence is its own control: the same tokens behind a copy of themselves, and behind something else."""
    gains = []
    for model in (planted, unplanted):
        half, other = random_halves(model, seed=0), random_halves(model, seed=1)
        gain = log_likelihoods(model, half, half) - log_likelihoods(model, other, half)
        gains.append(gain.mean().item())
    assert gains[0] > 0.15 and abs(gains[1]) < 0.05, gains


def test_all_embeddings_share_the_constant_channel_that_attention_keys_on(
    planted: LlavaForConditionalGeneration,
) -> None:
    embedding = planted.model.language_model.embed_tokens.weight
    assert torch.all(embedding[:, 0] == embedding[0, 0])
    assert embedding[0, 0] > 3 * embedding[:, 1:].std()


@pytest.mark.parametrize(("heads", "key_value_heads"), [(2, 2), (8, 2)])
def test_a_decoder_that_cannot_hold_the_circuit_is_refused(heads: int, key_value_heads: int) -> None:
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
    )
    with pytest.raises(ValueError, match="four heads"):
        plant_copying(LlamaModel(config))
