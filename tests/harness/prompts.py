"""The first user turn of a conversation about a figure, as one text without its image."""

from __future__ import annotations

from llava_graph.context import DEFAULT_QUESTION, FigureContext, Prompt, Turn, conversation


def first_turn(template: str, context: FigureContext, question: str = DEFAULT_QUESTION) -> Prompt:
    """Text and number of neutralised spots."""
    [message], neutralised = conversation(template, context, [Turn("user", question)], {"type": "image"})
    content = message["content"]
    assert isinstance(content, list)
    return Prompt("".join(part["text"] for part in content if part["type"] == "text"), neutralised)
