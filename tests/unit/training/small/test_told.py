"""What is told of a figure of which little is known: only panels of which something is, and the kind in the prompt."""

from __future__ import annotations

from dataclasses import replace

from llava_graph.chart import Axis, Chart, Panel
from llava_graph.context_parts import ContextParts
from training.small.reading import Reading
from training.small.told import tell
from training.small.truth import PanelNames

NOTHING = ContextParts(caption=False, ocr=False, chart=False)
READING = Reading("", 640, 480, (), Chart())
UNKNOWN = PanelNames(None, "Time", "Mass", ("A", "B"))


def test_panels_of_which_nothing_is_told_are_no_panels() -> None:
    told = tell(READING, (UNKNOWN, UNKNOWN), "", NOTHING)
    assert len(told.panels) == 1
    told = tell(READING, (UNKNOWN, UNKNOWN), "Mass of A.", replace(NOTHING, caption=True))
    assert [panel.series for panel in told.panels] == [("A",), ("A",)]


def test_panels_stay_where_the_picture_shows_their_kind() -> None:
    seen = replace(UNKNOWN, kind="line chart")
    assert len(tell(READING, (seen, seen), "", NOTHING).panels) == 2


def test_unread_panel_has_the_kind_that_the_prompt_tells() -> None:
    def kind_of(panel: Panel, names: PanelNames) -> str | None:
        return tell(replace(READING, chart=Chart((panel,))), (names,), "", ContextParts()).panels[0].kind

    unread = Panel("line", (0.0, 0.0, 9.0, 9.0), Axis(), Axis(), abstained="unexplained_ink")
    assert kind_of(unread, UNKNOWN) == "line chart"
    assert kind_of(unread, replace(UNKNOWN, kind="scatter plot")) == "scatter plot"
    assert kind_of(replace(unread, kind="other"), UNKNOWN) is None
