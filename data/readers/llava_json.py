"""LLaVA's list-JSON: CC3M-595K, LAION/CC/SBU-558K, Instruct-150K, and what the original LLaVA-Graph trained on.

One JSON array of `{"id", "image", "conversations": [{"from": "human" | "gpt", "value"}]}`. Irregularities that are
known: the image under `image_file` (the original's own conversion writes it, and its loader then trains `<image>` as
text); `<image>` without any image; no image at all, which is a text-only conversation; ids that are numbers; a first
turn from `gpt`. CC3M's metadata.json gives a caption for each image (`caption` or `blip_caption`; one row in ten lacks
the latter).

Data cards: liuhaotian/LLaVA-CC3M-Pretrain-595K, LLaVA-Pretrain, LLaVA-Instruct-150K,
alexshengzhili/LLAVA-graph-OCRCleaned.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from data.errors import FormatError
from data.readers.base import Reader, Source, conversation, figure_reference, json_items, without_suffix
from data.record import FigureReference, Record
from data.tally import Tally

LICENCE = "see the data set's card: CC3M's and COCO's images have terms of their own, GPT-4's answers are for research"


def _records(source: Source, tally: Tally) -> Iterator[Record]:
    with _captions(source.metadata, tally) as captions:
        rows = 0
        for row in json_items(source.path):
            rows += 1
            found = _record(row, f"row {rows}", source, captions, tally)
            if found is not None:
                yield found
    if rows == 0:
        raise FormatError(f"{source.path}: not a JSON array of conversations, or an empty one")


def _record(
    row: object, place: str, source: Source, captions: sqlite3.Connection | None, tally: Tally
) -> Record | None:
    if not isinstance(row, dict) or "conversations" not in row:
        tally.add("row_unreadable", place)
        return None
    image = row.get("image", row.get("image_file"))
    record_id = str(row.get("id") or (without_suffix(image) if isinstance(image, str) else place))
    if image is not None and (not isinstance(image, str) or not image):
        tally.add("row_unreadable", record_id)
        return None
    if image is not None and "image" not in row:
        tally.add("image_file_key", record_id)
    turns = conversation(row["conversations"], image is not None, record_id, tally)
    if turns is None:
        return None
    if image is None:
        tally.add("text_only", record_id)
    return Record(
        id=record_id,
        source="llava-json",
        licence=LICENCE,
        figure=None if image is None else _figure(image, record_id, tally),
        caption=_caption(captions, record_id),
        conversations=turns,
        split=source.split,
    )


def _figure(image: str, record_id: str, tally: Tally) -> FigureReference:
    """A photograph has no paper; only names that look like a paper's figure are asked for one."""
    return figure_reference(image, record_id, tally) if "-Figure" in image else FigureReference(image)


@contextmanager
def _captions(metadata: Path | None, tally: Tally) -> Iterator[sqlite3.Connection | None]:
    """The captions of metadata.json by id, on disk: the file has 199 MB."""
    if metadata is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "captions.sqlite")) as table:
        table.execute("CREATE TABLE captions (id TEXT PRIMARY KEY, caption TEXT) WITHOUT ROWID")
        for number, row in enumerate(json_items(metadata), 1):
            if not isinstance(row, dict) or "id" not in row:
                tally.add("row_unreadable", f"{metadata.name} row {number}")
                continue
            if not row.get("blip_caption"):
                tally.add("blip_caption_missing", str(row["id"]))
            table.execute("INSERT OR REPLACE INTO captions VALUES (?, ?)", (str(row["id"]), _either(row)))
        yield table


def _either(row: dict[str, Any]) -> str:
    return str(row.get("caption") or row.get("blip_caption") or "")


def _caption(captions: sqlite3.Connection | None, record_id: str) -> str:
    if captions is None:
        return ""
    found = captions.execute("SELECT caption FROM captions WHERE id = ?", (record_id,)).fetchone()
    return found[0] if found else ""


READER = Reader("llava-json", "LLaVA's list-JSON (CC3M-595K, 558K, Instruct-150K, OCRCleaned)", LICENCE, _records)
