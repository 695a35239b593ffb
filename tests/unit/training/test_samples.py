"""The stream of batches: order, grouping, ranks, resuming, and what is counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from llava_graph.context import Turn
from tests.fakes.llama_vocabulary import V1_ADDED, llama_tokenizer
from tests.unit.training.toy_llava import png, processor, row, turns, write_list_json, write_shards
from training.collator import Batch, PaddingCollator, take
from training.counts import KINDS, lines
from training.encoding import IGNORED, Encoder
from training.errors import StreamError
from training.images import Images
from training.samples import SampleStream, StreamSettings
from training.sources import ListJson, Shards, Source
from training.templates import START_END, TEMPLATES

IMAGE = png(40, 30)
WORDS = ("time", "axis", "curve", "peaks", "the")
ROWS = 40
PACKED_LENGTH = 160

Named = list[tuple[str, ...]]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["bair_v1"], 64, START_END)


@pytest.fixture(scope="module")
def images(encoder: Encoder) -> Images:
    return Images.of(processor(encoder.tokenizer))  # type: ignore[arg-type]


def conversations() -> list[tuple[str, tuple[Turn, ...], bytes | None]]:
    """Every fourth of text alone; lengths from short to long, in no order."""
    made: list[tuple[str, tuple[Turn, ...], bytes | None]] = []
    for i in range(ROWS):
        answer = " ".join(WORDS[(i + j) % 5] for j in range(1 + i * 7 % 20))
        with_image = i % 4 != 0
        question = "<image>\nAnd the axis?" if with_image else "And the curve?"
        made.append((f"s{i:02}", turns(question, answer), IMAGE if with_image else None))
    return made


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    write_shards(folder, conversations(), shards=3)
    return folder


def ids(batches: Iterator[Batch] | Sequence[Batch]) -> list[list[str]]:
    return [[sample.id for packed in batch.rows for sample in packed] for batch in batches]


def stream(source: Source, encoder: Encoder, images: Images, rows: int = 2, **settings: object) -> SampleStream:
    chosen = replace(StreamSettings(rows, window=2), **settings)  # type: ignore[arg-type]
    if chosen.packing:
        encoder = replace(encoder, max_length=PACKED_LENGTH)
    return SampleStream(source, encoder, images, chosen)


def test_each_sample_comes_once_an_epoch_and_what_fills_up_learns_nothing(
    shards: Path, encoder: Encoder, images: Images
) -> None:
    finite = stream(Shards(shards, 1), encoder, images, rows=4, epochs=1)
    batches = list(finite)
    assert finite.count_batches() == 0, "it stands at its end"
    fresh = stream(Shards(shards, 1), encoder, images, rows=4, epochs=1)
    assert fresh.count_batches() == len(batches)
    assert all(len(batch.rows) == 4 for batch in batches)
    learned = Counter(
        sample.id for batch in batches for (sample,) in batch.rows if any(label != IGNORED for label in sample.labels)
    )
    assert learned == Counter(f"s{i:02}" for i in range(ROWS))


def test_seed_and_epoch_decide_the_order(shards: Path, encoder: Encoder, images: Images) -> None:
    def order(seed: int) -> list[list[str]]:
        return ids(stream(Shards(shards, seed), encoder, images, epochs=1, seed=seed))

    assert order(1) == order(1)
    assert order(1) != order(2)
    endless = ids(islice(stream(Shards(shards, 1), encoder, images), ROWS))
    flat = [name for batch in endless for name in batch]
    assert flat[:ROWS] != flat[ROWS:]
    # What waits at the end of an epoch comes with the next.
    assert set(Counter(flat).values()) <= {1, 2, 3}


def test_images_and_text_alone_are_never_in_one_batch_and_lengths_are_alike(
    shards: Path, encoder: Encoder, images: Images
) -> None:
    batches = list(stream(Shards(shards, 1), encoder, images, rows=4, window=8, epochs=1))
    for batch in batches:
        assert len({sample.modality for (sample,) in batch.rows}) == 1
        assert all((sample.pixels is not None) == sample.has_image for (sample,) in batch.rows)

    def waste(grouped: list[list[int]]) -> float:
        return 1 - sum(map(sum, grouped)) / sum(4 * max(group) for group in grouped)

    lengths = [[sample.length for (sample,) in batch.rows] for batch in batches]
    in_order = [length for group in lengths for length in group]
    mixed = [[in_order[i] for i in range(start, len(in_order), len(lengths))] for start in range(len(lengths))]
    assert waste(lengths) < waste(mixed) / 2


@pytest.mark.parametrize("packing", [False, True])
def test_two_ranks_train_together_on_what_one_trains_on(
    shards: Path, encoder: Encoder, images: Images, packing: bool
) -> None:
    source = Shards(shards, 1)
    alone = islice(stream(source, encoder, images, rows=4, packing=packing), 8)
    ranks = [ids(islice(stream(source, encoder, images, world=2, rank=rank, packing=packing), 8)) for rank in range(2)]
    for whole, first, second in zip(ids(alone), *ranks, strict=True):
        assert sorted(first + second) == sorted(whole)


@pytest.mark.parametrize("packing", [False, True])
def test_position_of_any_batch_goes_on_with_the_next(
    shards: Path, encoder: Encoder, images: Images, packing: bool
) -> None:
    source = Shards(shards, 1)
    count = 12 if packing else 30
    unbroken = list(islice(stream(source, encoder, images, packing=packing), count))
    for batch, rest in [(unbroken[i], unbroken[i + 1 :]) for i in range(0, count - 2, 3)]:
        again = stream(Shards(shards, 1), encoder, images, packing=packing)
        again.load_state_dict(json.loads(json.dumps(batch.position)))
        following = list(islice(again, len(rest[:5])))
        assert ids(following) == ids(rest[:5])
        assert [one.position for one in following] == [one.position for one in rest[:5]]


def test_position_is_good_for_another_number_of_ranks(shards: Path, encoder: Encoder, images: Images) -> None:
    source = Shards(shards, 1)
    unbroken = list(islice(stream(source, encoder, images, rows=4), 6))
    halves = []
    for rank in range(2):
        half = stream(source, encoder, images, rows=2, world=2, rank=rank)
        half.load_state_dict(unbroken[2].position)
        halves.append(ids(islice(half, 3)))
    for whole, first, second in zip(ids(unbroken[3:]), *halves, strict=True):
        assert sorted(first + second) == sorted(whole)


def test_position_of_other_data_or_another_global_batch_is_refused(
    shards: Path, encoder: Encoder, images: Images, tmp_path: Path
) -> None:
    position = next(iter(stream(Shards(shards, 1), encoder, images))).position
    with pytest.raises(StreamError, match="global_rows"):
        stream(Shards(shards, 1), encoder, images, rows=3).load_state_dict(position)
    write_shards(tmp_path, conversations()[:8])
    with pytest.raises(StreamError, match="source"):
        stream(Shards(tmp_path, 1), encoder, images).load_state_dict(position)


def test_one_worker_gives_what_the_process_itself_gives_and_several_are_refused(
    shards: Path, encoder: Encoder, images: Images
) -> None:
    source = Shards(shards, 1)
    wanted = list(stream(source, encoder, images, epochs=1))
    collator = PaddingCollator(0)
    loader = DataLoader(stream(source, encoder, images, epochs=1), batch_size=None, num_workers=1, collate_fn=collator)
    collated = [(batch["input_ids"].tolist(), take(batch)[1]) for batch in loader]
    assert collated == [(collator(batch)["input_ids"].tolist(), batch.position) for batch in wanted]
    with pytest.raises(StreamError, match="at most one worker"):
        next(iter(DataLoader(stream(source, encoder, images), batch_size=None, num_workers=2, collate_fn=collator)))


def test_packed_rows_hold_all_samples_within_the_length(shards: Path, encoder: Encoder, images: Images) -> None:
    batches = list(stream(Shards(shards, 1), encoder, images, packing=True, window=8, epochs=1))
    rows = [packed for batch in batches for packed in batch.rows]
    assert all(sum(sample.length for sample in packed) <= PACKED_LENGTH for packed in rows)
    assert any(len(packed) > 1 for packed in rows)
    learned = [sample.id for packed in rows for sample in packed if any(label != IGNORED for label in sample.labels)]
    assert sorted(learned) == [f"s{i:02}" for i in range(ROWS)]
    assert all(len({sample.modality for packed in batch.rows for sample in packed}) == 1 for batch in batches)


def test_what_cannot_be_trained_on_is_counted(encoder: Encoder, images: Images, tmp_path: Path) -> None:
    good = turns("<image>\nAnd the axis?", "time")
    write_shards(
        tmp_path,
        [
            ("good", good, IMAGE),
            ("shown but not there", good, None),
            ("there but not shown", turns("And the axis?", "time"), IMAGE),
            ("twice", turns("<image><image>", "time"), IMAGE),
            ("no answer", (Turn("user", "<image>"),), IMAGE),
            ("text", turns("And the curve?", "peaks"), None),
            ("long", turns("<image>\nAnd the axis?", "the curve " * 60), IMAGE),
            ("far", turns("the axis " * 60 + "<image>", "time"), IMAGE),
        ],
        shards=1,
    )
    batches = list(stream(Shards(tmp_path, None), encoder, images, rows=1, epochs=1))
    assert sorted(name for batch in ids(batches) for name in batch) == ["far", "good", "long", "text"]
    counts = batches[-1].position["counts"]
    assert counts == {
        "image_token_without_image": 1,
        "image_without_image_token": 1,
        "image_token_misplaced": 1,
        "turns_irregular": 1,
        "text_only": 1,
        "cut_at_end": 1,
        "cut_in_prompt": 1,
        "trained": 4,
    }
    assert counts.keys() <= KINDS.keys()
    assert len(lines(counts)) == len(counts)


def test_broken_image_keeps_its_place_and_teaches_nothing(encoder: Encoder, images: Images, tmp_path: Path) -> None:
    good = turns("<image>\nAnd the axis?", "time")
    write_shards(tmp_path, [("good", good, IMAGE), ("broken", good, IMAGE[:90])], shards=1)
    (batch,) = stream(Shards(tmp_path, None), encoder, images, rows=2, epochs=1)
    by_id = {sample.id: sample for (sample,) in batch.rows}
    assert set(by_id["broken"].labels) == {IGNORED}
    assert by_id["broken"].pixels is not None
    assert not by_id["broken"].pixels.any()
    assert set(by_id["good"].labels) != {IGNORED}
    assert batch.position["counts"] == {"image_undecodable": 1, "trained": 1}


def test_data_without_one_usable_sample_stop_the_stream(encoder: Encoder, images: Images, tmp_path: Path) -> None:
    write_shards(tmp_path, [("x", turns("<image>", "time"), None)], shards=1)
    with pytest.raises(StreamError, match="no sample"):
        next(iter(stream(Shards(tmp_path, 1), encoder, images)))
    with pytest.raises(StreamError, match="no shards"):
        Shards(tmp_path / "empty", 1)


def test_list_json_is_streamed_with_its_irregular_rows_counted(
    encoder: Encoder, images: Images, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(IMAGE)
    asked = "<image>\nAnd the axis?"
    write_list_json(
        tmp_path / "chat.json",
        [
            row("a", asked, "time", image="a.png"),
            row("b", asked, "time USER: peaks", image_file="a.png"),
            row("c", asked, "time"),
            row("d", asked, "time", image="missing.png"),
            row("e", "And the curve?", "peaks"),
        ],
    )
    source = ListJson(tmp_path / "chat.json", [tmp_path / "images"], 1)
    assert source.tally.counts["image_token_without_image"] == 1
    assert source.tally.counts["image_file_key"] == 1
    batches = list(stream(source, encoder, images, rows=1, epochs=1))
    assert sorted(name for batch in ids(batches) for name in batch) == ["a", "b", "e"]
    assert batches[-1].position["counts"] == {"image_missing": 1, "text_neutralised": 1, "text_only": 1, "trained": 3}
    again = stream(ListJson(tmp_path / "chat.json", [tmp_path / "images"], 1), encoder, images, rows=1, epochs=1)
    again.load_state_dict(batches[0].position)
    assert ids(iter(again)) == ids(batches[1:])


def test_order_of_a_list_json_changes_with_the_epoch(tmp_path: Path) -> None:
    write_list_json(tmp_path / "chat.json", [row(f"r{i}", "And the curve?", "peaks") for i in range(12)])
    source = ListJson(tmp_path / "chat.json", [], 1)
    orders = [[raw.id for _, raw in source.rows(epoch)] for epoch in range(2)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    tail = [raw.id for _, raw in source.rows(1, next(islice(source.rows(1), 4, None))[0])]
    assert tail == orders[1][5:]
