"""Where the tests find the files of the repository, whatever folder a test lies in."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
MODEL_REPO = REPOSITORY / "model_repo"
