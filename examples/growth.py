"""Draws growth.png with the generator of `data/synthetic/`: python examples/growth.py"""

from __future__ import annotations

from pathlib import Path

from data.synthetic.render import render
from data.synthetic.spec import Axis, FigureSpec, Panel, Series

LOOK_SEED = 13
HOURS = tuple(float(h) for h in range(0, 49, 4))

SPEC = FigureSpec(
    panels=(
        Panel(
            kind="line",
            x=Axis("Time", "h"),
            y=Axis("Optical density"),
            series=(
                Series("Vodira", HOURS, (0.02, 0.06, 0.17, 0.31, 0.53, 0.87, 1.12, 1.29, 1.34, 1.4, 1.42, 1.44, 1.45)),
                Series("Kestrol B", HOURS, (0.95, 0.9, 0.82, 0.77, 0.71, 0.64, 0.55, 0.47, 0.4, 0.33, 0.28, 0.24, 0.2)),
                Series("Mura-7", HOURS, (0.1, 0.1, 0.11, 0.1, 0.11, 0.12, 0.11, 0.12, 0.11, 0.12, 0.12, 0.11, 0.12)),
            ),
        ),
    ),
    seed=LOOK_SEED,
)

if __name__ == "__main__":
    render(SPEC).image.save(Path(__file__).with_name("growth.png"), optimize=True)
