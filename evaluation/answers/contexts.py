"""What a model is given besides the image: nothing, one of caption, text (OCR) and chart data, or all of them.

`chart` is what the chart reader read, with its abstentions. The parts are given alone, so that a difference between two
columns has one cause. Readings (OCR lines and chart) come from our service, live or kept in a file. The prompt is built
by `llava_graph.context`, the module that serving and training use; nothing here asks a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from evaluation.answers.questions import Question
from evaluation.errors import InputError
from evaluation.rows import Row, read_rows
from llava_graph.chart import Chart, ChartFormatError, from_json, to_json
from llava_graph.context import TEMPLATES, FigureContext, Turn, dialogue
from llava_graph.ocr import Line

ContextName = Literal["none", "caption", "ocr", "chart", "all"]
CONTEXTS: tuple[ContextName, ...] = get_args(ContextName)

BARE = "bare"
"""The template that is none: the question alone, as other evaluations ask it. Only with the context `none`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one figure, and by what. `chart` is None where no chart reader looked at it."""

    lines: tuple[Line, ...] = ()
    chart: Chart | None = None
    reader: str | None = None

    def to_json(self) -> Row:
        return {
            "lines": [line.to_json() for line in self.lines],
            "chart": None if self.chart is None else to_json(self.chart),
            "reader": self.reader,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Reading:
        """Raises InputError."""
        try:
            lines = tuple(Line.from_json(line) for line in row["lines"])
            chart = row.get("chart")
            reader = row.get("reader")
            return cls(lines, None if chart is None else from_json(chart), None if reader is None else str(reader))
        except (KeyError, TypeError, ValueError, ChartFormatError) as error:
            raise InputError(f"the reading of {row.get('image')!r} has another shape: {error}") from error


def uses_caption(context: ContextName) -> bool:
    return context in ("caption", "all")


def uses_ocr(context: ContextName) -> bool:
    return context in ("ocr", "all")


def uses_chart(context: ContextName) -> bool:
    return context in ("chart", "all")


def read_readings(path: Path) -> dict[str, Reading]:
    """Readings by image name, from the JSONL that `eval readings` writes. Raises InputError."""
    found: dict[str, Reading] = {}
    for row in read_rows(path):
        image = row.get("image")
        if not isinstance(image, str):
            raise InputError(f"{path}: a row has no image")
        if image in found:
            raise InputError(f"{path}: {image} comes twice")
        found[image] = Reading.from_json(row)
    return found


def check_context(
    questions: Iterable[Question], context: ContextName, readings: Mapping[str, Reading] | None, *, live: bool
) -> None:
    """Raises InputError unless every question has what the context is to hold. `live`: the service reads figures."""
    asked = list(questions)
    if context == "none":
        return
    if without := [item for item in asked if item.image is None]:
        raise InputError(f"{len(without)} questions have no figure, so the context can only be none")
    if uses_caption(context) and (bare := [item.question_id for item in asked if not item.caption]):
        raise InputError(f"{len(bare)} questions have no caption (the first: {bare[0]}), which {context!r} is to hold")
    if live or not (uses_ocr(context) or uses_chart(context)):
        return
    if readings is None:
        raise InputError(f"the context {context!r} needs readings of the figures: make them with `eval readings`")
    if unread := [item.image for item in asked if item.image not in readings]:
        raise InputError(f"{len(unread)} figures have no reading (the first: {unread[0]})")
    if uses_chart(context):
        uncharted = [item.image for item in asked if item.image is not None and readings[item.image].chart is None]
        if uncharted:
            raise InputError(f"{len(uncharted)} figures were read without a chart reader (the first: {uncharted[0]})")


def messages_for(
    question: Question,
    context: ContextName,
    template: str,
    reading: Reading | None,
    size: tuple[int, int] | None,
    image_part: Mapping[str, object] | None,
) -> tuple[list[dict[str, object]], str]:
    """Chat messages for one question, and the text of the prompt without its image, for hashing.

    `size` is width and height in pixels of the upright image. Captions and OCR text are made harmless by the template.
    """
    if image_part is None or size is None:
        content: list[dict[str, object]] = [{"type": "text", "text": question.text}]
        return [{"role": "user", "content": content}], question.text
    if template == BARE:
        content = [dict(image_part), {"type": "text", "text": question.text}]
        return [{"role": "user", "content": content}], question.text
    known = FigureContext(
        width=size[0],
        height=size[1],
        caption=question.caption if uses_caption(context) else "",
        lines=reading.lines if reading is not None and uses_ocr(context) else (),
        chart=reading.chart if reading is not None and uses_chart(context) else None,
    )
    messages, _ = dialogue(template, [Turn("user", question.text)], [known.shown(image_part)])
    return messages, _texts(messages)


def template_label(template: str) -> str:
    """The template with its version, as fingerprints hold it. Raises InputError for one that does not exist."""
    if template == BARE:
        return BARE
    if template not in TEMPLATES:
        raise InputError(f"there is no template {template!r}: {', '.join([BARE, *TEMPLATES])}")
    return f"{TEMPLATES[template].name} v{TEMPLATES[template].version}"


def check_template(template: str, context: ContextName) -> None:
    """Raises InputError for a template that does not exist, or that cannot tell what the context is to hold."""
    label = template_label(template)
    if template == BARE:
        if context != "none":
            raise InputError(f"the template {BARE!r} holds nothing but the question: its context can only be none")
    elif uses_chart(context) and TEMPLATES[template].chart is None:
        raise InputError(f"the template {label} tells no chart data, which the context {context!r} is to hold")


def _texts(messages: Iterable[Mapping[str, Any]]) -> str:
    parts = [part for message in messages for part in message["content"] if part.get("type") == "text"]
    return "\n".join(str(part["text"]) for part in parts)
