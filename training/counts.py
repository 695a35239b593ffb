"""What happened to the samples that training read: each kind counted, so that nothing is left out silently.

Counts are plain numbers by kind. They travel in the position of the data (samples.py), so a resumed run goes on
counting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

KINDS: Mapping[str, tuple[str, str]] = {
    # kind: (what happens to the sample, what it means)
    "row_unreadable": ("left out", "a row lacks a key or has a value of another type"),
    "turns_irregular": ("left out", "turns do not alternate between human and gpt, or there is no answer"),
    "text_neutralised": ("kept", "special tokens or role markers in the text were made harmless"),
    "image_missing": ("left out", "no image of this name is in the folders or archives given"),
    "image_undecodable": ("kept with nothing to learn", "the image is broken or of a form that is not taken"),
    "image_token_without_image": ("left out", "a turn says <image>, and the sample has no image"),
    "image_without_image_token": ("left out", "the sample has an image that no turn shows"),
    "image_token_misplaced": (
        "left out",
        "<image> stands more than once, in an answer, or where the format has no place",
    ),
    "image_token_in_text": ("left out", "the text makes image tokens beyond those of its image"),
    "turns_not_a_caption": ("left out", "the format takes one caption of one image, and the sample is something else"),
    "nothing_to_learn": ("left out", "no token of the sample is a target"),
    "cut_at_end": ("kept", "the end was cut: an answer is shorter or missing"),
    "cut_in_prompt": ("kept", "text was cut out of the middle of a question, so that image and answer stay"),
    "too_long": ("left out", "image and template alone leave no room for an answer"),
    "text_only": ("kept", "a conversation without an image"),
    "trained": ("kept", "samples that went into batches"),
}


def count(counts: Counter[str], kind: str) -> None:
    """Raises KeyError for a kind that KINDS does not explain."""
    KINDS[kind]
    counts[kind] += 1


def lines(counts: Mapping[str, int]) -> list[str]:
    """One line a kind, the most frequent first, for a terminal."""
    rows = []
    for kind, number in sorted(counts.items(), key=lambda item: -item[1]):
        fate, meaning = KINDS[kind]
        rows.append(f"{number:>9,} {kind} ({fate}): {meaning}")
    return rows
