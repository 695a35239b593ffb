"""Training figures on disk: rendered once, squeezed to the vision tower's size, read through a memory map.

A folder holds `pixels.npy` (uint8, [N, IMAGE_SIDE, IMAGE_SIDE, 3]), `figures.jsonl` (seed, size and true text boxes,
one row a figure) and `about.json` (split and seeds). The spec of a figure is not stored: it follows from its seed.
Nothing here knows captions, answers or tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from data.synthetic.spec import FigureSpec, TextBox
from data.synthetic.words import Split

IMAGE_SIDE = 240
"""Pixels; figures are squeezed to a square of this side, in training here and in serving by the exported processor."""

FIGURES_A_TASK = 64
"""So many are drawn before they are handed over."""


def squeeze(image: Image.Image) -> npt.NDArray[np.uint8]:
    """What the exported image processor makes of a figure before it normalises, uint8 [IMAGE_SIDE, IMAGE_SIDE, 3]."""
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class StoredFigure:
    """`width` and `height` are those of the figure as it was rendered; `texts` are in its pixels."""

    seed: int
    width: int
    height: int
    texts: tuple[TextBox, ...]
    spec: FigureSpec


def _render_range(split: Split, start: int, count: int) -> tuple[npt.NDArray[np.uint8], list[str]]:
    pixels = np.empty((count, IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    rows = []
    for i in range(count):
        rendered = render(sample_figure(start + i, split))
        pixels[i] = squeeze(rendered.image)
        texts = [astuple(text) for text in rendered.texts]
        rows.append(json.dumps({"seed": start + i, "size": rendered.image.size, "texts": texts}, ensure_ascii=False))
    return pixels, rows


def write_figures(folder: Path, split: Split, start: int, count: int, processes: int) -> Iterator[int]:
    """Render figures `start`..`start + count - 1` into `folder`; yields the number done after each batch."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, IMAGE_SIDE, IMAGE_SIDE, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    tasks = [(start + i, min(FIGURES_A_TASK, count - i)) for i in range(0, count, FIGURES_A_TASK)]
    done = 0
    with ProcessPoolExecutor(processes) as pool, (folder / "figures.jsonl").open("w", encoding="utf-8") as rows_file:
        parts = pool.map(_render_range, [split] * len(tasks), [t[0] for t in tasks], [t[1] for t in tasks])
        for part, rows in parts:
            pixels[done : done + len(rows)] = part
            rows_file.writelines(row + "\n" for row in rows)
            done += len(rows)
            yield done
    pixels.flush()
    # Written last: a folder without it is not complete, and `Figures` refuses it.
    (folder / "about.json").write_text(json.dumps({"split": split, "start": start, "count": count}) + "\n")


class Figures:
    """The figures of one folder. Rows are parsed when they are asked for: 60,000 of them are 150 MB of JSON.

    Raises FileNotFoundError for a folder that `write_figures` did not finish.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "about.json").read_text())
        self.split: Split = about["split"]
        self.pixels: npt.NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r")
        self._rows = (folder / "figures.jsonl").read_text(encoding="utf-8").splitlines()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> StoredFigure:
        row = json.loads(self._rows[index])
        texts = tuple(TextBox(text, tuple(box), *rest) for text, box, *rest in row["texts"])
        width, height = row["size"]
        return StoredFigure(row["seed"], width, height, texts, sample_figure(row["seed"], self.split))
