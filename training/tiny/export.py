"""Writes the trained 8M model as the folder that engines serve, by `weights.export`, with its own processor."""

from __future__ import annotations

from pathlib import Path

from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from training.tiny.model import build_processor
from weights import export as folders


def export(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Leaves config, weights (bfloat16), processor, tokenizer and generation defaults in `folder`; other files stay."""
    folders.export(model, build_processor(tokenizer), folder)
