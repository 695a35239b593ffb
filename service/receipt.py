"""The receipt of an answer: what it takes to ask the same again, and to see what differs when another answer comes.

Long texts that a client has, or can get from the same parts, stand in it as SHA-256: the prompt, the lines that were
read, the answer. What they are hashed as is in service.events, so that others can do it, too. `llava_graph.replay`
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

from llava_graph.context import TEMPLATES, FigureContext, Template, Turn, grid_box, told_lines
from llava_graph.manifest import ModelManifest
from service.engine import Sampling
from service.events import (
    ContextParts,
    Receipt,
    ReceiptFigure,
    ReceiptModel,
    ReceiptOcr,
    ReceiptSampling,
    ReceiptTurn,
)
from service.ocr_client import OcrText

FORMAT = 1
"""Raised when a reader of older receipts could misread a new one. New fields need no raise."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A figure, the turn that shows it, and what the model was told of it."""

    figure_id: str
    turn: int
    parts: ContextParts
    context: FigureContext
    ocr: OcrText


def receipt(
    manifest: ModelManifest,
    figures: Sequence[Exhibit],
    turns: Sequence[Turn],
    sampling: Sampling,
    *,
    prompt: str,
    answer: str,
) -> Receipt:
    """The receipt of `answer`. `prompt` is the SHA-256 of what the model was given, by `prompt_sha256`."""
    template = TEMPLATES[manifest.context_template]
    return Receipt(
        format=FORMAT,
        gateway=_gateway_version(),
        model=ReceiptModel(
            id=manifest.name,
            revision=manifest.revision,
            template=template.name,
            template_version=template.version,
        ),
        figures=[_figure(template, figure) for figure in figures],
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


def _figure(template: Template, figure: Exhibit) -> ReceiptFigure:
    context, ocr = figure.context, figure.ocr
    lines, _ = told_lines(template, context.lines)
    return ReceiptFigure(
        id=figure.figure_id,
        width=context.width,
        height=context.height,
        turn=figure.turn,
        context=figure.parts,
        caption=_encodable(context.caption),
        ocr=ReceiptOcr(
            status=ocr.status,
            engine=ocr.engine or None,
            lines=len(lines),
            sha256=_sha256([[*grid_box(line.box, context.width, context.height), line.text] for line in lines]),
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
