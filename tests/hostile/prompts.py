"""Prompts of the corpus that are longer than a model of 2,048 tokens takes, each of another kind of text."""

from __future__ import annotations

PROMPTS = {
    "one letter": "x" * 32_000,
    "chinese": "字" * 16_000,
    "digits": "7" * 32_000,
    "words": "the figure shows " * 2_500,
    "a script of many bytes": "\u0f00" * 16_000,
    "one long sequence of emoji": "👩‍👩‍👧" * 4_000,
}
