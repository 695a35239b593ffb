"""What a reader owes, and what the formats share: names of figures, arXiv ids, JSON that is larger than memory.

A reader turns a source (file or folder) into records, without their images:

1. in the same order each time, one after the other, holding a bounded part of the source in memory;
2. an irregular row costs at most itself: it is counted under one of tally.KINDS, and never raises;
3. a source that is not in the format at all raises FormatError with file and place;
4. what the format does not say stays empty; nothing is guessed. `FigureReference.name` is the name in the data set,
   even if the image is found elsewhere (images.py knows where to look);
5. a conversation that says `<image>` has a figure, and one with a figure says `<image>` once, in its first turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ijson

from data.errors import FormatError
from data.record import IMAGE_TOKEN, FigureReference, turns_from_json
from data.tally import Tally
from llava_graph.context import Turn


@dataclass(frozen=True, slots=True)
class Source:
    """What a reader is given. `metadata` is a second file that some formats have."""

    path: Path
    metadata: Path | None = None
    split: str | None = None
    """Of all records, where the format does not say it (SciCap Challenge has a file for each split)."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One format. `records` is a generator that fulfils this module's promises."""

    name: str
    reads: str
    licence: str
    records: Callable[[Source, Tally], Iterator[Any]]


# 1001.0025v1-Figure2-1.png, …-Figure6.1-1.png, …-Figure10-7-1.png, and ids without the suffix. No Path.stem: it would
# take ".1-1" of "Figure6.1-1" for one.
_FIGURE_NAME = re.compile(
    r"^(?P<paper>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?\d{7})(?:v\d+)?-(?:Figure|Table)(?P<number>.+)-\d+(?:\.\w{3,4})?$"
)
_IMAGE_SUFFIX = re.compile(r"\.(?:png|jpe?g|gif|webp|tiff?)$", re.IGNORECASE)
_CAPTION_NUMBER = re.compile(r"^\s*(?:figure|fig)\.?\s*(?P<number>\d+(?:[.-]\d+)*)", re.IGNORECASE)
_FIRST_FIVE_DIGITS = 1501
"""arXiv numbers have five digits after the dot since January 2015 (arxiv.org/help/arxiv_identifier)."""


def figure_reference(name: str, record_id: str, tally: Tally) -> FigureReference:
    """The figure of an image name in SciCap's form (`1001.0025v1-Figure2-1.png`, folders before it are allowed).

    Any other name gives a reference without paper, which is counted.
    """
    match = _FIGURE_NAME.match(name.rpartition("/")[2])
    if match is None:
        tally.add("paper_unknown", record_id)
        return FigureReference(name)
    if not match["number"].isdecimal():
        tally.add("figure_number_dotted", record_id)
    return FigureReference(name, match["paper"], match["number"])


def check_caption_number(caption: str, figure: FigureReference, record_id: str, tally: Tally) -> None:
    """Counts a caption whose figure number is not that of the file name: pdffigures counts for itself."""
    match = _CAPTION_NUMBER.match(caption)
    if match and figure.number and match["number"] != figure.number:
        tally.add("caption_number_differs", record_id)


def without_suffix(name: str) -> str:
    """`x-Figure6.1-1.png` → `x-Figure6.1-1`, and `x-Figure6.1-1` stays."""
    return _IMAGE_SUFFIX.sub("", name)


def arxiv_id(value: object, record_id: str, tally: Tally) -> str | None:
    """An arXiv id without version. A number (1010.552 for 1010.5520, 704.0001 for 0704.0001) gets its zeros back.

    How many digits there must be follows from year and month, so what is put back is certain. None for anything else.
    """
    text = str(value).strip()
    if isinstance(value, str) and re.fullmatch(r"[a-z-]+(\.[A-Z]{2})?/?\d{7}(v\d+)?", text):
        return re.sub(r"v\d+$", "", text)
    match = re.fullmatch(r"(\d{3,4})(?:\.(\d{1,5}))?(?:v\d+)?", text)
    if match is None:
        return None
    month = match[1].zfill(4)
    digits = 5 if int(month) >= _FIRST_FIVE_DIGITS else 4
    number = (match[2] or "").ljust(digits, "0")
    if len(number) != digits:
        return None
    if not isinstance(value, str):
        tally.add("arxiv_id_numeric", record_id)
    return f"{month}.{number}"


def json_items(path: Path, prefix: str = "item") -> Iterator[Any]:
    """The elements of a JSON array, one at a time (`prefix` as in ijson: `images.item` for `{"images": […]}`).

    Numbers with a fraction come as Decimal, with the digits that the file has. Raises FormatError.
    """
    try:
        with path.open("rb") as file:
            yield from ijson.items(file, prefix)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not JSON: {error}") from error


def json_file(path: Path) -> Any:
    """A small JSON file. Raises FormatError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FormatError(f"{path}: not JSON: {error}") from error


def text(row: Mapping[str, Any], key: str) -> str:
    """The text under `key`, empty where it is missing or null. Raises TypeError for anything else."""
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{key!r} is of type {type(value).__name__}")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts, empty for null. Raises TypeError for anything else."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TypeError("not a list of texts")
    return tuple(value)


def conversation(raw: object, has_image: bool, record_id: str, tally: Tally) -> tuple[Turn, ...] | None:
    """A conversation in LLaVA's form, checked: it begins with the user, alternates, and shows its image exactly once.

    None where it must be left out, which is counted. The original's loader trains `<image>` without an image as text.
    """
    try:
        turns = turns_from_json(raw)
    except (KeyError, TypeError, ValueError):
        tally.add("row_unreadable", record_id)
        return None
    if turns and turns[0].role == "assistant":
        turns = turns[1:]
        tally.add("leading_answer_dropped", record_id)
    if not turns or len(turns) % 2 or any(turn.role != ("user", "assistant")[i % 2] for i, turn in enumerate(turns)):
        tally.add("turns_irregular", record_id)
        return None
    if any(not turn.text.replace(IMAGE_TOKEN, "").strip() for turn in turns[1:]):
        tally.add("turns_irregular", record_id)
        return None
    shown = [turn.text.count(IMAGE_TOKEN) for turn in turns]
    if has_image and shown == [0] * len(turns):
        tally.add("image_without_image_token", record_id)
        return None
    if not has_image and any(shown):
        tally.add("image_token_without_image", record_id)
        return None
    if has_image and (shown[0] != 1 or any(shown[1:])):
        tally.add("image_token_misplaced", record_id)
        return None
    return turns
