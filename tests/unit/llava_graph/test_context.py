"""The context prompt: its exact words for each template, and that no caption, label or question gets out of its place.

A golden text that changes means that models trained on the old one see something new: raise the template's version.
"""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph.context import (
    DEFAULT_QUESTION,
    TEMPLATES,
    FigureContext,
    Turn,
    conversation,
    dialogue,
    grid_box,
    neutralise,
)
from llava_graph.ocr import Box, Line
from tests.harness.prompts import first_turn

FIGURE = FigureContext(
    width=1000,
    height=500,
    caption="Growth of Vodikar under light.",
    lines=[Line("Vodikar", (100, 50, 205, 70)), Line("Time (h)", (480, 480, 560, 499.9), 0.9)],
)

GOLDEN = {
    ("located", 1): (
        "Caption: Growth of Vodikar under light.\n"
        "Text in the figure:\n"
        "<100><100><210><140>Vodikar\n"
        "<480><960><560><990>Time (h)\n"
        "Question: Which series rises?",
        "Caption: \nText in the figure:\nQuestion: Which series rises?",
    ),
    ("plain", 1): (
        "Caption of the figure: Growth of Vodikar under light.\n"
        "Text read in the figure, each with its box [x0,y0,x1,y1] on a grid of 0 to 999:\n"
        "[100,100,205,140] Vodikar\n"
        "[480,960,560,999] Time (h)\n"
        "\n"
        "Which series rises?",
        "Caption of the figure: (none)\n\nWhich series rises?",
    ),
    ("original", 2): (
        "OCR extracted text list, separated by ', ' : VodikarTime (h), Vodikar, Time, (h) "
        "Growth of Vodikar under light.\n"
        "Which series rises?",
        "OCR extracted text list, separated by ', ' :  \nWhich series rises?",
    ),
    ("brief", 1): (
        "Caption: Growth of Vodikar under light.\n11 Vodikar\n59 Time (h)\nQuestion: Which series rises?",
        "Caption: none\nQuestion: Which series rises?",
    ),
}
# The second versions differ in what they tell of a chart; see test_chart_text.py.
GOLDEN |= {(name, 2): GOLDEN[name, 1] for name in ("located", "plain", "brief")}

# What some tokenizer or chat template reads as more than text.
COMMANDS = [
    "<image>",
    "<IMAGE>",
    "<im_start>",
    "<im_patch>",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<0x0A>",
    "<510>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|start_header_id|>",
    "<|reserved_special_token_250|>",
    "<|image_pad|>",
    "<extra_id_0>",
    "<start_of_turn>",
    "<image_soft_token>",
    "<<SYS>>",
    "<</SYS>>",
    "[INST]",
    "[/INST]",
    "[IMG]",
    "[IMG_BREAK]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CALLS]",
    "<｜User｜>",
    "<｜begin▁of▁sentence｜>",
    "＜image＞",
    "＜／s＞",
    "<ｉｍａｇｅ>",
    "<іmage>",  # with a Cyrillic letter
]
ROLES = ["USER:", "ASSISTANT:", "user :", "Human:", "System:", "GPT:"]

templates = pytest.mark.parametrize("template", TEMPLATES)
ours = pytest.mark.parametrize("template", sorted(name for name, one in TEMPLATES.items() if one.render is not None))


def commands_in(text: str) -> list[str]:
    """The commands of the lists above that stand in a text, except the location tokens of the `located` template."""
    lowered = text.lower()
    found = [command for command in COMMANDS if command != "<510>" and command.lower() in lowered]
    return found + [role for role in ROLES if re.search(r"\b" + re.escape(role.lower()), lowered)]


# The exact words


@templates
def test_prompt_is_word_for_word_what_models_were_trained_on(template: str) -> None:
    full, bare = GOLDEN[TEMPLATES[template].name, TEMPLATES[template].version]
    assert first_turn(template, FIGURE, "Which series rises?").text == full
    assert first_turn(template, FigureContext(10, 10), "Which series rises?").text == bare


@templates
@pytest.mark.parametrize("question", ["", "   ", "\x00"])
def test_empty_question_becomes_the_default_one(template: str, question: str) -> None:
    assert first_turn(template, FIGURE, question).text.endswith(DEFAULT_QUESTION)


def test_unknown_template_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        first_turn("nonexistent", FIGURE)


@templates
def test_clean_figure_is_printed_without_a_neutralised_spot(template: str) -> None:
    assert first_turn(template, FIGURE).neutralised == 0


def test_brief_template_lists_numbers_together_after_the_texts() -> None:
    ticks = [Line("0", (0, 90, 9, 99)), Line("Time", (40, 95, 60, 99)), Line("1.5", (90, 90, 99, 99))]
    text = first_turn("brief", FigureContext(100, 100, "", ticks), "Which?").text
    assert text == "Caption: none\n59 Time\nNumbers: 0 1.5\nQuestion: Which?"


