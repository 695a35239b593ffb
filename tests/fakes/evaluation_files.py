"""Small files in the formats of the evaluation's data sets, with contents of our own.

The original's questions, contexts, answers, reviews and rules; SciGraphQA; SciCap's layouts; ScienceQA. Facts of the
formats: JSONL in UTF-8 with LF and a final newline; ids of questions are numbers; COCO's images have bare names in the
questions and prefixed ones on disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

Row = dict[str, Any]

FIGURE = "1801.01974v2-Figure10-1.png"
OTHER_FIGURE = "1610.06815v1-Figure4-1.png"

COCO_NAME = "000000441147.jpg"
COCO_FILE = "COCO_val2014_000000441147.jpg"

QUESTIONS: list[Row] = [
    {"question_id": 0, "image": FIGURE, "text": "Which run is best in the graph?\n<image>", "category": "conv"},
    {"question_id": 1, "image": FIGURE, "text": "Describe the figure in detail.", "category": "detail"},
    {"question_id": 2, "image": OTHER_FIGURE, "text": "<image>\nWhy does the curve fall?", "category": "complex"},
    {"question_id": 3, "image": OTHER_FIGURE, "text": "What is on the x axis?", "category": "conv"},
]

ANSWERS_A: list[Row] = [
    {"question_id": 0, "text": "Treated rises and is best at the end.", "answer_id": "a0", "model_id": "a"},
    {"question_id": 1, "text": "The figure shows two curves over time, Treated and Control.", "answer_id": "a1"},
    {"question_id": 2, "text": "The curve falls since the rate decays.", "answer_id": "a2"},
    {"question_id": 3, "text": "The x axis shows time in seconds.", "answer_id": "a3"},
]

ANSWERS_B: list[Row] = [
    {"question_id": 0, "text": "Control.", "answer_id": "b0", "model_id": "b"},
    {"question_id": 1, "text": "A chart.", "answer_id": "b1"},
    {"question_id": 2, "text": "It falls because of noise in the measurements of the samples.", "answer_id": "b2"},
    {"question_id": 3, "text": "", "answer_id": "b3"},
]

REFERENCES: list[Row] = [
    {"question_id": 0, "text": "Treated is best, it rises to the end."},
    {"question_id": 1, "text": "The figure shows two curves over time."},
    {"question_id": 2, "text": "The curve falls because the rate decays."},
    {"question_id": 3, "text": "Time in seconds."},
]

CONTEXTS: list[Row] = [
    {"image": FIGURE, "caption": "Fig. 10. Growth of both groups.", "first_mention": ["Treated grows faster."]},
    {"image": OTHER_FIGURE, "caption": "Fig. 4. Decay.", "title": "On\n  decay", "abstract": "We measure decay."},
]

PHOTO_CONTEXT: Row = {
    "id": "441147",
    "image": COCO_FILE,
    "captions": ["Two suitcases.", "Two old bags in a room."],
    "instances": [{"category": "suitcase", "bbox": [0.1, 0.2, 0.55, 0.9]}],
}

RULES: Row = {name: {"role": "Assistant", "prompt": f"Judge {name}."} for name in ("conv", "detail", "complex")}

REVIEW_SUMS = {
    "alpaca-13b": (583.0, 704.0, 120.8),
    "bard": (664.0, 655.5, 98.7),
    "gpt35": (693.0, 638.0, 92.1),
    "llama-13b": (513.0, 694.0, 135.3),
}
"""Published: sums of 80 reviews' scores for answer 1 and answer 2 (vicuna), and answer 2 as percent of answer 1."""


