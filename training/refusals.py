"""Why a run is refused before it starts, or before it goes on. Part of the tree in errors.py; messages say what to do.

TrainingError (errors.py)
    RecipeError          a recipe that cannot be read: an unknown key, a value out of its range
    ModelError           weights that are missing, or that cannot be joined or trained as the recipe wants
    ResumeError          a checkpoint that is missing, or of another run
    MissingPackageError  an optional package that this recipe needs
"""

from __future__ import annotations

from training.errors import TrainingError


class RecipeError(TrainingError):
    """A recipe that cannot be read."""


class ModelError(TrainingError):
    """Weights that are missing, or that do not fit together or the recipe."""


class ResumeError(TrainingError):
    """A run that cannot go on from where it is told to."""


class MissingPackageError(TrainingError):
    """An optional package that is not installed."""
