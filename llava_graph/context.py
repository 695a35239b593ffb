"""The context prompt: the one place where caption, OCR text and question become what the model reads.

Serving, training and evaluation all call `first_turn`, `conversation` and `dialogue`, so that what a model sees in
production is what it was trained on. A model's manifest names its template; this module knows no tokenizer and no HTTP.

Captions and OCR text are untrusted: `neutralise` takes from them whatever a chat template or tokenizer could read as
a command (special tokens, role markers, control characters) and counts what it took.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llava_graph.ocr import Box, Line

DEFAULT_QUESTION = "Explain this figure."

GRID = 1000
"""Box coordinates are given to models on a grid of 0..999 in both directions, whatever the size of the image."""

LOCATION_STEP = 10
"""The `located` template rounds grid coordinates to this, so that a small model needs 100 location tokens."""

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class FigureContext:
    """What is known of a figure besides its pixels. `width` and `height` are pixels of the upright image."""

    width: int
    height: int
    caption: str = ""
    lines: Sequence[Line] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure where a conversation shows it: with the user's turn at index `turn`.

    `image_part` is the content part that carries the image: `{"type": "image_url", ...}` towards an engine,
    `{"type": "image"}` in training.
    """

    context: FigureContext
    image_part: dict[str, object]
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text that goes beside the image in a user turn, and how many dangerous spots were neutralised."""

    text: str
    neutralised: int


# Special tokens of the LLaMA, ChatML, Mistral, DeepSeek and LLaVA families, and our own location tokens: <s>, </s>,
# <image>, <|im_start|>, <im_patch>, <0x0A>, <510>, <<SYS>>, <｜begin▁of▁sentence｜>, [INST], [IMG_BREAK]. In letters
# and signs that look like these, too, which some tokenizers take for the same. Possessive (`++`) and begun once for
# each run of `<`, so that the time is linear in whatever text.
_SPECIAL_TOKEN = re.compile(
    r"(?<![<＜])[<＜]++(?=[/／]?[|｜]?[\w/▁]{1,99}+(?: [\w▁]{1,99}+){0,3}+[|｜]?[>＞])"
    r"|[\[［](?=[/／]?(?:INST|IMG|IMG_BREAK|IMG_END|(?:AVAILABLE|BEGIN)_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|SYSTEM_PROMPT)"
    r"[\]］])",
    re.IGNORECASE,
)
_ROLE_MARKER = re.compile(r"(?<![A-Za-z])(USER|ASSISTANT|SYSTEM|HUMAN|GPT)(\s*):", re.IGNORECASE)
_HEADING = re.compile(r"#{3,}")


def neutralise(text: str) -> tuple[str, int]:
    """Text that no tokenizer or chat template reads as a command, on one line, and the number of spots changed.

    The text stays legible: `<image>` becomes `‹image>`, `USER:` becomes `USER：` (full-width colon), `###` becomes
    `#`. Control and format characters (Unicode categories Cc, Cf, Co, Cs) go, white space runs become one space.
    """
    hits = 0
    kept = []
    for char in text:
        if char.isspace():
            kept.append(" ")
        elif unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
            hits += 1
        else:
            kept.append(char)
    text = " ".join("".join(kept).split())
    text, count = _SPECIAL_TOKEN.subn(lambda m: "‹" if m[0][0] in "<＜" else "⟦", text)
    hits += count
    text, count = _ROLE_MARKER.subn(r"\1\2：", text)
    hits += count
    text, count = _HEADING.subn("#", text)
    return text, hits + count


def grid_box(box: Box, width: int, height: int, step: int = 1) -> tuple[int, int, int, int]:
    """A pixel box on the 0..999 grid, rounded to multiples of `step` and clipped to the grid."""

    def place(value: float, size: int) -> int:
        cell = int(value / size * GRID / step + 0.5) * step
        return min(max(cell, 0), (GRID - 1) // step * step)

    x0, y0, x1, y1 = box
    return place(x0, width), place(y0, height), place(x1, width), place(y1, height)


def _located(context: FigureContext) -> str:
    """Box before text: by the time a causal model reads a word it knows where the word stands in the image."""
    rows = [f"Caption: {context.caption}", "Text in the figure:"]
    for line in context.lines:
        box = grid_box(line.box, context.width, context.height, LOCATION_STEP)
        rows.append("".join(f"<{v}>" for v in box) + line.text)
    return "\n".join(rows)


def _plain(context: FigureContext) -> str:
    """For vision-language models that were not trained by us: boxes in digits, as most of them write them."""
    rows = [f"Caption of the figure: {context.caption or '(none)'}"]
    if context.lines:
        rows.append(f"Text read in the figure, each with its box [x0,y0,x1,y1] on a grid of 0 to {GRID - 1}:")
        for line in context.lines:
            x0, y0, x1, y1 = grid_box(line.box, context.width, context.height)
            rows.append(f"[{x0},{y0},{x1},{y1}] {line.text}")
    return "\n".join(rows)


def _original(context: FigureContext) -> str:
    """The prompt of the original LLaVA-Graph (findalexli/LLaVA-Graph): full text, words, caption, instruction."""
    words = [word for line in context.lines for word in line.text.split()]
    # Words that are harmless one by one (`<`, `image`, `>`) can make a command when they are joined.
    joined, _ = neutralise("".join(words))
    *before, last = [joined, *words]
    # And so can the last of them and the caption (`USER`, `:`).
    ending = neutralise(f"{last} {context.caption}")[0] if last and context.caption else f"{last} {context.caption}"
    return f"OCR extracted text list, separated by ', ' : {', '.join([*before, ending])}"


@dataclass(frozen=True, slots=True)
class Template:
    """How a model wants its context: what `render` makes of each figure, then `asks` and the question. `version`
    changes whenever the rendered text would change.

    The limits keep the prompt within the context length of the models that use the template; what lies beyond is cut.
    """

    name: str
    version: int
    render: Callable[[FigureContext], str]
    asks: str
    max_lines: int
    max_line_chars: int
    max_caption_chars: int
    min_confidence: float


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            "located",
            1,
            _located,
            "\nQuestion: ",
            max_lines=64,
            max_line_chars=80,
            max_caption_chars=600,
            min_confidence=0.5,
        ),
        # The longest captions of SciCap stay below 3,000 characters.
        Template(
            "plain",
            1,
            _plain,
            "\n\n",
            max_lines=120,
            max_line_chars=200,
            max_caption_chars=4000,
            min_confidence=0.5,
        ),
        Template(
            "original",
            1,
            _original,
            "\n",
            max_lines=120,
            max_line_chars=200,
            max_caption_chars=2000,
            min_confidence=0.0,
        ),
    )
}


def first_turn(template_name: str, context: FigureContext, question: str = DEFAULT_QUESTION) -> Prompt:
    """The first user turn of a conversation about a figure, without the image itself, which stands before it.

    Lines are printed in the order given (see `ocr.reading_order`). When there are more than the template takes, the
    most confident stay. Raises KeyError for a template that does not exist.
    """
    template = TEMPLATES[template_name]
    told, asked = _told(template, context), _asked(template, question)
    return Prompt(told.text + asked.text, told.neutralised + asked.neutralised)


def conversation(
    template_name: str,
    context: FigureContext,
    turns: Sequence[Turn],
    image_part: dict[str, object],
) -> tuple[list[dict[str, object]], int]:
    """Chat messages for a conversation about one figure, which its first turn shows. Otherwise as `dialogue`."""
    return dialogue(template_name, turns, [Shown(context, image_part)])


def dialogue(
    template_name: str, turns: Sequence[Turn], figures: Sequence[Shown]
) -> tuple[list[dict[str, object]], int]:
    """Chat messages (OpenAI's and the Hugging Face chat templates' form) for a conversation about any number of
    figures, in the order in which its turns show them. Also returns the number of neutralised spots.

    Images and contexts stand before the question of the turn that shows them. Where there are several, each has its
    number, counted through the conversation; the first has none where it came alone, as models learned it. No turn
    looks at a later one, so what came before a follow-up question stays the same to the byte, which an engine's prefix
    and image caches live on.

    Raises ValueError when the turns do not start with the user or do not alternate.
    """
    template = TEMPLATES[template_name]
    messages: list[dict[str, object]] = []
    hits = seen = 0
    for i, turn in enumerate(turns):
        if turn.role != ("user", "assistant")[i % 2]:
            raise ValueError(f"turn {i} is from {turn.role!r}: turns start with the user and alternate")
        shown = [figure for figure in figures if figure.turn == i]
        if shown:
            content, count = _showing(template, shown, turn.text, seen)
            seen += len(shown)
        else:
            text, count = neutralise(turn.text)
            content = [{"type": "text", "text": text}]
        hits += count
        messages.append({"role": turn.role, "content": content})
    return messages, hits


def _showing(
    template: Template, shown: Sequence[Shown], question: str, seen: int
) -> tuple[list[dict[str, object]], int]:
    """The parts of a user turn that shows figures, after `seen` others, and the number of neutralised spots."""
    told = [_told(template, figure.context) for figure in shown]
    asked = _asked(template, question)
    texts = [prompt.text for prompt in told]
    if seen + len(shown) > 1:
        texts = [f"Figure {number}\n{text}" for number, text in enumerate(texts, seen + 1)]
    # Chat templates put the parts of a message one after the other, with nothing in between.
    texts = [*(f"{text}\n" for text in texts[:-1]), texts[-1] + asked.text]
    content: list[dict[str, object]] = []
    for figure, text in zip(shown, texts, strict=True):
        content += [figure.image_part, {"type": "text", "text": text}]
    return content, asked.neutralised + sum(prompt.neutralised for prompt in told)


def _told(template: Template, context: FigureContext) -> Prompt:
    """What a model is told of a figure, within the template's limits."""
    caption, hits = neutralise(context.caption[: template.max_caption_chars])
    lines, count = told_lines(template, context.lines)
    return Prompt(template.render(FigureContext(context.width, context.height, caption, lines)), hits + count)


def told_lines(template: Template, lines: Sequence[Line]) -> tuple[list[Line], int]:
    """The lines of a figure that a template tells, harmless and cut, and the number of spots neutralised."""
    kept = [line for line in lines if line.confidence >= template.min_confidence and line.text.strip()]
    if len(kept) > template.max_lines:
        best = sorted(range(len(kept)), key=lambda i: kept[i].confidence, reverse=True)[: template.max_lines]
        kept = [kept[i] for i in sorted(best)]
    told = []
    hits = 0
    for line in kept:
        text, count = neutralise(line.text[: template.max_line_chars])
        hits += count
        if text:
            told.append(Line(text, line.box, line.confidence))
    return told, hits


def _asked(template: Template, question: str) -> Prompt:
    """The question, after what a model is told."""
    asked, hits = neutralise(question)
    return Prompt(template.asks + (asked or DEFAULT_QUESTION), hits)