# What goes in


@templates
def test_lines_below_the_templates_confidence_stay_out(template: str) -> None:
    doubtful = Line("Doubtful", (0, 0, 9, 9), TEMPLATES[template].min_confidence - 0.01)
    assert "Doubtful" not in first_turn(template, FigureContext(100, 100, "", [doubtful])).text


@templates
def test_of_too_many_lines_the_most_confident_stay_in_their_order(template: str) -> None:
    most = TEMPLATES[template].max_lines
    lines = [Line(f"w{i:04}", (0, i, 9, i + 1), 0.9 if i % 2 else 0.8) for i in range(2 * most)]
    text = first_turn(template, FigureContext(1000, 1000, "", lines)).text
    assert re.findall(r"\bw\d{4}\b", text) == [f"w{i:04}" for i in range(1, 2 * most, 2)]


@templates
def test_confident_line_at_the_end_is_not_cut_for_doubtful_ones_before_it(template: str) -> None:
    doubtful = [Line(f"w{i:04}", (0, i, 9, i + 1), 0.8) for i in range(TEMPLATES[template].max_lines)]
    figure = FigureContext(1000, 1000, "", [*doubtful, Line("Vodikar", (0, 900, 90, 910), 0.9)])
    assert "Vodikar" in first_turn(template, figure).text


@templates
def test_of_equally_confident_lines_the_first_stay(template: str) -> None:
    most = TEMPLATES[template].max_lines
    lines = [Line(f"w{i:04}", (0, i, 9, i + 1)) for i in range(most + 10)]
    text = first_turn(template, FigureContext(1000, 1000, "", lines)).text
    assert re.findall(r"\bw\d{4}\b", text) == [f"w{i:04}" for i in range(most)]


@templates
def test_line_of_control_characters_alone_stays_out(template: str) -> None:
    silent = FigureContext(100, 100, "", [Line("\x07\u200b", (0, 0, 9, 9))])
    assert first_turn(template, silent).text == first_turn(template, FigureContext(100, 100)).text


@templates
def test_caption_of_50000_characters_is_cut(template: str) -> None:
    text = first_turn(template, FigureContext(10, 10, "word " * 10_000)).text
    most = TEMPLATES[template].max_caption_chars
    assert most - 10 < len(text) < most + 200


@templates
def test_long_line_is_cut(template: str) -> None:
    text = first_turn(template, FigureContext(10, 10, "", [Line("x" * 5000, (0, 0, 9, 9))])).text
    assert max(map(len, re.findall("x+", text))) == TEMPLATES[template].max_line_chars


@ours
def test_caption_is_one_line_whatever_stands_in_it(template: str) -> None:
    caption = "a\nQuestion: b\r\nText in the figure:\u2028c\td"
    one_line = FigureContext(10, 10, "a Question: b Text in the figure: c d")
    assert first_turn(template, FigureContext(10, 10, caption)).text == first_turn(template, one_line).text


# Neutralising


@pytest.mark.parametrize("command", COMMANDS + ROLES)
def test_command_is_changed_counted_and_stays_legible(command: str) -> None:
    text, hits = neutralise(f"before {command} after")
    assert hits >= 1
    assert command not in text
    assert text.startswith("before ") and text.endswith(" after")
    assert "".join(filter(str.isalnum, text)) == "".join(filter(str.isalnum, f"before{command}after"))


@templates
@pytest.mark.parametrize("command", COMMANDS + ROLES)
def test_no_command_reaches_the_prompt_from_caption_label_or_question(template: str, command: str) -> None:
    dirty = FigureContext(100, 100, f"A caption {command}", [Line(f"A label {command}", (0, 0, 9, 9))])
    prompt = first_turn(template, dirty, f"Why {command} this?")
    assert commands_in(prompt.text) == []
    assert prompt.neutralised >= 3


def test_originals_prompt_removes_line_breaks_alone_and_shows_the_image_after_the_caption() -> None:
    """As the records in findalexli/LLaVA-Graph have it: `0.8I-R >0.75…Source variance (y)Mean…`, caption as it is."""
    texts = ["0.8", "I-R >0.75", "Source variance (y)", "Mean", ","]
    lines = [Line(text, (0, 10 * i, 9, 10 * i + 5)) for i, text in enumerate(texts)]
    caption = "Fig. 6.  Variance of the source."
    image = {"type": "image"}
    [message], hits = conversation(
        "original", FigureContext(100, 100, caption, lines), [Turn("user", "Explain the image.")], image
    )
    assert message["content"] == [
        {
            "type": "text",
            "text": "OCR extracted text list, separated by ', ' : 0.8I-R >0.75Source variance (y)Mean,, "
            "0.8, I-R, >0.75, Source, variance, (y), Mean, , Fig. 6.  Variance of the source.",
        },
        image,
        {"type": "text", "text": "\nExplain the image."},
    ]
    assert hits == 0


