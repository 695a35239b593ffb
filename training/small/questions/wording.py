"""How people word a question: forms with gaps for names, the share of them kept for evaluation, and careless typing.

Asker(rng, "train", None)(("How high does {s} go?", "Max of {s}?", "Peak value of {s}?"), s="Rye")
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Wording = Literal["train", "heldout"]

EXPLAIN = {
    "medium": (
        "Explain this figure.",
        "What does this figure show?",
        "Describe the figure.",
        "Can you explain the chart?",
        "Tell me what is going on in this plot.",
        "What can be seen here?",
        "What am I looking at?",
        "Explain the plot to me, please.",
        "Could you walk me through this figure?",
        "Help me understand this graph.",
        "explain",
        "Explain it.",
        "What is this?",
        "what does this mean",
        "What do we learn from this figure?",
        "Describe what is plotted.",
        "I do not understand this chart. What does it say?",
        "Explain this figure as you would to a student.",
        "Write a paragraph about this figure.",
        "What are the results here?",
        "How do I read this chart?",
        "Please interpret this graph.",
    ),
    "short": (
        "Summarise the figure in a sentence or two.",
        "What is the main message?",
        "Briefly, what does the chart show?",
        "Give me a short summary.",
        "Summarize briefly.",
        "Short description, please.",
        "In short, what is this?",
        "What is the key result?",
        "Just the gist, please.",
        "Explain this figure briefly.",
        "Explain in two sentences.",
        "Main finding?",
        "What is the take-away?",
        "The figure in a nutshell?",
        "summary",
        "One or two sentences about this figure, please.",
        "TL;DR?",
    ),
    "long": (
        "Explain this figure in detail.",
        "Describe the chart with all its numbers.",
        "Give a thorough description of the figure.",
        "Explain everything that can be seen in this plot.",
        "Describe every curve or bar with its values.",
        "Detailed description, please.",
        "Explain the figure as precisely as you can.",
        "I need a full description of this chart.",
        "Tell me all that you know about this figure.",
        "Go through the figure in detail, with values.",
        "Describe this figure for someone who cannot see it.",
        "Write a detailed paragraph about this plot.",
    ),
}
"""Wordings of the first question by the length of the answer; the last of each is kept for evaluation."""

_BEFORE = (
    "Please: ",
    "Quick question: ",
    "One more thing: ",
    "Okay. ",
    "Thanks. ",
    "Could you tell me: ",
    "According to the chart, ",
    "From the figure: ",
    "Looking at the plot, ",
    "I wonder: ",
    "And ",
    "So, ",
    "Hey, ",
    "Next: ",
    "Then: ",
    "Good. ",
    "Tell me: ",
)
_BEHIND = (
    ", please",
    ", according to the chart",
    " in this figure",
    " in the plot",
    ", roughly",
    ", approximately",
    " here",
    ", as far as you can tell",
)
_OF_PANEL = (
    ("In panel ({}): ", ""),
    ("In panel ({}), ", ""),
    ("Panel ({}): ", ""),
    ("({}) ", ""),
    ("panel {}: ", ""),
    ("For panel {}, ", ""),
    ("In subfigure ({}), ", ""),
    ("", " in panel ({})"),
    ("", " in ({})"),
)
_WITH_PREFIX, _WITH_SUFFIX, _UNMARKED, _SMALL, _LOWERED, _MISSPELT = 0.05, 0.05, 0.10, 0.08, 0.03, 0.04
"""Shares of the questions that are worded or typed so."""


def worded(forms: Sequence[str], rng: random.Random, wording: Wording) -> str:
    """One of the forms; the last of three or more is kept for evaluation."""
    if len(forms) < 3:
        return rng.choice(forms)
    return forms[-1] if wording == "heldout" else rng.choice(forms[:-1])


@dataclass(frozen=True, slots=True)
class Asker:
    """Words the questions of one panel. `letter` is the panel's where there are several.

    `alone` has the names that stand in this panel only, so that a question about them need not say which panel.
    """

    rng: random.Random
    wording: Wording
    letter: str | None = None
    alone: frozenset[str] = frozenset()

    def __call__(self, forms: Sequence[str], **names: str) -> str:
        form = worded(forms, self.rng, self.wording)
        if self.wording == "train" and self.rng.random() < _MISSPELT:
            form = misspelt(form, self.rng)
        question = form.format(**names)
        begins_with_a_name = form.startswith("{")
        if self.letter and not (self.alone.intersection(names.values()) and self.rng.random() < 0.5):
            before, behind = self.rng.choice(_OF_PANEL)
            if behind and not question.endswith("?"):
                before, behind = _OF_PANEL[0]
            question = _framed(question, before.format(self.letter), behind.format(self.letter), begins_with_a_name)
        elif self.wording == "train":
            question = self._decorated(question, begins_with_a_name)
        return self._typed(question, begins_with_a_name) if self.wording == "train" else question

    def _decorated(self, question: str, begins_with_a_name: bool) -> str:
        chance = self.rng.random()
        if chance < _WITH_PREFIX and not question.startswith(("And ", "Please", "(")):
            return _framed(question, self.rng.choice(_BEFORE), "", begins_with_a_name)
        if chance < _WITH_PREFIX + _WITH_SUFFIX and question.endswith("?"):
            behind = self.rng.choice(_BEHIND)
            return question if "please" in question else _framed(question, "", behind, begins_with_a_name)
        return question

    def _typed(self, question: str, begins_with_a_name: bool) -> str:
        if self.rng.random() < _UNMARKED:
            question = question.rstrip("?.!").rstrip()
        chance = self.rng.random()
        if chance < _LOWERED:
            return question.lower()
        if chance < _LOWERED + _SMALL and not begins_with_a_name:
            return small(question)
        return question


def _framed(question: str, before: str, behind: str, begins_with_a_name: bool) -> str:
    if before and not begins_with_a_name and not before.endswith((". ", ") ")):
        question = small(question)
    if behind:
        question = question[:-1] + behind + question[-1]
    return before + question


def small(sentence: str) -> str:
    """The sentence with a small first letter, save for "I" and what is written in capitals."""
    return sentence if re.match(r"I\b|[A-Z]{2}", sentence) else sentence[:1].lower() + sentence[1:]


def misspelt(form: str, rng: random.Random) -> str:
    """The form with one of its own words misspelt, never a name."""
    words = list(re.finditer(r"(?<![\w{])[A-Za-z]{4,}(?![\w}])", form))
    if not words:
        return form
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    edit = rng.choice(("swap", "drop", "double"))
    if edit == "swap":
        return form[:at] + form[at + 1] + form[at] + form[at + 2 :]
    return form[:at] + form[at + 1 :] if edit == "drop" else form[:at] + form[at] + form[at:]
