"""SciCap+ (anselyang/SciCapPlus): SciCap's figures with the paragraphs that mention them. An adapter with an
assumption.

Documented nowhere: what `mentions_paragraph.zip` holds. ASSUMPTION: it unpacks to `mentions_paragraph/`, with a file
`<split>/<id>.json` for each `captions/<split>/<id>.json`, where `<id>` is the figure's id without `.png`. Its value is
one of
    {"mention": …, "paragraph": …}  (or the plurals `mentions`, `paragraphs`)
    [{"mention": …, "paragraph": …}, …]      one entry a paragraph
    ["paragraph", …]
with a text, a list of texts, or (mentions only) a list of lists of texts. Anything else counts as
`mentions_unreadable`, and a run whose figures all count so says that the assumption is wrong: then `mentions_of` is
the one function to change.

Known from a public loader: `captions/<split>/<id>.json` has SciCap's keys of 2021, images lie at
`imgs/<split>/<id>.png`. The OCR features (67 GB) are those of a detector that is not used here, and are not read. CC
BY-NC 4.0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from data.errors import FormatError
from data.readers.base import Reader, Source, json_file
from data.readers.scicap import scicap_record
from data.record import Record
from data.tally import Tally

LICENCE = "CC BY-NC 4.0"


def _records(source: Source, tally: Tally) -> Iterator[Record]:
    captions = source.path / "captions"
    folders = sorted(folder for folder in captions.iterdir() if folder.is_dir()) if captions.is_dir() else []
    if not folders:
        raise FormatError(f"{source.path}: no captions/<split>/ here; unpack captions.zip first")
    for folder in folders:
        for file in sorted(folder.glob("*.json")):
            found = _record(file, folder.name, source.path, tally)
            if found is not None:
                yield found


def _record(file: Path, split: str, root: Path, tally: Tally) -> Record | None:
    figure_id = file.name.removesuffix(".json")
    try:
        row = json_file(file)
    except FormatError:
        tally.add("row_unreadable", f"{split}/{file.name}")
        return None
    if isinstance(row, dict):
        row.setdefault("figure-ID", f"{figure_id}.png")
    place = f"{split}/{file.name}"
    found = scicap_record(row, place, split.lower(), "scicap-plus", LICENCE, tally, f"{split}/{figure_id}.png")
    if found is None:
        return None
    mentions, paragraphs = _mentions(root / "mentions_paragraph" / split / file.name, found.id, tally)
    return dataclasses.replace(found, mentions=mentions, paragraphs=paragraphs)


def _mentions(file: Path, record_id: str, tally: Tally) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    if not file.exists():
        tally.add("mentions_unknown", record_id)
        return (), ()
    try:
        mentions, paragraphs = mentions_of(json_file(file))
    except (FormatError, TypeError):
        tally.add("mentions_unreadable", record_id)
        return (), ()
    if not paragraphs:
        tally.add("mentions_unknown", record_id)
    return mentions, paragraphs


def mentions_of(value: object) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Mentions (for each paragraph its sentences) and paragraphs, from any form of the assumption. Raises TypeError."""
    if isinstance(value, dict):
        mentions = value.get("mention", value.get("mentions"))
        paragraphs = value.get("paragraph", value.get("paragraphs"))
        if mentions is None and paragraphs is None:
            raise TypeError("neither mention nor paragraph")
        return _nested(mentions), _flat(paragraphs)
    if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        parts = [mentions_of(entry) for entry in value]
        sentences = tuple(tuple(text for inner in mention for text in inner) for mention, _ in parts)
        return sentences, tuple(text for _, paragraphs in parts for text in paragraphs)
    return (), _flat(value)


def _flat(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise TypeError("not a text or a list of texts")
    return tuple(entry for entry in entries if entry.strip())


def _nested(value: object) -> tuple[tuple[str, ...], ...]:
    if value is None or isinstance(value, str):
        return (_flat(value),) if value else ()
    if not isinstance(value, list):
        raise TypeError("mentions are not a list")
    return tuple(_flat(entry) for entry in value)


READER = Reader("scicap-plus", "SciCap+: captions/, mentions_paragraph/ (assumed form), imgs/", LICENCE, _records)