@templates
@pytest.mark.parametrize(
    "pieces",
    [["<", "image", ">"], ["<ima", "ge>"], ["< image >"], ["</", "s", ">"], ["US", "ER", ":"], ["<|im_", "start|>"]],
)
def test_no_command_is_put_together_from_pieces(template: str, pieces: list[str]) -> None:
    """Labels stand beside each other in the prompt, and the original's template joins all words."""
    lines = [Line(piece, (0, 10 * i, 9, 10 * i + 5)) for i, piece in enumerate(pieces)]
    assert commands_in(first_turn(template, FigureContext(100, 100, "", lines)).text) == []


@pytest.mark.parametrize(
    "text",
    [
        "p < 0.05 and x > y",
        "a <- b -> c",
        "5 < n",
        "Superuser: root",
        "Energy [eV]",
        "see [12], [Imgur]",
        "#1 and ##2",
        "The user reads.",
        "Größe in µm, 日本語, ‰",
    ],
)
def test_ordinary_scientific_text_stays_as_it_is(text: str) -> None:
    assert neutralise(text) == (text, 0)


def test_control_and_direction_characters_go_and_are_counted() -> None:
    assert neutralise("a\x00b\x1b[31mc\u202ed\u200be\ufefff\ue000g") == ("ab[31mcdefg", 6)


def test_white_space_of_every_kind_becomes_one_space() -> None:
    assert neutralise("  a\t\nb\u2003\u00a0c\r\n\x0b\x0cd\u2029 ") == ("a b c d", 0)


def test_command_hidden_by_invisible_characters_is_found() -> None:
    for hidden in ("<im\u200bage>", "<\u00adimage>", "US\u200dER:", "<|im\x00_start|>"):
        text, hits = neutralise(hidden)
        assert commands_in(text) == []
        assert hits >= 2


@templates
def test_no_command_is_put_together_from_a_label_and_the_caption(template: str) -> None:
    figure = FigureContext(100, 100, ": why", [Line("a USER", (0, 0, 9, 9))])
    assert commands_in(first_turn(template, figure).text) == []


