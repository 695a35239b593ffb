"""What the tests of training share: the tokenizer, the untrained small model, and a few drawn figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from training.tiny.data import StoredFigure

if TYPE_CHECKING:
    from PIL import Image
    from transformers import PreTrainedTokenizerFast

    from training.tiny.learner import Learner


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as training stores it, and the image it was stored from."""

    stored: StoredFigure
    image: Image.Image


def draw(seed: int) -> Drawn:
    """The training figure that belongs to `seed`."""
    spec = sample_figure(seed, "train")
    rendered = render(spec)
    return Drawn(StoredFigure(seed, *rendered.image.size, rendered.texts, spec), rendered.image)


@pytest.fixture(scope="session")
def drawn() -> list[Drawn]:
    return [draw(seed) for seed in range(10)]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    # torch and transformers take seconds to load: only tests that ask for them pay.
    from training.tiny.tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.fixture
def learner(tokenizer: PreTrainedTokenizerFast) -> Learner:
    """The small model before any training, in float32, with its own weights for each test."""
    from training.tiny.copying_init import plant_copying
    from training.tiny.learner import Learner
    from training.tiny.model import build_model

    model = build_model(tokenizer, seed=0)
    plant_copying(model.model.language_model)
    return Learner(model)


@pytest.fixture(scope="session")
def exported(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained model as the folder that engines serve."""
    from training.tiny.export import export
    from training.tiny.model import build_model

    folder = tmp_path_factory.mktemp("exported")
    export(build_model(tokenizer, seed=0), tokenizer, folder)
    return folder
