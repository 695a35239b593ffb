"""`llava-graph data` from the raw fixtures to shards, as somebody would type it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from data.build.splits import shared_groups
from data.cli import main
from data.readers import READERS
from data.shards import record_of, rows_of, shard_paths
from llava_graph.ocr import Line
from tests.fakes import figure_reader
from tests.fixtures import data as fixtures
from tests.paths import MODEL_REPO, REPOSITORY

TOKENIZER = str(MODEL_REPO / "llava-graph-tiny" / "tokenizer.json")
SOURCES = {
    "llava-json": ("llava_json/chat.json", "llava_json/images"),
    "scicap": ("scicap", "scicap/SciCap-No-Subfig-Img/Train"),
    "scicap-challenge": ("scicap_challenge/train.json", "scicap_challenge/img-split"),
    "scicap-plus": ("scicap_plus", "scicap_plus/imgs"),
    "scigraphqa": ("scigraphqa", "scigraphqa/img"),
    "synthetic": ("synthetic", "synthetic"),
}


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def read(name: str, out: Path, *options: object) -> Result:
    source, images = SOURCES[name]
    return run("read", name, fixtures.HERE / source, "--images", fixtures.HERE / images, "--out", out, *options)


def records(folder: Path) -> dict[str, object]:
    rows = (row for shard in shard_paths(folder) for row in rows_of(shard))
    return {record.id: (record, image) for record, image in map(record_of, rows)}


@pytest.mark.parametrize("name", sorted(READERS))
def test_each_format_is_read_with_its_images(name: str, tmp_path: Path) -> None:
    result = read(name, tmp_path / "out")
    kept = records(tmp_path / "out")
    assert f"{len(kept):,} of " in result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["kept"] == len(kept) > 0
    for kind, count in report["irregular"]["counts"].items():
        assert f"{count} {kind}" in result.output
    for record, image in kept.values():  # type: ignore[misc]
        assert (record.figure is None) == (image is None)
        assert record.figure is None or record.figure.width > 0


def test_formats_are_listed_with_their_licences() -> None:
    output = run("formats").output
    for reader in READERS.values():
        assert f"{reader.name}: " in output
        assert f"licence: {reader.licence}" in output


def test_missing_unsafe_and_broken_images_are_counted_and_left_out(tmp_path: Path) -> None:
    read("llava-json", tmp_path / "out")
    counts = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["irregular"]["counts"]
    kinds = ("image_missing", "image_name_unsafe", "image_undecodable", "id_repeated", "record_repeated")
    assert [counts[kind] for kind in kinds] == [1, 1, 1, 1, 1]
    assert sorted(records(tmp_path / "out")) == [
        "1801.00001v1-Figure6.1-1",
        "391895",
        "GCC_train_000000001",
        "GCC_train_000000001~2",
        "GCC_train_000000002",
        "answer-first",
        "text-only",
    ]


def test_images_are_taken_out_of_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "imgs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (fixtures.SCICAP_PLUS / "imgs").rglob("*.png"):
            file.write(path, Path("imgs") / path.parent.name / path.name)
    run("read", "scicap-plus", fixtures.SCICAP_PLUS, "--images", archive, "--out", tmp_path / "zipped")
    read("scicap-plus", tmp_path / "plain")
    assert records(tmp_path / "zipped") == records(tmp_path / "plain")


def test_titles_come_from_arxiv_s_metadata(tmp_path: Path) -> None:
    result = read("scicap-plus", tmp_path / "out", "--arxiv-metadata", fixtures.ARXIV)
    first, _ = records(tmp_path / "out")["1002.0000v1-Figure1-1"]  # type: ignore[misc]
    assert (first.title, first.abstract) == ("On Machines and Load", "We measure machines.")
    assert "10 title_unknown" in result.output


def test_second_run_does_nothing_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    read("scicap-plus", tmp_path / "out", "--rows-per-shard", 4)
    written = {path.name: path.stat().st_mtime_ns for path in shard_paths(tmp_path / "out")}
    assert len(written) == 4
    read("scicap-plus", tmp_path / "out", "--rows-per-shard", 4)
    assert {path.name: path.stat().st_mtime_ns for path in shard_paths(tmp_path / "out")} == written
    source, images = (fixtures.HERE / part for part in SOURCES["scicap-plus"])
    refused = run("read", "scicap-plus", source, "--images", images, "--out", tmp_path / "out", code=1)
    assert "rows_per_shard: 4 then, 2048 now" in refused.output
    read("scicap-plus", tmp_path / "out", "--overwrite")
    assert len(shard_paths(tmp_path / "out")) == 1


def test_built_samples_have_the_original_s_prompt_and_share_no_paper(tmp_path: Path) -> None:
    read("scicap-plus", tmp_path / "records", "--rows-per-shard", 5)
    options = ("--task", "paragraph", "--prompt", "llava-graph", "--val", 0.3, "--test", 0.3, "--tokenizer", TOKENIZER)
    result = run("build", tmp_path / "records", *options, "--out", tmp_path / "built")
    groups: dict[str, set[str]] = {}
    count = 0
    for split in ("train", "val", "test"):
        for shard in sorted((tmp_path / "built" / split).glob("*.parquet")):
            for row in rows_of(shard):
                count += 1
                groups.setdefault(split, set()).add(row["group"])
                human, answer = row["conversations"]
                assert human["value"].startswith("OCR extracted text list, separated by ', ' : ")
                assert human["value"].count("<image>") == 1
                assert answer["value"].startswith("As Fig. ")
                assert row["image"]["bytes"].startswith(b"\x89PNG")
    assert count == 12
    assert len(groups) > 1
    assert shared_groups(groups) == set()
    assert "2 no_target (left out)" in result.output
    statistics = json.loads((tmp_path / "built" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["unit"] == "tokens"
    assert sum(split["samples"] for split in statistics["splits"].values()) == 12


def test_card_says_what_is_in_the_folder(tmp_path: Path) -> None:
    read("scicap-plus", tmp_path / "records")
    run(
        "build",
        tmp_path / "records",
        "--task",
        "paragraph",
        "--prompt",
        "plain",
        "--splits",
        "source",
        "--out",
        tmp_path / "b",
    )
    written = (tmp_path / "b" / "card.md").read_text(encoding="utf-8")
    assert run("card", tmp_path / "b").output == written
    for part in (
        "| train | 10 | 5 | 10 | scicap-plus 10 |",
        "| test | 2 | 1 | 2 | scicap-plus 2 |",
        "| no_target | 2 | left out |",
        "- scicap-plus: CC BY-NC 4.0",
        "Lengths (words a sample",
        '"prompt": "plain"',
    ):
        assert part in written


def test_leaks_are_dropped_or_kept_as_told_and_counted(tmp_path: Path) -> None:
    paragraph = "The power of the machine rises over time."
    folder = tmp_path / "raw"
    for part, value in (
        ("captions", {"figure-ID": "1002.0000v1-Figure1-1.png", "0-originally-extracted": f"Fig. 1. {paragraph}"}),
        ("mentions_paragraph", [paragraph]),
    ):
        (folder / part / "train").mkdir(parents=True)
        (folder / part / "train" / "1002.0000v1-Figure1-1.json").write_text(json.dumps(value), encoding="utf-8")
    images = fixtures.SCICAP_PLUS / "imgs"
    run("read", "scicap-plus", folder, "--images", images, "--out", tmp_path / "records")
    build = ("build", tmp_path / "records", "--task", "paragraph", "--prompt", "llava-graph", "--test", 0, "--val", 0)
    dropped = run(*build, "--out", tmp_path / "dropped", code=1)
    assert "not one sample" in dropped.output
    kept = run(*build, "--leaks", "keep", "--out", tmp_path / "kept")
    assert "train: 1 samples" in kept.output
    assert "1 leak_whole_target" in kept.output
    assert "| leak_whole_target | 1 | kept |" in (tmp_path / "kept" / "card.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("images", ["images", "images.zip"])
def test_exported_list_json_is_read_back_to_the_same_conversations(images: str, tmp_path: Path) -> None:
    read("llava-json", tmp_path / "records")
    build = ("--task", "conversation", "--prompt", "as-read", "--test", 0, "--val", 0)
    run("build", tmp_path / "records", *build, "--out", tmp_path / "built")
    run("export", tmp_path / "built" / "train", "--out", tmp_path / "x" / "chat.json", "--images", tmp_path / images)
    array = json.loads((tmp_path / "x" / "chat.json").read_text(encoding="utf-8"))
    assert len(array) == 7
    assert [entry["id"] for entry in array if "image" not in entry] == ["text-only"]
    again = (
        "read",
        "llava-json",
        tmp_path / "x" / "chat.json",
        "--images",
        tmp_path / images,
        "--out",
        tmp_path / "again",
    )
    run(*again)
    first, second = records(tmp_path / "records"), records(tmp_path / "again")
    assert first.keys() == second.keys()
    for record_id, (record, image) in first.items():  # type: ignore[misc]
        other, other_image = second[record_id]  # type: ignore[misc]
        assert (record.conversations, image) == (other.conversations, other_image)


def test_synthetic_figures_go_from_drawing_to_samples(tmp_path: Path) -> None:
    run("synthetic", "--count", 2, "--out", tmp_path / "drawn")
    run("read", "synthetic", tmp_path / "drawn", "--images", tmp_path / "drawn", "--out", tmp_path / "records")
    build = ("--task", "paragraph", "--prompt", "located", "--test", 0, "--val", 0)
    run("build", tmp_path / "records", *build, "--out", tmp_path / "built")
    (shard,) = shard_paths(tmp_path / "built" / "train")
    assert all(row["conversations"][0]["value"].startswith("<image>Caption: ") for row in rows_of(shard))


def test_figures_are_read_by_a_callable_and_those_with_lines_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(figure_reader.LOG, str(tmp_path / "log"))
    read("scicap-plus", tmp_path / "records", "--rows-per-shard", 5)
    reader = "tests.fakes.figure_reader:counting"
    result = run("ocr", tmp_path / "records", "--reader", reader, "--processes", 1, "--out", tmp_path / "read")
    assert "14 of 14 figures read; 0 had lines already" in result.output
    for record, image in records(tmp_path / "read").values():  # type: ignore[misc]
        assert record.lines == (Line(figure_reader.text_of(image), (0.0, 0.0, 9.0, 9.0), 0.9),)
    again = run("ocr", tmp_path / "read", "--reader", reader, "--processes", 1, "--out", tmp_path / "again")
    assert "0 of 0 figures read; 14 had lines already" in again.output


def test_figures_that_cannot_be_read_stay_and_are_counted(tmp_path: Path) -> None:
    read("scicap-plus", tmp_path / "records")
    reader = "tests.fakes.figure_reader:failing"
    result = run("ocr", tmp_path / "records", "--reader", reader, "--processes", 1, "--out", tmp_path / "read")
    assert "0 of 14 figures read" in result.output
    assert "14 ocr_failed (kept)" in result.output
    assert "RuntimeError: no model" in result.output
    assert records(tmp_path / "read") == records(tmp_path / "records")


def test_killed_run_asks_again_only_about_what_was_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(figure_reader.LOG, str(log))
    read("scicap-plus", tmp_path / "records", "--rows-per-shard", 4)
    command = ["ocr", str(tmp_path / "records"), "--processes", "1", "--out", str(tmp_path / "read"), "--reader"]
    program = [sys.executable, "-c", "from data.cli import main; main()", *command, "tests.fakes.figure_reader:dying"]
    killed = subprocess.run(
        program, cwd=REPOSITORY, env={**os.environ, figure_reader.LOG: str(log)}, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(log.read_text(encoding="utf-8").splitlines()) == 5
    run(*command, "tests.fakes.figure_reader:counting")
    asked = log.read_text(encoding="utf-8").splitlines()
    assert len(asked) == len(set(asked)) == 14
    run(*command, "tests.fakes.figure_reader:counting", "--overwrite")
    assert len(records(tmp_path / "read")) == 14


@pytest.fixture
def ray_of_one() -> Iterator[None]:
    """Ray with one core, started once: a runner that finds a running Ray uses it."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.timeout(600)  # starting Ray takes a minute on a busy machine
