"""What the judge is told of an image that it does not see.

Two kinds of rows, keyed by image: the original's for photographs, {id, image, captions[], instances[{category, bbox}]},
and ours for figures, {image, caption, paragraph, title, abstract, …}, where SciGraphQA's `first_mention` is the
paragraph. Nothing here asks a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evaluation.errors import InputError
from evaluation.rows import Row, read_rows

FIGURE_FIELDS = ("title", "abstract", "caption", "paragraph")

_COCO_PREFIXES = ("COCO_val2014_", "COCO_train2014_")


def read_contexts(path: Path) -> dict[str, Row]:
    """Contexts by image name. Raises InputError."""
    found: dict[str, Row] = {}
    for row in read_rows(path):
        image = row.get("image", row.get("image_file"))
        if not isinstance(image, str):
            raise InputError(f"{path}: a row has no image")
        if _bare(image) in found:
            raise InputError(f"{path}: {image} comes twice")
        if "captions" not in row and "caption" not in row:
            raise InputError(f"{path}: {image} has neither captions nor a caption")
        found[_bare(image)] = row
    return found


def context_of(contexts: Mapping[str, Row], image: str) -> Row:
    """The context of an image, with or without COCO's prefix. Raises InputError where there is none."""
    row = contexts.get(_bare(image))
    if row is None:
        raise InputError(f"there is no context for the image {image!r}")
    return row


def context_text(row: Mapping[str, Any]) -> str:
    """The text of the [Context] block."""
    if "captions" in row:
        captions, instances = row["captions"], row.get("instances") or []
        if not isinstance(captions, list) or not isinstance(instances, list):
            raise InputError(f"the context of {row.get('image')!r} has another shape")
        return "\n".join(map(str, captions)) + "\n\n" + "\n".join(_boxes(instances))
    known = figure_fields(row)
    return "\n".join(
        f"{name.capitalize()} of the figure's paper: {text}"
        if name in ("title", "abstract")
        else f"{_FIGURE_WORDS[name]}: {text}"
        for name, text in known.items()
    )


def figure_fields(row: Mapping[str, Any]) -> dict[str, str]:
    """What is known of a figure, by FIGURE_FIELDS; what is not known is not there."""
    given = {**row, "paragraph": row.get("paragraph", row.get("first_mention"))}
    known = {}
    for name in FIGURE_FIELDS:
        value = given.get(name)
        text = " ".join(str(part) for part in value) if isinstance(value, list) else str(value or "")
        if text.strip():
            known[name] = " ".join(text.split())  # SciGraphQA's titles hold line breaks
    return known


_FIGURE_WORDS = {"caption": "Caption", "paragraph": "Paragraph that mentions the figure"}


def _boxes(instances: Iterable[Any]) -> list[str]:
    lines = []
    for item in instances:
        if not isinstance(item, dict) or not isinstance(item.get("bbox"), list):
            raise InputError("an instance of a context has no bbox")
        lines.append(f"{item.get('category')}: {item['bbox']}")
    return lines


def _bare(image: str) -> str:
    for prefix in _COCO_PREFIXES:
        image = image.removeprefix(prefix)
    return image
