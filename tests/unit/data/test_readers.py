"""Each reader on a fixture in its format, with the irregularities that the format is known for: each is counted."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from data.errors import FormatError
from data.readers import READERS, Source
from data.readers.base import arxiv_id, figure_reference, without_suffix
from data.readers.scicap_plus import mentions_of
from data.record import Record
from data.tally import Tally
from llava_graph.context import Turn
from tests.fixtures import data as fixtures


def read(name: str, path: Path, **options: object) -> tuple[dict[str, Record], Tally]:
    tally = Tally()
    records = READERS[name].records(Source(path, **options), tally)  # type: ignore[arg-type]
    return {record.id: record for record in records}, tally


def test_llava_json_counts_every_irregularity_and_keeps_the_rest() -> None:
    records, tally = read("llava-json", fixtures.LLAVA_JSON / "chat.json")
    assert tally.counts == {
        "image_file_key": 1,
        "figure_number_dotted": 1,
        "image_token_without_image": 1,
        "text_only": 1,
        "image_without_image_token": 1,
        "leading_answer_dropped": 1,
        "turns_irregular": 2,
        "image_token_misplaced": 1,
        "row_unreadable": 1,
    }
    assert tally.examples["image_token_without_image"] == ["no-image"]
    assert "no-image" not in records
    assert records["text-only"].figure is None
    assert records["391895"].figure is not None


def test_llava_json_takes_image_file_for_the_image() -> None:
    records, _ = read("llava-json", fixtures.LLAVA_JSON / "chat.json")
    figure = records["1801.00001v1-Figure6.1-1"].figure
    assert figure is not None
    assert (figure.name, figure.paper, figure.number) == ("1801.00001v1-Figure6.1-1.png", "1801.00001", "6.1")


def test_llava_json_keeps_the_image_where_it_stands_in_the_question() -> None:
    records, _ = read("llava-json", fixtures.LLAVA_JSON / "chat.json")
    assert records["GCC_train_000000002"].conversations == (
        Turn("user", "Provide a brief description of the given image.\n<image>"),
        Turn("assistant", "two dogs on a beach ."),
    )


def test_cc3m_captions_come_from_the_metadata_and_a_missing_blip_caption_is_counted() -> None:
    records, tally = read(
        "llava-json", fixtures.LLAVA_JSON / "chat.json", metadata=fixtures.LLAVA_JSON / "metadata.json"
    )
    assert records["GCC_train_000000001"].caption == "dogs , a beach"
    assert records["GCC_train_000000002"].caption == "a dog"
    assert tally.examples["blip_caption_missing"] == ["GCC_train_000000002"]


def test_scicap_folder_layout() -> None:
    records, tally = read("scicap", fixtures.SCICAP)
    assert tally.counts == {"figure_number_dotted": 2, "caption_number_differs": 1, "row_unreadable": 1}
    assert tally.examples["row_unreadable"] == ["Train/1001.0009v1-Figure1-1.json"]
    assert tally.examples["caption_number_differs"] == ["1001.0004v1-Figure3-1"]
    first = records["1001.0001v1-Figure2-1"]
    assert (first.caption, first.texts) == ("Figure 2: Power over time.", ("power", "time", ","))
    assert first.split == "train"
    assert [record.split for record in records.values()].count("test") == 2


def test_scicap_array_layout() -> None:
    records, tally = read("scicap", fixtures.SCICAP_ARRAYS)
    assert {record.id: record.split for record in records.values()} == {
        "1001.0001v1-Figure2-1": "train",
        "1001.0004v1-Figure3-1": "val",
    }
    assert tally.counts == {"row_unreadable": 1}
    one, _ = read("scicap", fixtures.SCICAP_ARRAYS / "SciCap-Caption-All-val.json")
    assert list(one) == ["1001.0004v1-Figure3-1"]


def test_challenge_joins_its_tables_by_image_and_restores_arxiv_ids() -> None:
    folder = fixtures.SCICAP_CHALLENGE
    records, tally = read(
        "scicap-challenge", folder / "train.json", metadata=folder / "train-metadata.json", split="train"
    )
    papers = {record.id: (record.figure.name, record.paper) for record in records.values() if record.figure}
    assert papers == {
        "11-1": ("000000000011.png", "1010.5520"),
        "12-2": ("000000000012.png", "0704.0001"),
        "13-3": ("000000000013.png", "1501.00010"),
    }
    assert records["11-1"].texts == ("power", "11")
    assert len(records["11-1"].paragraphs) == len(records["11-1"].mentions) == 2
    assert tally.counts == {
        "arxiv_id_numeric": 3,
        "row_unreadable": 2,
        "mentions_unknown": 1,
        "mentions_not_parallel": 1,
        "image_missing": 1,
        "metadata_without_record": 1,
    }


def test_challenge_s_public_test_has_no_captions() -> None:
    records, tally = read("scicap-challenge", fixtures.SCICAP_CHALLENGE / "public-test.json", split="test")
    assert records["11-1"].caption == ""
    assert tally.counts == {"caption_missing": 1, "paper_unknown": 1}


def test_scicap_plus_takes_mentions_in_each_assumed_form() -> None:
    records, tally = read("scicap-plus", fixtures.SCICAP_PLUS)
    with_paragraph = [record for record in records.values() if record.paragraphs]
    assert len(with_paragraph) == 12
    assert all(record.paragraphs[0].startswith("As Fig. ") for record in with_paragraph)
    assert tally.counts == {"mentions_unreadable": 1, "mentions_unknown": 1}
    first = records["1002.0000v1-Figure1-1"]
    assert first.figure is not None
    assert first.figure.name == "train/1002.0000v1-Figure1-1.png"
    assert first.mentions == (("As Fig. 1 shows, the power first rises.",),)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"mentions": ["a", "b"], "paragraphs": ["p", "q"]}, ((("a",), ("b",)), ("p", "q"))),
        ({"mention": "a", "paragraph": "p"}, ((("a",),), ("p",))),
        ({"paragraph": ["p", " "]}, ((), ("p",))),
        ([{"mention": ["a", "b"], "paragraph": "p"}, {"paragraph": "q"}], ((("a", "b"), ()), ("p", "q"))),
        (["p"], ((), ("p",))),
    ],
)
def test_mentions_in_an_assumed_form(value: object, expected: object) -> None:
    assert mentions_of(value) == expected


@pytest.mark.parametrize("value", [7, {"text": "p"}, {"paragraph": 7}, [["p"]], {"mention": {"a": 1}}])
def test_mentions_in_another_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        mentions_of(value)


def test_scigraphqa_keeps_line_breaks_and_counts_dropped_questions() -> None:
    records, tally = read("scigraphqa", fixtures.SCIGRAPHQA)
    first = records["1801.00001v2-Figure10-1"]
    assert first.title == "Learning from a Single\n  Sample"
    assert first.paragraphs == ("Figure 10 compares both models when only few labels are known to them.",)
    assert len(first.conversations) == 4
    assert first.conversations[0].text == "What does the graph show?\n<image>"
    numbers = [record.figure.number for record in records.values() if record.figure]
    assert numbers == ["10", "6.1", "10-7"]
    assert tally.counts == {
        "questions_dropped_at_source": 1,
        "figure_number_dotted": 2,
        "image_without_image_token": 1,
    }


def test_synthetic_texts_are_lines_and_the_explanation_is_the_paragraph() -> None:
    records, tally = read("synthetic", fixtures.SYNTHETIC)
    assert tally.counts == {}
    assert list(records) == ["train-0000000", "train-0000001", "train-0000002"]
    for record in records.values():
        assert record.figure is not None
        assert record.figure.width > 0
        assert record.lines
        assert record.paragraphs
        assert record.figure_type


@pytest.mark.parametrize("name", sorted(READERS))
def test_source_in_another_format_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "source"
    if name in ("llava-json", "scicap-challenge", "scigraphqa"):
        path.write_text('{"a": 1}', encoding="utf-8")
    else:
        path.mkdir()
    with pytest.raises(FormatError, match="source"):
        read(name, path)


@pytest.mark.parametrize("name", ["llava-json", "scicap-challenge"])
def test_json_that_breaks_off_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text('[{"id": "a", "conversations"', encoding="utf-8")
    with pytest.raises(FormatError, match=r"source\.json"):
        read(name, path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1010.5526"), "1010.5526"),
        (Decimal("1010.552"), "1010.5520"),
        (Decimal("704.0001"), "0704.0001"),
        (Decimal("1501.0001"), "1501.00010"),
        (1412, "1412.0000"),
        ("1501.00010v3", "1501.00010"),
        ("hep-th/9901001v2", "hep-th/9901001"),
        ("1010.55261", None),
        ("a figure", None),
        (None, None),
    ],
)
def test_arxiv_ids(value: object, expected: str | None) -> None:
    assert arxiv_id(value, "r", Tally()) == expected


@pytest.mark.parametrize(
    ("name", "paper", "number"),
    [
        ("1001.0025v1-Figure2-1.png", "1001.0025", "2"),
        ("train/1801.01974v2-Figure10-1.png", "1801.01974", "10"),
        ("1202.3335v1-Figure10-7-1.png", "1202.3335", "10-7"),
        ("1202.3335v1-Figure6.1-1", "1202.3335", "6.1"),
        ("1202.3335v1-FigureA.2-1.png", "1202.3335", "A.2"),
        ("GCC_train_000000001.jpg", None, None),
    ],
)
def test_figure_names(name: str, paper: str | None, number: str | None) -> None:
    figure = figure_reference(name, "r", Tally())
    assert (figure.name, figure.paper, figure.number) == (name, paper, number)


def test_suffix_of_a_dotted_figure_number_is_not_taken_for_the_image_s() -> None:
    assert without_suffix("x-Figure6.1-1") == "x-Figure6.1-1"
    assert without_suffix("x-Figure6.1-1.png") == "x-Figure6.1-1"
