"""What a report consists of, before it is HTML or Markdown: sections of tables, plots and notes, and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    """All cells are text; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """An SVG document and, in words, what it shows. A table beside it holds the numbers."""

    alt: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of an answer. `kind` is a verdict of its checks, `named` for a text of the figure, or empty."""

    text: str
    kind: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    run: str
    spans: Sequence[Span]

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


@dataclass(frozen=True, slots=True)
class Overlay:
    """A text box, a traced curve or the points of bars and clouds on the figure, in pixels of the upright image."""

    label: str
    box: tuple[float, float, float, float] | None = None
    curve: str = ""
    dots: Sequence[tuple[float, float]] = ()
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its figure (None where it has none or the images are not at hand) and all answers."""

    question_id: str
    question: str
    category: str
    reference: str | None
    answers: Sequence[ExampleAnswer]
    image_uri: str | None = None
    width: int = 0
    height: int = 0
    overlays: Sequence[Overlay] = ()


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    sections: Sequence[Section]
    examples: Sequence[Example] = field(default_factory=tuple)
