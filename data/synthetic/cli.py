"""`llava-graph data synthetic`: writes synthetic figures with known truth as files, for training and measuring.

    llava-graph data synthetic --split heldout --count 20 --out figures

Draws with `render.py` and writes with `write.py`; what a figure is and what is true of it is decided there.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from data.synthetic.words import Split


@click.command()
@click.option(
    "--split", type=click.Choice(("train", "heldout")), default="train", show_default=True, help="Whose names."
)
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first figure.")
@click.option("--count", type=click.IntRange(min=1), default=20, show_default=True, help="How many figures.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
def synthetic(split: Split, start: int, count: int, out: Path) -> None:
    """Draw figures: PNGs, captions.jsonl (file, caption) and truth.jsonl (texts with boxes, spec, explanation).

    Boxes are [x0, y0, x1, y1] in pixels of the image. The same seeds give the same files.
    """
    from data.synthetic import write
    from data.synthetic.render import render
    from data.synthetic.sample import sample_figure

    out.mkdir(parents=True, exist_ok=True)
    seeds = track(range(start, start + count), "drawing", console=Console(stderr=True))
    with (
        (out / "captions.jsonl").open("w", encoding="utf-8") as captions,
        (out / "truth.jsonl").open("w", encoding="utf-8") as truths,
    ):
        for seed in seeds:
            spec = sample_figure(seed, split)
            drawn = render(spec)
            name = f"{split}-{seed:07d}.png"
            drawn.image.save(out / name)
            caption = write.caption(spec, random.Random(f"caption-{seed}"))
            explanation = write.explanation(spec, write.everything(spec), random.Random(f"explanation-{seed}"))
            texts = [{**asdict(text), "box": [round(v, 1) for v in text.box]} for text in drawn.texts]
            captions.write(_line({"file": name, "caption": caption}))
            truths.write(
                _line(
                    {
                        "file": name,
                        "width": drawn.image.width,
                        "height": drawn.image.height,
                        "texts": texts,
                        "spec": asdict(spec),
                        "explanation": explanation,
                    }
                )
            )
    click.echo(f"{count} figures in {out}")


def _line(record: dict[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
