"""The context prompt: the one place where caption, OCR text, chart data and question become what the model reads.

Text goes in as OCR lines, the data of a chart as rows of `llava_graph.chart_text`. Serving, training and evaluation all
call `conversation` and `dialogue`, so that what a model sees in production is what it was trained on. A
model's manifest names its template; this module knows no tokenizer and no HTTP.

Captions, OCR text and the names in a chart are untrusted: `neutralise` takes from them whatever a chat template or
tokenizer could read as a command (special tokens, role markers, control characters) and counts what it took.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from llava_graph.chart import Chart
from llava_graph.chart_text import ChartLimits, chart_rows
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
    """What is known of a figure besides its pixels. `width` and `height` are pixels of the upright image.

    `chart` is None where no chart was looked for or its data are not to be told: then nothing is said of it. A
    conversation shows the figure with the user's turn at index `turn`, by the content part `image_part`:
    `{"type": "image_url", ...}` towards an engine, `{"type": "image"}` in training.
    """

    width: int
    height: int
    caption: str = ""
    lines: Sequence[Line] = ()
    chart: Chart | None = None
    image_part: Mapping[str, object] = field(default_factory=lambda: {"type": "image"})
    turn: int = 0

    def shown(self, image_part: Mapping[str, object], turn: int = 0) -> FigureContext:
        """The same figure, shown by this part in this turn."""
        return replace(self, image_part=image_part, turn=turn)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text that goes beside the image in a user turn, and how many dangerous spots were neutralised."""

    text: str
    neutralised: int


# Special tokens of the LLaMA, ChatML, Mistral, DeepSeek, BERT and LLaVA families, and our own location tokens: <s>,
# </s>, <image>, <|im_start|>, <|vision-pad.1|>, <0x0A>, <510>, <<SYS>>, <｜begin▁of▁sentence｜>, [INST], [IMG_BREAK],
# [MASK]. Whatever stands between angle brackets may be one, up to four words of it, but for arrows. Possessive (`++`)
# and begun once for each run of `<`, so that the time is linear in whatever text.
_SPECIAL_TOKEN = re.compile(
    r"(?<!<)<++(?![-=])(?=[^\s<>‹⟦]{1,99}+(?: [^\s<>‹⟦]{1,99}+){0,3}+>)"
    r"|\[(?=/?(?:INST|IMG(?:[ _.-]?(?:BREAK|END))?|(?:AVAILABLE|BEGIN)[ _.-]?TOOLS|TOOL[ _.-]?(?:CALLS|RESULTS|CONTENT)"
    r"|SYSTEM[ _.-]?PROMPT|MODEL[ _.-]?SETTINGS|CONTROL[ _.-]?\d{1,4}|ARGS|CALL[ _.-]?ID|THINK|AUDIO"
    r"|PREFIX|SUFFIX|MIDDLE|PAD|CLS|SEP|MASK|UNK|BOS|EOS|[GS]MASK|UNUSED[ _.-]?\d{1,4})\])",
    re.IGNORECASE,
)
_ROLE_MARKER = re.compile(r"(?<![A-Za-z])(?:USER|ASSISTANT|SYSTEM|HUMAN|GPT)\s*(?=:)", re.IGNORECASE)
_HEADING = re.compile(r"#{3,}")

_SIGNS = frozenset("<>|[]/:#_")
"""Characters that special tokens and role markers contain besides letters and digits."""

