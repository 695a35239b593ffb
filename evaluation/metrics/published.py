"""SciGraphQA's published rows, to stand beside a run's own. They are quoted, never computed here.

Source: the leaderboard in the README of the original LLaVA-Graph (findalexli/SciGraphQA), 3,002 test figures, first
turn, one reference, protocol `original`. Its numbers are cut, not rounded. CIDEr depends on the reference set: a row
is comparable only with a run on the same 3,002 references.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "README of the original LLaVA-Graph / SciGraphQA, 3,002 test figures, protocol `original`"
ITEMS = 3002


@dataclass(frozen=True, slots=True)
class PublishedRow:
    model: str
    cider: float
    bleu_4: float
    rouge_l: float


PUBLISHED = (
    PublishedRow("BLIP2-2.7B", 0.007, 0.003, 0.1),
    PublishedRow("DePlot + mPLUG-owl", 0.037, 0.058, 0.22),
    PublishedRow("mPLUG-owl 7B", 0.04, 0.062, 0.22),
    PublishedRow("LLaVA-7B", 0.048, 0.07, 0.18),
    PublishedRow("LLaVA-13B", 0.08, 0.07, 0.23),
    PublishedRow("OpenFlamingo v2-7B", 0.12, 0.081, 0.22),
    PublishedRow("DePlot + GPT-3", 0.13, 0.098, 0.226),
    PublishedRow("DePlot + LLaVA-13B", 0.153, 0.106, 0.273),
    PublishedRow("DePlot + SciGraphQA baseline (fine-tuned)", 0.268, 0.123, 0.31),
)
