"""Questions in every format that the evaluation takes, as one type.

    original    JSONL {question_id, image, text, category}, the original LLaVA-Graph's and LLaVA's (`qa90`, the 3K file)
    own         the same with `caption` and `reference`; what `eval questions` writes
    scigraphqa  rows {id, image_file, caption, q_a_pairs, …}, JSONL or a JSON array; id of a question is its row number
    scicap      the SciCap challenge's JSON {"images": […], "annotations": […]}; the reference is the paragraph that
                mentions the figure
    scicap-2021 SciCap's JSON per figure: a folder of them, or an array; the reference is the caption, which is
                therefore not given as context
    synthetic   a folder of `llava-graph data synthetic`; the reference is the true explanation

Only the first turn is asked (the original's protocol). Rows that give no question are counted in `Questions.left_out`,
by reason. Nothing here opens an image.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from evaluation.errors import InputError
from evaluation.rows import Row, by_id, pairs_sha256, read_rows, row_id, text_sha256
from llava_graph.context import DEFAULT_QUESTION

QuestionFormat = Literal["auto", "own", "original", "scigraphqa", "scicap", "scicap-2021", "synthetic"]
FORMATS: tuple[QuestionFormat, ...] = get_args(QuestionFormat)

_TRUTH_FILE = "truth.jsonl"
_IMAGE_TOKEN = re.compile(r"\s*<image>\s*")
_COCO_NAME = re.compile(r"\d{12}\.jpg")
_COCO_PREFIXES = ("COCO_val2014_", "COCO_train2014_")


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `image` is a name under the images' folder, None for a question without a figure. `reference` is
    what a good answer says, None where nothing is known; `written_id` is the id as the file had it."""

    question_id: str
    text: str
    image: str | None = None
    category: str = "default"
    caption: str = ""
    reference: str | None = None
    written_id: int | str = ""

    def to_row(self) -> Row:
        row: Row = {"question_id": self.written_id, "image": self.image, "text": self.text, "category": self.category}
        if self.image is None:
            del row["image"]
        if self.caption:
            row["caption"] = self.caption
        if self.reference is not None:
            row["reference"] = self.reference
        return row


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a file, and how many of its rows gave none, by reason."""

    questions: tuple[Question, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of what is asked: ids, texts, images and captions."""
        return pairs_sha256(
            (item.question_id, text_sha256(json.dumps([item.text, item.image, item.caption])))
            for item in self.questions
        )

    def references(self) -> list[Row]:
        """Rows `question_id`, `text` for `eval metrics`. Raises InputError where a question has no reference."""
        missing = [item.question_id for item in self.questions if item.reference is None]
        if missing:
            raise InputError(f"{len(missing)} questions have no reference (the first: {missing[0]})")
        return [{"question_id": item.written_id, "text": item.reference} for item in self.questions]


def read_questions(path: Path, name: QuestionFormat = "auto") -> Questions:
    """The questions in a file or folder. Raises InputError, naming the row, for anything that is not of the format."""
    chosen = _recognised(path) if name == "auto" else name
    if chosen in ("own", "original"):
        rows = read_rows(path)
        by_id(rows, str(path))
        return _checked(path, [_own(row) for row in rows], {})
    if chosen == "scigraphqa":
        return _scigraphqa(path)
    if chosen == "scicap":
        return _scicap(path)
    return _synthetic(path) if chosen == "synthetic" else _scicap_2021(path)


def image_path(folder: Path, image: str) -> Path:
    """Where an image lies. Names come from data sets and may not lead out of the folder. COCO's bare names, which the
    90 questions of LLaVA use, are found under their file names too. Raises InputError where there is no such file."""
    name = PurePosixPath(image)
    if name.is_absolute() or ".." in name.parts or "\\" in image or "\x00" in image:
        raise InputError(f"the image name {image!r} leads out of the images' folder")
    names = [image]
    if _COCO_NAME.fullmatch(image):
        names += [prefix + image for prefix in _COCO_PREFIXES]
    for candidate in names:
        path = folder / candidate
        if path.is_file():
            return path
    raise InputError(f"there is no image {image!r} in {folder}")


def check_images(questions: Iterable[Question], folder: Path | None) -> None:
    """Raises InputError, with a count, unless every image that is asked about is there."""
    asked = [item for item in questions if item.image is not None]
    if not asked:
        return
    if folder is None:
        raise InputError(f"{len(asked)} questions have an image: name the folder of the images")
    missing = []
    for item in asked:
        try:
            image_path(folder, item.image or "")
        except InputError as error:
            missing.append(str(error))
    if missing:
        raise InputError(f"{len(missing)} of {len(asked)} images are missing; {'; '.join(missing[:3])}")


def _checked(path: Path, questions: list[Question], left_out: Mapping[str, int]) -> Questions:
    if not questions:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise InputError(f"{path} holds no question" + (f" ({reasons})" if reasons else ""))
    return Questions(tuple(questions), dict(left_out))


def _recognised(path: Path) -> QuestionFormat:
    if path.is_dir():
        return "synthetic" if (path / _TRUTH_FILE).exists() else "scicap-2021"
    rows = _records(path)
    if isinstance(rows, dict):
        return "scicap"
    if rows and "q_a_pairs" in rows[0]:
        return "scigraphqa"
    if rows and "0-originally-extracted" in rows[0]:
        return "scicap-2021"
    return "own"