@pytest.mark.usefixtures("ray_of_one")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_ray_makes_the_same_shards_as_processes(tmp_path: Path) -> None:
    for runner in ("plain", "ray"):
        read("scicap-plus", tmp_path / f"records-{runner}", "--rows-per-shard", 5, "--runner", runner)
    build = ("--task", "paragraph", "--prompt", "llava-graph", "--tokenizer", TOKENIZER, "--test", 0.3)
    for runner in ("plain", "ray"):
        run("build", tmp_path / "records-plain", *build, "--runner", runner, "--out", tmp_path / runner)
    assert records(tmp_path / "records-plain") == records(tmp_path / "records-ray")
    plain, ray = (sorted((tmp_path / runner).rglob("*.parquet")) for runner in ("plain", "ray"))
    assert [path.relative_to(tmp_path / "plain") for path in plain] == [
        path.relative_to(tmp_path / "ray") for path in ray
    ]
    for one, other in zip(plain, ray, strict=True):
        assert list(rows_of(one)) == list(rows_of(other))
    statistics = [(tmp_path / runner / "statistics.json").read_text(encoding="utf-8") for runner in ("plain", "ray")]
    assert statistics[0] == statistics[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("read", "coco", "."), "'coco' is none of llava-json"),
        (("read", "scicap", "."), "neither SciCap-Caption-All"),
        (("ocr", "."), "give either --redis-url or --reader"),
        (("ocr", ".", "--reader", "tests.fakes.figure_reader:none"), "no shards"),
        (("build", ".", "--task", "paragraph", "--prompt", "original"), "no shards"),
        (("build", ".", "--task", "paragraph", "--prompt", "mine"), "'mine' is none of llava-graph"),
        (("dialogues", ".", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"), "no shards"),
    ],
)
def test_wrong_use_is_answered_in_words(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output
