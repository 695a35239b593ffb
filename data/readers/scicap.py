"""SciCap as published in 2021, in both of its layouts.

A folder: `SciCap-Caption-All/{Train,Val,Test}/*.json`, one file a figure. Or files:
`SciCap-Caption-All-{train,val,test}.json`, one JSON array a split. The source is the folder that holds either, or one
such file. Images are named by `figure-ID`.

Irregularities that are known: the key `token` is `tokens` in 2-2 of the first layout; "euqation" is spelled so; the
number in the caption is not the one in the file name; captions of the levels 1 and 2 hold NUM-TK, BRACKET-TK and
EQUAT-TK, which is why the record takes `0-originally-extracted`. Nothing here mentions a figure: paragraphs come from
SciCap+ or the Challenge.

Hsu, Giles, Huang: SciCap: Generating Captions for Scientific Figures (2021). CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.errors import FormatError
from data.readers.base import (
    Reader,
    Source,
    check_caption_number,
    figure_reference,
    json_file,
    json_items,
    text,
    texts,
    without_suffix,
)
from data.record import Record
from data.tally import Tally

LICENCE = "CC BY-NC-SA 4.0"
_SPLITS = ("train", "val", "test")


def _records(source: Source, tally: Tally) -> Iterator[Record]:
    rows = 0
    for place, row, split in _rows(source.path):
        rows += 1
        found = scicap_record(row, place, split or source.split, "scicap", LICENCE, tally)
        if found is not None:
            yield found
    if rows == 0:
        raise FormatError(
            f"{source.path}: neither SciCap-Caption-All/<split>/*.json nor SciCap-Caption-All-<split>.json"
        )


def _rows(path: Path) -> Iterator[tuple[str, object, str | None]]:
    """Place (for messages), JSON value and split of each figure."""
    if path.is_file():
        for number, row in enumerate(json_items(path), 1):
            yield f"{path.name} row {number}", row, _split_of(path.stem.rpartition("-")[2])
        return
    for array in sorted(path.glob("SciCap-Caption-All-*.json")):
        yield from _rows(array)
    within = path / "SciCap-Caption-All"
    for folder in sorted(within.iterdir() if within.is_dir() else ()):
        for file in sorted(folder.glob("*.json")):
            yield f"{folder.name}/{file.name}", _value(file), _split_of(folder.name)


def _value(file: Path) -> object:
    """One bad file of 400,000 costs itself only."""
    try:
        return json_file(file)
    except FormatError:
        return None


def _split_of(name: str) -> str | None:
    return name.lower() if name.lower() in _SPLITS else None


def scicap_record(
    row: object, place: str, split: str | None, source: str, licence: str, tally: Tally, name: str | None = None
) -> Record | None:
    """A record from SciCap's keys of 2021; None, counted, where they are not there. `name` is the image's, where it is
    not `figure-ID`."""
    try:
        if not isinstance(row, dict):
            raise TypeError("not an object")
        figure_id = str(row["figure-ID"])
        caption = text(row, "0-originally-extracted")
        words = texts(row.get("Img-text"))
        figure_type = text(row, "figure-type")
    except (KeyError, TypeError):
        tally.add("row_unreadable", place)
        return None
    record_id = without_suffix(figure_id)
    figure = figure_reference(name or figure_id, record_id, tally)
    if not caption:
        tally.add("caption_missing", record_id)
    check_caption_number(caption, figure, record_id, tally)
    return Record(
        id=record_id,
        source=source,
        licence=licence,
        figure=figure,
        caption=caption,
        texts=words,
        figure_type=figure_type,
        split=split,
    )


READER = Reader("scicap", "SciCap 2021: one JSON a figure, or one array a split", LICENCE, _records)
