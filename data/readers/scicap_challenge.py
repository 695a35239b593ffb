"""SciCap Challenge (CrowdAILab/scicap): two tables in one JSON file, in the manner of COCO.

`{"images": [{id, file_name, figure_type, ocr}], "annotations": [{id, image_id, caption, caption_no_index, paragraph,
mention}]}`. `mention` holds a list of sentences for each paragraph. The metadata file is an array of rows with
`image_id` and `arXiv_id`.

Irregularities that are known: the tables are not in the same order (join by image_id); `arXiv_id` is a number, so
zeros at its ends are lost (1010.552 for 1010.5520); the public test has no captions; `paragraph` and `mention` may be
empty, or differ in length; an image without annotation, and the other way round. File names ("000000501522.png") say
nothing of the paper.

train.json has 882 MB: the images' rows go into a table on disk and the annotations are streamed past it. CC BY-NC-SA
4.0.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from data.errors import FormatError
from data.readers.base import Reader, Source, arxiv_id, json_items, text, texts
from data.record import FigureReference, Record
from data.tally import Tally

LICENCE = "CC BY-NC-SA 4.0"


def _records(source: Source, tally: Tally) -> Iterator[Record]:
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "images.sqlite")) as tables:
        tables.execute(
            "CREATE TABLE images (id TEXT PRIMARY KEY, name TEXT, type TEXT, ocr TEXT, used INT) WITHOUT ROWID"
        )
        tables.execute("CREATE TABLE papers (image_id TEXT PRIMARY KEY, paper TEXT) WITHOUT ROWID")
        _load_images(source.path, tables, tally)
        if source.metadata is not None:
            _load_papers(source.metadata, tables, tally)
        for number, row in enumerate(json_items(source.path, "annotations.item"), 1):
            found = _record(row, f"annotation {number}", source.split, tables, tally)
            if found is not None:
                yield found
        for (name,) in tables.execute("SELECT name FROM images WHERE used = 0 ORDER BY id"):
            tally.add("metadata_without_record", name)


def _load_images(path: Path, tables: sqlite3.Connection, tally: Tally) -> None:
    rows = 0
    for row in json_items(path, "images.item"):
        rows += 1
        try:
            values = (
                str(row["id"]),
                str(row["file_name"]),
                text(row, "figure_type"),
                json.dumps(texts(row.get("ocr"))),
            )
        except (KeyError, TypeError):
            tally.add("row_unreadable", f"image {rows}")
            continue
        tables.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, 0)", values)
    if rows == 0:
        raise FormatError(f"{path}: no table `images` here")


def _load_papers(path: Path, tables: sqlite3.Connection, tally: Tally) -> None:
    for number, row in enumerate(json_items(path), 1):
        try:
            image_id = str(row["image_id"])
            paper = arxiv_id(row["arXiv_id"], image_id, tally)
        except (KeyError, TypeError):
            tally.add("row_unreadable", f"{path.name} row {number}")
            continue
        if paper is not None:
            tables.execute("INSERT OR REPLACE INTO papers VALUES (?, ?)", (image_id, paper))


def _record(row: Any, place: str, split: str | None, tables: sqlite3.Connection, tally: Tally) -> Record | None:
    try:
        image_id = str(row["image_id"])
        caption = text(row, "caption") or text(row, "caption_no_index")
        paragraphs = texts(row.get("paragraph"))
        mentions = tuple(texts(sentences) for sentences in row.get("mention") or ())
    except (KeyError, TypeError):
        tally.add("row_unreadable", place)
        return None
    image = tables.execute("SELECT name, type, ocr FROM images WHERE id = ?", (image_id,)).fetchone()
    if image is None:
        tally.add("image_missing", place)
        return None
    tables.execute("UPDATE images SET used = 1 WHERE id = ?", (image_id,))
    name, figure_type, words = image
    record_id = f"{image_id}-{row.get('id', image_id)}"
    paper = tables.execute("SELECT paper FROM papers WHERE image_id = ?", (image_id,)).fetchone()
    if paper is None:
        tally.add("paper_unknown", record_id)
    if not caption:
        tally.add("caption_missing", record_id)
    if not any(paragraph.strip() for paragraph in paragraphs):
        tally.add("mentions_unknown", record_id)
    elif len(mentions) != len(paragraphs):
        tally.add("mentions_not_parallel", record_id)
    return Record(
        id=record_id,
        source="scicap-challenge",
        licence=LICENCE,
        figure=FigureReference(name, paper[0] if paper else None),
        caption=caption,
        texts=tuple(json.loads(words)),
        mentions=mentions,
        paragraphs=tuple(paragraph for paragraph in paragraphs if paragraph.strip()),
        figure_type=figure_type,
        split=split,
    )


READER = Reader("scicap-challenge", "SciCap Challenge: images and annotations in one JSON", LICENCE, _records)
