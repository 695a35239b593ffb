"""The figures that the page offers to try: those of a folder with a captions.toml, or none."""

from __future__ import annotations

from pathlib import Path

import structlog
from starlette.staticfiles import StaticFiles

from llava_graph.example_figures import Example, ExamplesError, load_examples

log = structlog.stdlib.get_logger(__name__)


class ExampleFigures:
    """The examples of a folder, read once; none where it holds none."""

    def __init__(self, folder: Path) -> None:
        self.by_name = {example.image.name: example for example in _examples(folder)}
        self.files = StaticFiles(directory=folder, check_dir=False)

    def listed(self) -> list[dict[str, str]]:
        """What the page is told: where each image is, and its caption."""
        return [
            {"image": f"page/examples/{name}", "caption": example.caption} for name, example in self.by_name.items()
        ]


def _examples(folder: Path) -> list[Example]:
    try:
        return load_examples(folder)
    except ExamplesError as error:
        log.info("page_without_examples", detail=str(error))
        return []
