"""Renders a figure's spec to an image, with an exact pixel box for each of its texts.

    python -m data.synthetic.render --seed 1 --count 16 --out figures

looks.py decides how a figure looks, layout.py where everything goes, paint.py draws it, and degradation.py adds what
re-saving and scanning do to a figure. Nothing here knows captions or explanations.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from PIL import Image, ImageDraw

from data.synthetic import looks
from data.synthetic.canvas import Canvas, Font
from data.synthetic.degradation import degrade
from data.synthetic.layout import lay_out
from data.synthetic.paint import paint
from data.synthetic.sample import sample_figure
from data.synthetic.spec import FigureSpec, Panel, TextBox
from data.synthetic.words import Split
from llava_graph.ocr import Box

_NUMBER_CHARACTERS = "0123456789.,-e"


@dataclass(frozen=True)
class Rendered:
    """An RGB image with a tight pixel box for every text in it, and the data area of each panel."""

    image: Image.Image
    texts: tuple[TextBox, ...]
    axes_boxes: tuple[Box, ...]


def render(spec: FigureSpec, fonts: Sequence[tuple[Font, float]] | None = None) -> Rendered:
    """Draws `spec`, at most 1400 × 1100 pixels large. The same spec gives the same bytes.

    `fonts` are the fonts to choose from with their weights. By default they are those that come with matplotlib, so
    that figures are the same on every machine; `looks.system_fonts()` gives more. Raises ValueError for a panel with
    more series than can be told apart by colour.
    """
    rng = random.Random(f"look-{spec.seed}")
    look = looks.choose(
        rng,
        series_count=max(len(panel.series) for panel in spec.panels),
        category_count=max(len(panel.categories) for panel in spec.panels),
        panel_count=len(spec.panels),
        characters="".join([_NUMBER_CHARACTERS, *(text for panel in spec.panels for text in _texts(panel))]),
        fonts=looks.bundled_fonts() if fonts is None else fonts,
    )
    sheet = lay_out(spec, look)
    while (excess := max(sheet.width / looks.MAX_WIDTH_PX, sheet.height / looks.MAX_HEIGHT_PX)) > 1:
        look = replace(look, dpi=look.dpi / excess * 0.99)
        sheet = lay_out(spec, look)
    canvas = Canvas(sheet.width, sheet.height, look.dpi, look.background)
    texts: list[TextBox] = []
    areas: list[Box] = []
    for plan, (x, y) in zip(sheet.plans, sheet.corners, strict=True):
        texts += paint(canvas, plan, (x, y))
        areas.append((x, y, x + plan.width, y + plan.height))
    smallest_px = min(look.text.tick_pt, look.text.legend_pt) * look.dpi / 72
    image, x_scale, y_scale = degrade(canvas.image(), rng, min_scale=looks.MIN_FONT_PX / smallest_px)

    def scaled(box: Box) -> Box:
        return box[0] * x_scale, box[1] * y_scale, box[2] * x_scale, box[3] * y_scale

    return Rendered(image, tuple(replace(t, box=scaled(t.box)) for t in texts), tuple(scaled(area) for area in areas))


def _texts(panel: Panel) -> list[str]:
    names = [series.name for series in panel.series]
    return [panel.x.label, panel.y.label, panel.title or "", *panel.categories, *names]


@click.command()
@click.option("--seed", default=0, show_default=True, help="Seed of the first figure.")
@click.option("--count", default=16, show_default=True, help="How many figures; their seeds follow each other.")
@click.option("--split", type=click.Choice(("train", "heldout")), default="train", show_default=True)
@click.option("--boxes/--no-boxes", default=True, show_default=True, help="Whether to draw the boxes as well.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the PNGs.")
def main(seed: int, count: int, split: Split, boxes: bool, out: Path) -> None:
    """Draw random figures with the boxes of their texts and data areas, for the eye."""
    out.mkdir(parents=True, exist_ok=True)
    for figure_seed in range(seed, seed + count):
        rendered = render(sample_figure(figure_seed, split))
        if boxes:
            pen = ImageDraw.Draw(rendered.image)
            for area in rendered.axes_boxes:
                pen.rectangle(area, outline="orange")
            for text in rendered.texts:
                pen.rectangle(text.box, outline="red")
        path = out / f"{split}-{figure_seed}.png"
        rendered.image.save(path)
        click.echo(f"{path}  {rendered.image.width} × {rendered.image.height}  {len(rendered.texts)} texts")


if __name__ == "__main__":
    main()
