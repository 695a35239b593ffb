"""Builds the receipt of an answer: what is needed to repeat the request, and to see what differs if the answer does.

Long texts that a client has, or can get from the same parts, stand in it as SHA-256: the prompt, the lines that were
read, the answer. What they are hashed as is in service.events, so that others can do it, too. `launcher.replay`
reads receipts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from llava_graph.context import TEMPLATES, FigureContext, Turn, grid_box, told_chart, told_lines
from llava_graph.context_parts import ContextParts
from llava_graph.manifest import ModelManifest
from service.engine.client import Sampling
from service.events import (
    Receipt,
    ReceiptChart,
    ReceiptFigure,
    ReceiptModel,
    ReceiptOcr,
    ReceiptSampling,
    ReceiptTurn,
)
from service.figures.chart import ChartReading
from service.figures.ocr_client import OcrText

FORMAT = 1
"""Raised when a reader of older receipts could misread a new one. New fields need no raise."""


@dataclass(frozen=True, slots=True)
class FigureReading:
    """What was read in a figure, as far as the model is told of it. `wait_ms`: what the request waited for it."""

    text: OcrText
    chart: ChartReading
    wait_ms: float


def receipt(
    manifest: ModelManifest,
    figures: Sequence[ReceiptFigure],
    turns: Sequence[Turn],
    sampling: Sampling,
    *,
    engine: str | None,
    prompt: str,
    answer: str,
) -> Receipt:
    """The receipt of `answer`. `engine` is what the engine said that it is. `prompt` is the SHA-256 of what the model
    was given, by `prompt_sha256`."""
    template = TEMPLATES[manifest.context_template]
    return Receipt(
        format=FORMAT,
        gateway=_gateway_version(),
        model=ReceiptModel(
            id=manifest.name,
            revision=manifest.revision,
            template=template.name,
            template_version=template.version,
            engine=engine,
        ),
        figures=list(figures),
        turns=[ReceiptTurn(role=turn.role, text=_encodable(turn.text)) for turn in turns],
        sampling=ReceiptSampling(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            stop=list(sampling.stop),
            max_repeats=sampling.max_repeats,
        ),
        prompt_sha256=prompt,
        answer_sha256=hashlib.sha256(answer.encode()).hexdigest(),
    )


def prompt_sha256(messages: Sequence[dict[str, Any]]) -> str:
    """Of all texts in chat messages whose contents are lists of parts, message by message; images are left out."""
    return _sha256(
        [
            [message["role"], [part["text"] for part in message["content"] if part["type"] == "text"]]
            for message in messages
        ]
    )


def receipt_figure(
    manifest: ModelManifest, figure_id: str, parts: ContextParts, context: FigureContext, reading: FigureReading
) -> ReceiptFigure:
    """What a receipt says of one figure: `parts` of what is known of it were told, as `context`."""
    template, ocr = TEMPLATES[manifest.context_template], reading.text
    lines, _ = told_lines(template, context.lines)
    return ReceiptFigure(
        id=figure_id,
        width=context.width,
        height=context.height,
        turn=context.turn,
        context=str(parts),
        caption=_encodable(context.caption),
        ocr=ReceiptOcr(
            status=ocr.status,
            engine=ocr.engine or None,
            lines=len(lines),
            sha256=_sha256([[*grid_box(line.box, context.width, context.height), line.text] for line in lines]),
        ),
        chart=ReceiptChart(
            status=reading.chart.status,
            sha256=_sha256(told_chart(template, context.chart)[0] if context.chart is not None else []),
        ),
    )


def _encodable(text: str) -> str:
    """Without half characters (lone surrogates), which JSON can spell, UTF-8 cannot, and no prompt keeps."""
    return text.encode(errors="ignore").decode()


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


@cache
def _gateway_version() -> str:
    return version("llava-graph")