def _records(path: Path) -> list[Row] | dict[str, Any]:
    """The rows of a JSONL file or JSON array, or the one object of a JSON file. Raises InputError."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.read(1)
            while first.isspace():
                first = file.read(1)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if path.suffix == ".jsonl" or first not in "[{":
        return read_rows(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return read_rows(path)  # JSONL under another suffix
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        return value
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: an array of something else than objects")
    return rows


def _own(row: Row) -> Question:
    text, image = row.get("text"), row.get("image", row.get("image_file"))
    key = row_id(row)
    if not isinstance(text, str) or not (text := without_image_token(text)):
        raise InputError(f"question {key} has no text")
    if image is not None and (not isinstance(image, str) or not image):
        raise InputError(f"question {key}: the image is no name")
    return Question(
        key,
        text,
        image,
        category=str(row.get("category", "default")),
        caption=str(row.get("caption") or ""),
        reference=None if row.get("reference") is None else str(row["reference"]),
        written_id=row["question_id"],
    )


def without_image_token(text: str) -> str:
    """The question without LLaVA's `<image>`, which stood before or after it."""
    return _IMAGE_TOKEN.sub("\n", text).strip()


def _scigraphqa(path: Path) -> Questions:
    rows = _records(path)
    if isinstance(rows, dict):
        raise InputError(f"{path} is one object instead of SciGraphQA's rows")
    questions, left_out = [], Counter[str]()
    for number, row in enumerate(rows):
        pairs, image = row.get("q_a_pairs"), row.get("image_file", row.get("image"))
        if not isinstance(image, str) or not isinstance(pairs, list):
            raise InputError(f"{path}, row {number}: no image_file or no q_a_pairs")
        if not pairs:
            left_out["no question was kept"] += 1
            continue
        question, answer = _pair(pairs[0], f"{path}, row {number}")
        questions.append(
            Question(
                str(number),
                without_image_token(question),
                image,
                category="conv",
                caption=str(row.get("caption") or ""),
                reference=answer,
                written_id=number,
            )
        )
    return _checked(path, questions, left_out)


def _pair(value: object, where: str) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
        raise InputError(f"{where}: a pair is not a question and an answer")
    return value[0], value[1]


def _scicap(path: Path) -> Questions:
    """Joined by image_id: the two lists need not have one order."""
    value = _records(path)
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise InputError(f"{path} is not the SciCap challenge's {{images, annotations}}")
    try:
        images = {image["id"]: image for image in value["images"]}
        annotations = [(note["id"], images.get(note["image_id"]), note) for note in value["annotations"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: an image or annotation lacks {error}") from error
    questions, left_out = [], Counter[str]()
    for key, image, note in annotations:
        paragraphs = [text for text in note.get("paragraph") or [] if isinstance(text, str) and text.strip()]
        if image is None:
            left_out["no image for the annotation"] += 1
        elif not note.get("caption"):
            left_out["no caption"] += 1
        elif not paragraphs:
            left_out["no paragraph mentions the figure"] += 1
        else:
            questions.append(
                Question(
                    str(key),
                    DEFAULT_QUESTION,
                    str(image["file_name"]),
                    category=str(image.get("figure_type", "default")),
                    caption=str(note["caption"]),
                    reference=paragraphs[0],
                    written_id=key,
                )
            )
    found = _checked(path, questions, left_out)
    by_id([item.to_row() for item in found.questions], str(path))
    return found


def _scicap_2021(path: Path) -> Questions:
    if path.is_dir():
        files = sorted(path.rglob("*.json"))
        rows = [row for file in files for row in _array(file)]
    else:
        rows = _array(path)
    questions, left_out = [], Counter[str]()
    for row in rows:
        image, caption = row.get("figure-ID"), row.get("0-originally-extracted")
        if not isinstance(image, str):
            raise InputError(f"{path}: a row has no figure-ID")
        if not isinstance(caption, str) or not caption.strip():
            left_out["no caption"] += 1
            continue
        name = image.removesuffix(".png")
        questions.append(
            Question(
                name,
                DEFAULT_QUESTION,
                image,
                category=str(row.get("figure-type", "default")),
                reference=caption,
                written_id=name,
            )
        )
    return _checked(path, questions, left_out)


def _synthetic(path: Path) -> Questions:
    captions = {str(row.get("file")): str(row.get("caption") or "") for row in read_rows(path / "captions.jsonl")}
    questions = []
    for row in read_rows(path / _TRUTH_FILE):
        name, explanation, spec = row.get("file"), row.get("explanation"), row.get("spec")
        if not isinstance(name, str) or not isinstance(explanation, str) or not isinstance(spec, dict):
            raise InputError(f"{path / _TRUTH_FILE}: a row lacks file, explanation or spec")
        if name not in captions:
            raise InputError(f"{path}: {name} has no caption")
        kinds = sorted({str(panel.get("kind")) for panel in spec.get("panels", [])})
        key = Path(name).stem
        questions.append(
            Question(key, DEFAULT_QUESTION, name, "+".join(kinds) or "default", captions[name], explanation, key)
        )
    found = _checked(path, questions, {})
    by_id([item.to_row() for item in found.questions], str(path))
    return found


def _array(path: Path) -> list[Row]:
    rows = _records(path)
    return [rows] if isinstance(rows, dict) else rows
