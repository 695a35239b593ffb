"""The example figures: a folder with images and a `captions.toml` that gives each its caption.

    [[figure]]
    image = "growth.png"
    caption = "Optical density of three strains over 48 hours."

The demo explains them and the page offers them. This module opens no image.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


class ExamplesError(Exception):
    """The folder's captions.toml is missing or wrong; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Example:
    image: Path
    caption: str


def load_examples(folder: Path) -> list[Example]:
    """The figures that `captions.toml` in the folder names, in its order. Raises ExamplesError."""
    path = folder / "captions.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["figure"]
        return [Example(folder / table["image"], table["caption"]) for table in tables]
    except OSError as error:
        raise ExamplesError(f"{path}: {error.strerror or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ExamplesError(f"{path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise ExamplesError(f"{path}: every [[figure]] needs `image` and `caption`") from error
