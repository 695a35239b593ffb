"""Images by name, from folders and archives; names that lead elsewhere are refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from data.errors import FormatError
from data.images import ImageMissingError, ImagePlaces, UnsafeNameError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    (images / "part").mkdir(parents=True)
    (images / "part" / "a.png").write_bytes(b"a in part")
    (images / "b.png").write_bytes(b"b")
    (images / "COCO_val2014_000000000042.jpg").write_bytes(b"coco")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return images


def zipped(folder: Path) -> Path:
    archive = folder.parent / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, Path("img") / path.relative_to(folder))
    return archive


def test_folder_gives_images_by_path_and_by_last_part(folder: Path) -> None:
    places = ImagePlaces([folder])
    assert places.read("part/a.png") == b"a in part"
    assert places.read("train/b.png") == b"b"
    assert places.read("000000000042.jpg") == b"coco"


def test_archive_gives_images_without_being_unpacked_also_after_a_trip_to_another_process(folder: Path) -> None:
    places = ImagePlaces([zipped(folder)])
    assert places.read("a.png") == b"a in part"
    assert pickle.loads(pickle.dumps(places)).read("img/b.png") == b"b"


def test_places_are_searched_in_order(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.png").write_bytes(b"other b")
    assert ImagePlaces([other, folder]).read("b.png") == b"other b"


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "part/../../secret.png", "a\\b.png", "", "a\0.png"])
def test_name_that_leads_out_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UnsafeNameError):
        ImagePlaces([folder]).read(name)


def test_link_that_leads_out_is_refused(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(UnsafeNameError):
        ImagePlaces([folder]).read("link.png")


def test_missing_image_and_missing_place_are_told_apart(folder: Path) -> None:
    with pytest.raises(ImageMissingError):
        ImagePlaces([folder]).read("c.png")
    with pytest.raises(FormatError, match="neither a folder nor a zip"):
        ImagePlaces([folder / "b.png"])
