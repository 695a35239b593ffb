"""Writes samples as LLaVA's list-JSON, which the original's training code and many others read: one JSON array, and
images.

The array is written row by row, so it may be larger than memory. Images go into a folder or, where 400,000 files would
be in the way, into an uncompressed zip archive. `image` holds the path below either.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

from data.errors import ShardError
from data.shards import rows_of, shard_paths


def export_llava_json(
    samples: Path,
    target: Path,
    images: Path | None,
    progress: Callable[[int], None] = lambda _done: None,
) -> int:
    """Writes the samples of a split's folder to the file `target`; returns how many. Raises ShardError.

    `images` is a folder, or a path that ends in `.zip`, or None to write none. Under two samples with the same image
    name and other bytes, the second is refused: a name in the JSON would mean two images.
    """
    partial = target.with_name(target.name + ".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}
    count = 0
    with ExitStack() as stack:
        file = stack.enter_context(partial.open("w", encoding="utf-8"))
        archive = None
        if images is not None and images.suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(images, "w", zipfile.ZIP_STORED))
        for shard in shard_paths(samples):
            for row in rows_of(shard):
                file.write("[\n" if count == 0 else ",\n")
                file.write(json.dumps(_entry(row), ensure_ascii=False))
                count += 1
                if images is not None and row["image"] is not None:
                    _write_image(row, images, archive, written)
                if count % 1000 == 0:
                    progress(count)
        file.write("\n]\n" if count else "[]\n")
    partial.replace(target)
    progress(count)
    return count


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": row["id"]}
    if row["image"] is not None:
        entry["image"] = row["image"]["path"]
    entry["conversations"] = row["conversations"]
    return entry


def _write_image(row: dict[str, Any], images: Path, archive: zipfile.ZipFile | None, written: dict[str, int]) -> None:
    name, content = row["image"]["path"], row["image"]["bytes"]
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ShardError(f"{row['id']}: the image name {name!r} leads out of the folder")
    if content is None:
        raise ShardError(f"{row['id']}: the shard holds no image")
    known = hash(content)
    if name in written:
        if written[name] != known:
            raise ShardError(f"{row['id']}: another image is named {name!r} as well; export the sources one by one")
        return
    written[name] = known
    if archive is not None:
        archive.writestr(name, content)
        return
    file = images / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
