"""What was irregular in the data: each kind counted, with the first few ids, so that nothing is dropped silently.

A tally knows no format. It is merged over shards and processes and goes into reports and the data card as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 5
"""Ids kept for each kind."""

KINDS: Mapping[str, tuple[str, str]] = {
    # kind: (what happens to the record, what it means)
    "row_unreadable": ("left out", "a row lacks a key or has a value of another type"),
    "id_repeated": ("kept", "an earlier record of the source has this id; a number was put behind it"),
    "record_repeated": ("left out", "the source has the same record once more"),
    "image_missing": ("left out", "no image of this name is in the folders or archives given"),
    "image_name_unsafe": ("left out", "the image's name leads out of the image folder"),
    "image_empty": ("left out", "the image file has no bytes"),
    "image_too_large": ("left out", "the image file has more bytes or pixels than are taken"),
    "image_too_small": ("left out", "a side of the image is too short"),
    "image_undecodable": ("left out", "the image is broken or in a format that is not taken"),
    "image_token_without_image": ("left out", "a turn says <image>, and the record names no image"),
    "image_without_image_token": ("left out", "the record names an image that no turn shows"),
    "image_token_misplaced": ("left out", "<image> stands more than once, after the first turn, or in an answer"),
    "turns_irregular": ("left out", "turns do not alternate between human and gpt, or one of them is empty"),
    "leading_answer_dropped": ("kept", "the conversation began with an answer; the turn was dropped"),
    "text_only": ("kept", "a conversation without an image"),
    "image_file_key": ("kept", "the image is named by `image_file` instead of `image`"),
    "blip_caption_missing": ("kept", "the metadata row has no BLIP caption"),
    "figure_number_dotted": ("kept", "the figure's number has dots, letters or hyphens (Figure6.1, Figure10-7)"),
    "arxiv_id_numeric": ("kept", "the arXiv id is a number in the source; lost zeros were put back"),
    "paper_unknown": ("kept", "no arXiv id can be told from the record"),
    "caption_missing": ("kept", "the source gives no caption, as SciCap Challenge's public test does"),
    "caption_number_differs": ("kept", "the figure number in the caption is not that of the file name"),
    "mentions_unknown": ("kept", "no mention or paragraph of the figure was found"),
    "mentions_unreadable": ("kept", "mentions are there in a form that the adapter does not know"),
    "mentions_not_parallel": ("kept", "mention and paragraph lists differ in length"),
    "questions_dropped_at_source": ("kept", "the raw response asks more questions than there are kept pairs"),
    "metadata_without_record": ("kept", "a metadata row belongs to no record"),
    "ocr_failed": ("kept", "the figure was not read; the record goes on without lines"),
    "chart_unreadable": ("kept", "the chart data are not in the expected form"),
    "no_target": ("left out", "the record has nothing that the task trains towards"),
    "leak_whole_target": ("by choice", "the whole answer stands in the text before it"),
    "leak_sentence": ("by choice", "a sentence of the answer stands in the text before it"),
    "paper_in_two_splits": ("left out", "the source has the paper in a later split as well"),
    "source_split_missing": ("left out", "source splits were asked for, and the record names none"),
    "text_neutralised": ("kept", "special tokens or role markers in the text were made harmless"),
    "chart_missing": ("left out", "the prompt needs chart data that the record does not have"),
    "title_unknown": ("kept", "the arXiv metadata do not hold the paper"),
}


@dataclass
class Tally:
    """Counts by kind, and the first ids of each."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, record_id: str) -> None:
        """Raises KeyError for a kind that KINDS does not explain."""
        KINDS[kind]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        seen = self.examples.setdefault(kind, [])
        if len(seen) < EXAMPLES:
            seen.append(record_id[:200])

    def merge(self, other: Tally) -> None:
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            seen = self.examples.setdefault(kind, [])
            seen += other.examples.get(kind, [])[: EXAMPLES - len(seen)]

    def to_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "examples": {kind: list(ids) for kind, ids in self.examples.items()}}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Tally:
        return cls(dict(raw["counts"]), {kind: list(ids) for kind, ids in raw["examples"].items()})

    def lines(self) -> list[str]:
        """One line a kind, the most frequent first, for a terminal."""
        rows = []
        for kind, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            fate, meaning = KINDS[kind]
            rows.append(f"{count:>9,} {kind} ({fate}): {meaning}; first: {', '.join(self.examples[kind][:2])}")
        return rows
