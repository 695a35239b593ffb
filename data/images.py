"""Where the images of a data set lie: folders and zip archives, asked by name.

An archive of 400,000 figures is read as it is, without unpacking (its index takes some 200 MB of memory). Archives in
parts (`.z01`, `.z02`, …, `.zip`) must be joined first: `zip -s 0 img-split.zip --out img.zip`. Names come from data
sets of others: one that leads out of the folder is refused. Nothing here decodes an image.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from data.errors import FormatError

_COCO = ("COCO_train2014_", "COCO_val2014_")
"""Instruct-150K names COCO's images as of 2017; the archives of 2014 have the same files with a prefix."""


class ImageMissingError(Exception):
    """No place has an image of this name."""


class UnsafeNameError(Exception):
    """The name is absolute or leads out of the image folder."""


class ImagePlaces:
    """Folders and archives, in the order in which they are searched. Archives are opened at the first question, so an
    instance can be sent to other processes.

    In each place an image is looked for under its whole name, then under its last part, then under COCO's older name.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        """Raises FormatError for a place that is neither a folder nor a zip archive."""
        for place in places:
            if not place.is_dir() and not zipfile.is_zipfile(place):
                raise FormatError(f"{place}: neither a folder nor a zip archive")
        self._places = tuple(places)
        self._archives: dict[Path, tuple[zipfile.ZipFile, dict[str, str]]] = {}

    def __getstate__(self) -> tuple[Path, ...]:
        return self._places

    def __setstate__(self, state: tuple[Path, ...]) -> None:
        self._places = state
        self._archives = {}

    def read(self, name: str) -> bytes:
        """The image's bytes. Raises ImageMissingError, UnsafeNameError, or OSError where a file cannot be read."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.name:
            raise UnsafeNameError(name)
        for place in self._places:
            for candidate in _candidates(path):
                found = self._read(place, candidate)
                if found is not None:
                    return found
        raise ImageMissingError(name)

    def _read(self, place: Path, name: str) -> bytes | None:
        if place.is_dir():
            file = place / name
            # A link out of the folder is as unsafe as a name that leads there.
            if not file.is_file():
                return None
            if not file.resolve().is_relative_to(place.resolve()):
                raise UnsafeNameError(name)
            return file.read_bytes()
        archive, members = self._archive(place)
        member = members.get(name)
        try:
            return None if member is None else archive.read(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise OSError(f"{place}: {member}: {error}") from error

    def _archive(self, place: Path) -> tuple[zipfile.ZipFile, dict[str, str]]:
        if place not in self._archives:
            archive = zipfile.ZipFile(place)
            members = {}
            for member in archive.namelist():
                if not member.endswith("/"):
                    members[member] = member
                    members.setdefault(PurePosixPath(member).name, member)
            self._archives[place] = archive, members
        return self._archives[place]


def _candidates(path: PurePosixPath) -> Iterator[str]:
    yield str(path)
    if len(path.parts) > 1:
        yield path.name
    if path.stem.isdecimal() and len(path.stem) == 12:
        for prefix in _COCO:
            yield prefix + path.name
