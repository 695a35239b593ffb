"""Draws the generator's figures for llava-graph-small into a folder, each once; a run that was stopped goes on.

Half of them are saved as papers and web pages save them (JPEG, smaller), since the readers' errors on such
figures are part of what the model learns. What is true of a figure follows from its seed. Nothing here reads a figure.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from data.synthetic.render import render
from data.synthetic.sample import sample_figure

FIRST_SEED = 100_000
"""Far from the seeds that evaluations draw (1,000,000 and above); the names are of another split as well."""

_SMALLEST_SIDE_PX = 260


def seed_of(name: str) -> int:
    """The seed of a figure by its file's name. Raises ValueError for a name that is not one of `draw`."""
    return int(Path(name).stem.removeprefix("generator-"))


def draw(seeds: Iterable[int], folder: Path) -> int:
    """Draw the figures that are missing; how many these were."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.stem for path in folder.iterdir()}
    drawn = 0
    for seed in seeds:
        if f"generator-{seed}" in there:
            continue
        _save(render(sample_figure(seed, "train")).image, random.Random(f"saved-{seed}"), folder / f"generator-{seed}")
        drawn += 1
    return drawn


def _save(image: Image.Image, rng: random.Random, path: Path) -> None:
    """Under a passing name first, so that no figure is ever there in part."""
    if rng.random() < 0.15:
        scale = max(rng.uniform(0.55, 0.95), _SMALLEST_SIDE_PX / min(image.size))
        if scale < 1:
            image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    passing = path.with_suffix(".part")
    if rng.random() < 0.35:
        image.save(passing, "JPEG", quality=rng.randint(55, 92))
        passing.rename(path.with_suffix(".jpg"))
    else:
        image.save(passing, "PNG")
        passing.rename(path.with_suffix(".png"))
