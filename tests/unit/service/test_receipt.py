"""The receipt of an answer about several figures, or none: each with its turn, and what the model was told of it."""

from __future__ import annotations

from collections.abc import Sequence

from llava_graph.chart import Chart
from llava_graph.context import FigureContext, Turn
from llava_graph.context_parts import ContextParts
from llava_graph.ocr import Line
from service.engine.client import Sampling
from service.events import Receipt, ReceiptFigure
from service.figures.chart import ChartReading
from service.figures.ocr_client import OFF, OcrText
from service.receipt import FigureReading, prompt_sha256, receipt, receipt_figure
from tests.harness.gateway import MANIFEST

TURNS = [Turn("user", "And this one?"), Turn("assistant", "It falls."), Turn("user", "Which is steeper?")]
LINES = [Line("Loss", (0.0, 0.0, 50.0, 10.0))]


def receipt_of(figures: Sequence[ReceiptFigure]) -> Receipt:
    return receipt(MANIFEST, figures, TURNS, Sampling(64, 0.0), engine=None, prompt="a" * 64, answer="The first.")


def test_each_figure_has_its_own_turn_context_caption_and_text() -> None:
    unread = ChartReading("off", Chart())
    read = FigureReading(OcrText("ok", LINES, 12.0, "fake/1"), unread, 12.0)
    first_context, second_context = FigureContext(100, 50, "First.", LINES), FigureContext(80, 60, turn=2)
    first = receipt_figure(MANIFEST, "1" * 64, ContextParts.parse("both"), first_context, read)
    nothing = FigureReading(OFF, unread, 0.0)
    second = receipt_figure(MANIFEST, "2" * 64, ContextParts.parse("none"), second_context, nothing)
    figures = receipt_of([first, second]).figures
    assert [(f.id, f.turn, f.context, f.caption) for f in figures] == [
        ("1" * 64, 0, "both", "First."),
        ("2" * 64, 2, "none", ""),
    ]
    assert [(f.ocr.status, f.ocr.engine, f.ocr.lines) for f in figures] == [("ok", "fake/1", 1), ("off", None, 0)]


def test_conversation_without_a_figure_has_a_receipt_too() -> None:
    found = receipt_of([])
    assert (found.figures, [turn.text for turn in found.turns]) == ([], [turn.text for turn in TURNS])


def test_hash_of_a_prompt_depends_on_its_texts_and_roles_and_not_on_its_images() -> None:
    def hash_of(role: str, text: str, image: str) -> str:
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": text}]
        return prompt_sha256([{"role": role, "content": content}])

    assert hash_of("user", "Why?", "data:a") == hash_of("user", "Why?", "data:b")
    assert len({hash_of("user", "Why?", ""), hash_of("user", "Why", ""), hash_of("assistant", "Why?", "")}) == 3
