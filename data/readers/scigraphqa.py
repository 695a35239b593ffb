"""SciGraphQA-295K (alexshengzhili/SciGraphQA-295K-train): parquet, one row a figure with its questions and answers.

Columns: image_file, id (image_file without .png), caption, conversations, first_mention, response (raw), title,
abstract, q_a_pairs. Row groups are streamed. The source is one parquet file or a folder of them.

Irregularities that are known: figure numbers with dots and hyphens (…-Figure6.1-1.png, …-Figure10-7-1.png); line
breaks within titles and abstracts, kept as they are; in two rows of three the raw response asks more questions than
were kept, so that a first question may refer to one that is gone. Li, Tajbakhsh: SciGraphQA (2023). MIT by its card;
Palm-2's terms apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import FormatError
from data.readers.base import Reader, Source, conversation, figure_reference, text, without_suffix
from data.record import Record
from data.tally import Tally

LICENCE = "MIT by the data card; the answers are Palm-2's, whose terms allow research only"
_COLUMNS = ("image_file", "id", "caption", "conversations", "first_mention", "response", "title", "abstract")
_ROWS_AT_ONCE = 256


def _records(source: Source, tally: Tally) -> Iterator[Record]:
    files = sorted(source.path.glob("*.parquet")) if source.path.is_dir() else [source.path]
    if not files:
        raise FormatError(f"{source.path}: no *.parquet here")
    number = 0
    for file in files:
        for row in _rows(file):
            number += 1
            found = _record(row, f"row {number}", source.split, tally)
            if found is not None:
                yield found


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            missing = {"image_file", "conversations"} - set(file.schema_arrow.names)
            if missing:
                raise FormatError(f"{path}: the columns {', '.join(sorted(missing))} are missing")
            columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{path}: {error}") from error


def _record(row: Mapping[str, Any], place: str, split: str | None, tally: Tally) -> Record | None:
    try:
        image = text(row, "image_file")
        record_id = text(row, "id") or without_suffix(image) or place
        mention, caption = text(row, "first_mention"), text(row, "caption")
        title, abstract, response = text(row, "title"), text(row, "abstract"), text(row, "response")
    except TypeError:
        tally.add("row_unreadable", place)
        return None
    turns = conversation(row["conversations"], bool(image), record_id, tally)
    if turns is None:
        return None
    if response.count("Question:") > len(turns) // 2:
        tally.add("questions_dropped_at_source", record_id)
    if not image:
        tally.add("text_only", record_id)
    return Record(
        id=record_id,
        source="scigraphqa",
        licence=LICENCE,
        figure=figure_reference(image, record_id, tally) if image else None,
        caption=caption,
        paragraphs=(mention,) if mention.strip() else (),
        conversations=turns,
        title=title,
        abstract=abstract,
        split=split,
    )


READER = Reader("scigraphqa", "SciGraphQA-295K: parquet files", LICENCE, _records)