def lines(path: Path, rows: Iterable[Row]) -> Path:
    """Writes JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
    return path


def document(path: Path, value: object) -> Path:
    """Writes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def images(folder: Path) -> Path:
    """A folder with the two figures of QUESTIONS and one of COCO's photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate((FIGURE, OTHER_FIGURE, COCO_FILE)):
        image = Image.new("RGB", (160, 120), "white")
        draw = ImageDraw.Draw(image)
        draw.rectangle((10, 10, 150, 110), outline="black")
        draw.line([(10, 100 - 20 * number), (80, 60), (150, 20 + 10 * number)], fill="blue", width=2)
        image.save(folder / name)
    return folder


def reviews_with_sums(first: float, second: float, count: int = 80) -> list[Row]:
    """Reviews in the layout of the original's tables (`score`, no category) whose scores add up to the two sums.

    Scores are multiples of a half from 1 to 10, as judges give them.
    """
    rows = []
    for number, pair in enumerate(zip(_halves(first, count), _halves(second, count), strict=True), 1):
        rows.append(
            {
                "review_id": f"r{number}",
                "question_id": number,
                "answer1_id": f"x{number}",
                "answer2_id": f"y{number}",
                "reviewer_id": "gpt-4-0328-generic",
                "metadata": {},
                "text": "Both answers are relevant.",
                "score": list(pair),
            }
        )
    return rows


def _halves(total: float, count: int) -> list[float]:
    """`count` multiples of a half, as equal as can be, that add up to `total`."""
    low, more = divmod(round(2 * total), count)
    return [(low + (index < more)) / 2 for index in range(count)]


SCIGRAPHQA: list[Row] = [
    {
        "image_file": FIGURE,
        "id": FIGURE.removesuffix(".png"),
        "caption": "Fig. 10. Growth of both groups.",
        "first_mention": "Treated grows faster.",
        "title": "Single\n  Sample",
        "abstract": "Growth.",
        "response": "Question: Which graph rises?\nAnswer: Treated.\n\n",
        "q_a_pairs": [["Which graph rises?", "Treated."], ["Does the plot fall?", "No."]],
        "conversations": [],
    },
    {"image_file": OTHER_FIGURE, "id": OTHER_FIGURE.removesuffix(".png"), "caption": "Fig. 4.", "q_a_pairs": []},
    {
        "image_file": OTHER_FIGURE,
        "id": OTHER_FIGURE.removesuffix(".png"),
        "caption": "Fig. 4. Decay.",
        "q_a_pairs": [["What does the chart show?", "Decay."]],
    },
]

SCICAP_CHALLENGE: Row = {
    "images": [
        {"file_name": OTHER_FIGURE, "id": 7, "figure_type": "Bar Chart", "ocr": ["time"]},
        {"file_name": FIGURE, "id": 5, "figure_type": "Graph Plot", "ocr": ["Treated"]},
    ],
    "annotations": [
        {
            "image_id": 5,
            "id": 50,
            "caption": "Figure 10: Growth.",
            "caption_no_index": "Growth.",
            "paragraph": ["Figure 10 shows growth.", "See Figure 10."],
            "mention": [["Figure 10 shows growth."], ["See Figure 10."]],
        },
        {"image_id": 7, "id": 70, "caption": "Figure 4: Decay.", "paragraph": [], "mention": []},
        {"image_id": 7, "id": 71, "paragraph": ["As Figure 4 shows."], "mention": [["As Figure 4 shows."]]},
    ],
}

SCICAP_2021: Row = {
    "contains-subfigure": False,
    "Img-text": ["time", "growth"],
    "paper-ID": "1801.01974v2",
    "figure-ID": FIGURE,
    "figure-type": "Graph Plot",
    "0-originally-extracted": "Figure 10: Growth of both groups.",
    "1-lowercase-and-token-and-remove-figure-index": {
        "caption": "growth of both groups .",
        "sentence": [],
        "token": [],
    },
}

SCIENCEQA: dict[str, Row] = {
    "1": {
        "question": "Which gas do plants take up?",
        "choices": ["oxygen", "carbon dioxide"],
        "answer": 1,
        "hint": "Look at the leaf.",
        "image": "image.png",
        "subject": "natural science",
        "split": "test",
    },
    "2": {
        "question": "What is the capital?",
        "choices": ["Boston", "Lansing", "Albany"],
        "answer": 0,
        "hint": "",
        "image": None,
        "subject": "social science",
        "split": "test",
    },
    "3": {"question": "Train?", "choices": ["a", "b"], "answer": 0, "hint": "", "image": None, "split": "train"},
}