_IGNORED = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Characters without a shape that are no format characters by category (Unicode's Default_Ignorable_Code_Point)."""


class _LookAlikes(dict[int, str]):
    """For `str.translate`: the printable ASCII character that compatibility normalisation (NFKC), which some tokenizers
    apply first, makes of a character. Only those that there are for are remembered: a few thousand."""

    def __missing__(self, code: int) -> str:
        if code < 0x80:
            raise LookupError(code)  # stays as it is
        normal = unicodedata.normalize("NFKC", chr(code))
        if len(normal) == 1 and "!" <= normal <= "~":
            self[code] = normal
            return normal
        raise LookupError(code)


class _Ligatures(dict[int, str]):
    """For `str.translate`: what normalisation makes of a character, where it is several, and a sign among them."""

    def __missing__(self, code: int) -> str:
        if code < 0x80:
            raise LookupError(code)
        normal = unicodedata.normalize("NFKC", chr(code))
        if len(normal) > 1 and not _SIGNS.isdisjoint(normal):
            self[code] = normal
            return normal
        raise LookupError(code)


_LOOK_ALIKES = _LookAlikes()
_LIGATURES = _Ligatures()


def neutralise(text: str) -> tuple[str, int]:
    """Text that no tokenizer or chat template reads as a command, on one line, and the number of spots changed.

    The text stays legible: `<image>` becomes `‹image>`, `USER:` becomes `USER：` (full-width colon), `###` becomes
    `#`; what stands in their place stays itself under normalisation, but for the colon, since a role's name is a word
    and no token. The same goes for what normalisation would turn into these (`﹤image﹥`). Control and format
    characters (Unicode categories Cc, Cf, Co, Cs) and those without a shape go, white space runs become one space.
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
    text = "".join(kept)
    if not text.isascii():
        text, count = _IGNORED.subn("", text)
        hits += count
        text = text.translate(_LIGATURES)
    text = " ".join(text.split())
    text, count = _replaced(text, _SPECIAL_TOKEN, lambda spot: "‹" if spot.startswith("<") else "⟦")
    hits += count
    text, count = _replaced(text, _ROLE_MARKER, None)
    hits += count
    text, count = _replaced(text, _HEADING, lambda _: "#")
    return text, hits + count


def _replaced(text: str, spots: re.Pattern[str], instead: Callable[[str], str] | None) -> tuple[str, int]:
    """The text with each spot replaced, found in the text as normalisation would leave it, character by character.
    Without `instead`, the character after the spot becomes a full-width colon."""
    seen = text if text.isascii() else text.translate(_LOOK_ALIKES)
    parts = []
    end = count = 0
    for spot in spots.finditer(seen):
        if instead is None:
            if text[spot.end()] == "：":
                continue
            parts += [text[end : spot.end()], "："]
            end = spot.end() + 1
        else:
            parts += [text[end : spot.start()], instead(spot[0])]
            end = spot.end()
        count += 1
    return ("".join([*parts, text[end:]]), count) if count else (text, 0)


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


def _brief(context: FigureContext) -> str:
    """Few tokens, for a small model on a CPU, which pays for each: a text stands behind the tenths of width and height
    at which its centre lies, two digits; numbers, mostly those of ticks, stand together without their places."""
    rows = [f"Caption: {context.caption or 'none'}"]
    numbers = []
    for line in context.lines:
        if not any(char.isalpha() for char in line.text):
            numbers.append(line.text)
            continue
        x0, y0, x1, y1 = grid_box(line.box, context.width, context.height)
        rows.append(f"{(x0 + x1) * 5 // GRID}{(y0 + y1) * 5 // GRID} {line.text}")
    if numbers:
        rows.append(f"Numbers: {' '.join(numbers)}")
    return "\n".join(rows)


def harmless(text: str) -> tuple[str, int]:
    """The text as it is, white space included, or neutralised where there is something to neutralise, and the number of
    spots changed. For prompts that models know to the character."""
    changed, hits = neutralise(text)
    return (changed, hits) if hits else (text, 0)


def original_context(lines: Sequence[str], caption: str) -> tuple[str, int]:
    """All of the original LLaVA-Graph's prompt before image and instruction, and the number of spots neutralised.

    "OCR extracted text list, separated by ', ' : " + FULLTEXT + ", " + TOKENS joined by ", " + " " + CAPTION. FULLTEXT
    is all text with only its line breaks removed, so lines are glued and spaces within them stay; the tokens are its
    words. The caption keeps its figure index. Without any text the list is empty. Source: the records in
    findalexli/LLaVA-Graph (graph_only_prompts_examples.py); the script that wrote the prompts is not published.
    """
    listed = ["".join(lines), *(token for line in lines for token in line.split())] if lines else []
    return harmless(f"OCR extracted text list, separated by ', ' : {', '.join(listed)} {caption}")


@dataclass(frozen=True, slots=True)
class Template:
    """How a model wants its context: what `render` makes of each figure, then `asks` and the question. `version`
    changes whenever the rendered text would change.

    The limits keep the prompt within the context length of the models that use the template; what lies beyond is cut.
    `chart` is None in a version that tells no chart data; other versions tell them after what `render` has made.
    `render` is None for the original's prompt (`original_context`), which is exact to the character. `image_first` says
    on which side of a figure's context its image stands.
    """

    name: str
    version: int
    render: Callable[[FigureContext], str] | None
    asks: str
    max_lines: int
    max_line_chars: int
    max_caption_chars: int
    min_confidence: float
    chart: ChartLimits | None = None
    image_first: bool = True

    @property
    def key(self) -> str:
        """How a manifest names it: the first version by the name alone, as from before there were others. Of the
        original's prompt there is one: what version 1 said was not the original's; no weights were trained on it."""
        return self.name if self.version == 1 or self.render is None else f"{self.name}@{self.version}"


_LOCATED = Template(
    "located",
    1,
    _located,
    "\nQuestion: ",
    max_lines=64,
    max_line_chars=80,
    max_caption_chars=600,
    min_confidence=0.5,
)
_PLAIN = Template(
    "plain",
    1,
    _plain,
    "\n\n",
    max_lines=120,
    max_line_chars=200,
    max_caption_chars=4000,  # the longest captions of SciCap stay below 3,000
    min_confidence=0.5,
)
_ORIGINAL = Template(
    "original",
    2,
    None,
    "\n",
    max_lines=120,
    max_line_chars=200,
    max_caption_chars=2000,
    min_confidence=0.0,
    image_first=False,
)

_BRIEF = Template(
    "brief",
    1,
    _brief,
    "\nQuestion: ",
    max_lines=48,
    max_line_chars=80,
    max_caption_chars=600,
    min_confidence=0.5,
    chart=ChartLimits(panels=3, series=6, samples=6, categories=8, crossings=3, name_chars=40),
)

# Weights were trained with the words of a version: a version that is out never changes, a new one is added.
TEMPLATES = {
    template.key: template
    for template in (
        _LOCATED,
        _PLAIN,
        _ORIGINAL,
        _BRIEF,
        replace(
            _LOCATED,
            version=2,
            chart=ChartLimits(panels=3, series=6, samples=8, categories=8, crossings=3, name_chars=40),
        ),
        replace(
            _PLAIN,
            version=2,
            chart=ChartLimits(panels=6, series=16, samples=12, categories=24, crossings=8, name_chars=80),
        ),
        replace(
            _BRIEF,
            version=2,
            chart=ChartLimits(panels=3, series=8, samples=6, categories=8, crossings=3, name_chars=40, exact_bars=True),
        ),
    )
}
"""The templates by the name that a manifest gives: "located" is version 1 of it, "located@2" version 2."""


def conversation(
    template_name: str,
    context: FigureContext,
    turns: Sequence[Turn],
    image_part: Mapping[str, object],
) -> tuple[list[dict[str, object]], int]:
    """Chat messages for a conversation about one figure, which its first turn shows. Otherwise as `dialogue`."""
    return dialogue(template_name, turns, [context.shown(image_part)])


def dialogue(
    template_name: str, turns: Sequence[Turn], figures: Sequence[FigureContext]
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
    template: Template, shown: Sequence[FigureContext], question: str, seen: int
) -> tuple[list[dict[str, object]], int]:
    """The parts of a user turn that shows figures, after `seen` others, and the number of neutralised spots."""
    told = [_told(template, figure) for figure in shown]
    asked = _asked(template, question)
    texts = [prompt.text for prompt in told]
    if seen + len(shown) > 1:
        texts = [f"Figure {number}\n{text}" for number, text in enumerate(texts, seen + 1)]
    # Chat templates put the parts of a message one after the other, with nothing in between.
    if template.image_first:
        texts = [*(f"{text}\n" for text in texts[:-1]), texts[-1] + asked.text]
    content: list[dict[str, object]] = []
    for figure, text in zip(shown, texts, strict=True):
        told_part: dict[str, object] = {"type": "text", "text": text}
        image_part = dict(figure.image_part)
        content += [image_part, told_part] if template.image_first else [told_part, image_part]
    if not template.image_first:
        content.append({"type": "text", "text": asked.text})
    return content, asked.neutralised + sum(prompt.neutralised for prompt in told)


def _told(template: Template, context: FigureContext) -> Prompt:
    """What a model is told of a figure, within the template's limits."""
    if template.render is None:
        texts = [line.text[: template.max_line_chars] for line in _kept(template, context.lines)]
        texts = [text for text in texts if neutralise(text)[0]]
        return Prompt(*original_context(texts, context.caption[: template.max_caption_chars]))
    caption, hits = neutralise(context.caption[: template.max_caption_chars])
    lines, count = told_lines(template, context.lines)
    hits += count
    rows = [template.render(FigureContext(context.width, context.height, caption, lines))]
    if context.chart is not None:
        data, count = told_chart(template, context.chart)
        hits += count
        rows += data
    return Prompt("\n".join(rows), hits)


def told_chart(template: Template, chart: Chart) -> tuple[list[str], int]:
    """The rows of chart data that a template tells, harmless and cut, and the number of spots neutralised.

    A row is made harmless as a whole, since names and the signs between them can make a command together.
    """
    if template.chart is None:
        return [], 0
    told = [neutralise(row) for row in chart_rows(chart, template.chart)]
    return [row for row, _ in told], sum(count for _, count in told)


def told_lines(template: Template, lines: Sequence[Line]) -> tuple[list[Line], int]:
    """The lines of a figure that a template tells, harmless and cut, and the number of spots neutralised."""
    told = []
    hits = 0
    for line in _kept(template, lines):
        text, count = neutralise(line.text[: template.max_line_chars])
        hits += count
        if text:
            told.append(Line(text, line.box, line.confidence))
    return told, hits


def _kept(template: Template, lines: Sequence[Line]) -> list[Line]:
    """The lines that are told, as they were read: the most confident, where there are more than the template takes."""
    kept = [line for line in lines if line.confidence >= template.min_confidence and line.text.strip()]
    if len(kept) > template.max_lines:
        best = sorted(range(len(kept)), key=lambda i: kept[i].confidence, reverse=True)[: template.max_lines]
        kept = [kept[i] for i in sorted(best)]
    return kept


def _asked(template: Template, question: str) -> Prompt:
    """The question, after what a model is told."""
    asked, hits = neutralise(question)
    return Prompt(template.asks + (asked or DEFAULT_QUESTION), hits)
