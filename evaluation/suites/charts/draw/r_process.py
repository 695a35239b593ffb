"""Runs one of this folder's R scripts on a figure's specification."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

from evaluation.suites.charts.draw import layout
from evaluation.suites.charts.draw.specs import Drawing, axis_title
from llava_graph.chart import Box


def run(script: Path, drawing: Drawing, folder: Path) -> list[Box | None]:
    """The script reads the specification from its input and prints the plot areas, in pixels, as JSON.

    Raises subprocess.CalledProcessError, and ValueError where the script printed something else.
    """
    truth, look = drawing.truth, drawing.look
    panels = []
    for panel in truth.panels:
        raw = dataclasses.asdict(panel)
        raw["x"]["title"], raw["y"]["title"] = axis_title(panel.x), axis_title(panel.y, "[]")
        panels.append(raw)
    specification = {
        "path": str(folder / truth.file),
        "form": truth.form,
        "panels": panels,
        "look": {**dataclasses.asdict(look), "em": layout.em_px(look)},
        "areas": layout.areas(truth.panels, look),
    }
    done = subprocess.run(
        ["Rscript", "--vanilla", str(script)],
        input=json.dumps(specification),
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
    )
    areas = json.loads(done.stdout)
    if truth.panels[0].abstain:
        return [None] * len(truth.panels)
    return [(float(a[0]), float(a[1]), float(a[2]), float(a[3])) for a in areas]
