"""What the language model is told of a figure, and what it is asked for: three kinds of dialogue, and a rating.

The model sees no image. It gets title, abstract, caption, the first paragraph that mentions the figure, and, where
they are known, the figure's texts and the data read from it. The words are ours; the kinds are those of LLaVA (Liu et
al., 2023).
"""

from __future__ import annotations

from typing import Literal, get_args

from data.build.prompts import NoChartError, deplot_table
from data.record import Record
from llava_graph.ocr import reading_order

Kind = Literal["conversation", "detail_description", "complex_reasoning"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_FORM = (
    "Write nothing but the dialogue. Begin every question with 'Question: ' and every answer with "
    "'Answer: ', each on a line of its own. Ask only what the text below answers. Speak of the figure as "
    "if you saw it, never of the text below."
)
_ASKED = {
    "conversation": (
        "You make dialogues about a figure of a scientific paper, between a reader who asks and an "
        "assistant who sees the figure. Write two to five questions with their answers: what the figure "
        "shows, its axes and curves, values, trends and comparisons. Each question says that it is about "
        "the figure, the graph, the plot or a part of it."
    ),
    "detail_description": (
        "You describe a figure of a scientific paper. Write one question that asks for a detailed "
        "description of the figure, and one answer that gives it: kind of chart, axes with units, every "
        "series, the trends, and what they mean for the paper."
    ),
    "complex_reasoning": (
        "You make hard questions about a figure of a scientific paper. Write one to three questions that "
        "take reasoning beyond reading off the figure (why a curve behaves as it does, what follows from "
        "a comparison, what the figure implies for the paper's claim), with answers that give the reasons "
        "step by step. Each question speaks of the figure or the graph."
    ),
}
_RATED = (
    "You judge questions and answers about a figure of a scientific paper. The text below says what is "
    "known of the figure. Say how correct and helpful the dialogue is. Answer with a JSON object and "
    'nothing else: {"score": NUMBER}, from 0 (wrong or useless) to 10 (correct, grounded in the figure, '
    "helpful)."
)

MAX_PART_CHARS = 6000
"""Of abstract, paragraph, caption: the longest paragraphs are whole sections."""

MAX_TEXTS = 120
MAX_ROWS = 60


def messages(kind: Kind, record: Record) -> list[dict[str, str]]:
    """The chat messages that ask for a dialogue."""
    return [
        {"role": "system", "content": f"{_ASKED[kind]} {_FORM}"},
        {"role": "user", "content": known(record)},
    ]


def rating_messages(record: Record, pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    """The chat messages that ask for a rating of question-answer pairs."""
    dialogue = "\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in pairs)
    return [
        {"role": "system", "content": _RATED},
        {"role": "user", "content": f"{known(record)}\n\nDialogue:\n{dialogue}"},
    ]


def has_context(record: Record) -> bool:
    """Whether there is anything to make a dialogue from."""
    return bool(record.caption.strip() or any(paragraph.strip() for paragraph in record.paragraphs))


def known(record: Record) -> str:
    """All that is known of a figure, part by part; empty parts are left out."""
    texts = [line.text for line in reading_order(record.lines)] or list(record.texts)
    try:
        rows = deplot_table(record.chart)[1:]
    except NoChartError:
        rows = []
    parts = {
        "Title": record.title,
        "Abstract": record.abstract,
        "Caption": record.caption,
        "Paragraph that mentions the figure": record.paragraphs[0] if record.paragraphs else "",
        "Texts in the figure": ", ".join(texts[:MAX_TEXTS]),
        "Data read from the figure": "\n".join(rows[:MAX_ROWS]),
    }
    return "\n\n".join(f"{name}: {part[:MAX_PART_CHARS]}" for name, part in parts.items() if part.strip())