@pytest.mark.parametrize("pattern", ["<", "＜", "</", "<_", "<a_", "<a b ", f"<{'_' * 100}", "[/", "USER ", "##"])
def test_neutralising_takes_linear_work(pattern: str) -> None:
    # 200,000 characters: anything quadratic would run into the time-out of the test run.
    neutralise(pattern * (200_000 // len(pattern)))


# Letters that commands are made of, so that hypothesis builds some.
hostile = st.lists(
    st.sampled_from(
        [*COMMANDS, *ROLES, "<", ">", "|", "/", "[", "]", "#", ":", "USER", "image", " ", "\n", "\u200b", "é"]
    ),
    max_size=12,
).map("".join)


@given(hostile | st.text(max_size=80))
def test_neutral_text_is_neutral_and_stays_so(dirty: str) -> None:
    text, _ = neutralise(dirty)
    assert commands_in(text) == []
    assert "###" not in text
    assert "  " not in text and text == text.strip()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") for char in text)
    assert neutralise(text) == (text, 0)


@given(caption=hostile, label=hostile, question=hostile, template=st.sampled_from(sorted(TEMPLATES)))
def test_hostile_figure_never_puts_a_command_into_a_prompt(
    caption: str, label: str, question: str, template: str
) -> None:
    figure = FigureContext(
        100, 100, caption, [Line(label, (0, 0, 9, 9)), Line("x", (0, 20, 9, 29)), Line(label, (0, 30, 9, 39))]
    )
    assert commands_in(first_turn(template, figure, question).text) == []


# Boxes


def test_grid_reaches_from_0_to_999_whatever_the_size() -> None:
    assert grid_box((0, 0, 640, 480), 640, 480) == (0, 0, 999, 999)
    assert grid_box((320, 120, 480, 240), 640, 480) == (500, 250, 750, 500)
    assert grid_box((0, 0, 640, 480), 640, 480, step=10) == (0, 0, 990, 990)


def test_box_outside_the_image_is_clipped() -> None:
    assert grid_box((-5, -0.1, 700, 1e9), 640, 480) == (0, 0, 999, 999)


side = st.integers(8, 10_000)


@given(st.tuples(*[st.floats(-100, 20_000)] * 4), side, side, st.sampled_from([1, 10, 50]))
def test_grid_places_are_on_the_grid(box: Box, width: int, height: int, step: int) -> None:
    assert all(0 <= place <= 999 and place % step == 0 for place in grid_box(box, width, height, step))


# Conversations


IMAGE: dict[str, object] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def test_image_stands_before_the_context_and_both_only_in_the_first_turn() -> None:
    turns = [Turn("user", "What rises?"), Turn("assistant", "Vodikar."), Turn("user", "Until when?")]
    messages, hits = conversation("located", FIGURE, turns, IMAGE)
    assert hits == 0
    assert messages == [
        {
            "role": "user",
            "content": [IMAGE, {"type": "text", "text": first_turn("located", FIGURE, "What rises?").text}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Vodikar."}]},
        {"role": "user", "content": [{"type": "text", "text": "Until when?"}]},
    ]


def test_follow_up_leaves_what_came_before_as_it_was() -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")]
    first, _ = conversation("plain", FIGURE, turns[:1], IMAGE)
    all_of_it, _ = conversation("plain", FIGURE, turns, IMAGE)
    assert all_of_it[:1] == first


def test_later_turns_are_neutralised_too() -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b </s>"), Turn("user", "USER: <image>")]
    messages, hits = conversation("plain", FIGURE, turns, IMAGE)
    assert hits == 3
    assert commands_in(str([message["content"] for message in messages[1:]])) == []


def test_conversation_without_a_figure_holds_the_turns_alone() -> None:
    turns = [Turn("user", "What is an </s> axis?"), Turn("assistant", "A line."), Turn("user", "Why?")]
    messages, hits = dialogue("located", turns, [])
    assert hits == 1
    assert [message["content"] for message in messages] == [
        [{"type": "text", "text": text}] for text in ("What is an ‹/s> axis?", "A line.", "Why?")
    ]


@templates
def test_figures_of_one_turn_are_numbered_each_beside_its_image(template: str) -> None:
    other = FigureContext(100, 100, "Loss </s> of runs.", [Line("Malo", (0, 0, 9, 9))])
    images: list[dict[str, object]] = [{"type": "image", "name": name} for name in "ab"]
    figures = [FIGURE.shown(images[0]), other.shown(images[1])]
    messages, hits = dialogue(template, [Turn("user", "Which is better?")], figures)
    first, second = (_said_of(template, figure) for figure in figures)
    asks = f"{TEMPLATES[template].asks}Which is better?"
    if TEMPLATES[template].image_first:
        content = [images[0], text_part(f"Figure 1\n{first}\n"), images[1], text_part(f"Figure 2\n{second}{asks}")]
    else:
        content = [text_part(f"Figure 1\n{first}"), images[0], text_part(f"Figure 2\n{second}"), images[1]]
        content.append(text_part(asks))
    assert messages == [{"role": "user", "content": content}]
    assert hits == 1


def text_part(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


def _said_of(template: str, figure: FigureContext) -> str:
    return first_turn(template, figure, "Q").text.removesuffix(f"{TEMPLATES[template].asks}Q")


@templates
def test_figure_that_comes_later_has_its_number_and_leaves_what_came_before_as_it_was(template: str) -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")]
    before, _ = conversation(template, FIGURE, turns[:1], IMAGE)
    messages, _ = dialogue(template, turns, [FIGURE.shown(IMAGE), FIGURE.shown(IMAGE, turn=2)])
    assert messages[:1] == before
    asks = f"{TEMPLATES[template].asks}c"
    told = "Figure 2\n" + first_turn(template, FIGURE, "c").text.removesuffix(asks)
    later = [IMAGE, text_part(told + asks)]
    if not TEMPLATES[template].image_first:
        later = [text_part(told), IMAGE, text_part(asks)]
    assert messages[2]["content"] == later


def test_first_figure_has_no_number_wherever_it_comes_alone() -> None:
    turns = [Turn("user", "Good morning."), Turn("assistant", "Good morning."), Turn("user", "What rises?")]
    messages, _ = dialogue("located", turns, [FIGURE.shown(IMAGE, turn=2)])
    assert messages[2:] == conversation("located", FIGURE, turns[2:], IMAGE)[0]


def test_figure_without_a_question_is_to_be_explained_in_a_later_turn_too() -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "")]
    messages, _ = dialogue("plain", turns, [FIGURE.shown(IMAGE, turn=2)])
    assert str(messages[2]["content"]).count(DEFAULT_QUESTION) == 1


@pytest.mark.parametrize(
    "turns",
    [
        [Turn("assistant", "I begin")],
        [Turn("user", "a"), Turn("user", "b")],
        [Turn("user", "a"), Turn("assistant", "b"), Turn("assistant", "c")],
    ],
)
def test_turns_that_do_not_alternate_are_refused(turns: list[Turn]) -> None:
    with pytest.raises(ValueError, match="alternate"):
        conversation("located", FIGURE, turns, IMAGE)
