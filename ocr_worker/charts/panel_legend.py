"""Which entries of the legend a panel has, where there are several: those in it, beside it, or nowhere else.

A name in the wrong panel makes all that is read of its curve wrong, so where it is not clear a panel gets none.
"""

from __future__ import annotations

from collections.abc import Sequence

from ocr_worker.charts import colours, legend
from ocr_worker.charts.areas import Area
from ocr_worker.charts.colours import View
from ocr_worker.charts.layout import Layout
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.texts import Token

BESIDE = 0.4
"""Share of an area's width to its right within which the legend of it alone stands."""


def entries_of(
    area: Area, entries: Sequence[Entry], layouts: Sequence[Layout], tokens: Sequence[Token]
) -> tuple[list[Entry], bool]:
    """The legend entries of a panel, and whether they may be another's: those within it, those beside it, or those
    that stand elsewhere where there are no more."""
    inside = [e for e in entries if _inside(e, area)]
    if inside:
        return _with_the_rest(inside, entries, layouts), False
    outside = [e for e in entries if not any(_inside(e, layout.area) for layout in layouts)]
    if len(layouts) == 1:
        return outside, False
    groups = legend.grouped_apart(outside)
    areas = [layout.area for layout in layouts]
    homes = legend.homes(groups, areas)
    if len(groups) > 1 and (None not in homes or len({legend.nearest(group, areas).box for group in groups}) > 1):
        # Each panel has a legend of its own beside it.
        return [e for group, home in zip(groups, homes, strict=True) if home is area for e in group], False
    if _has_other_names(area, tokens, entries):
        return [], False  # a legend of its own that was not read
    if not outside:
        # Panels that share a legend have it in one of them only; where several have one, a name is of one colour.
        return list({entry.name: entry for entry in reversed(entries)}.values())[::-1], True
    return outside, legend.homes([outside], areas) != [None]


def are_drawn(view: View, own: Sequence[Entry]) -> bool:
    """Whether all colours of a legend are drawn in a panel; of greys that cannot be told from its texts and lines."""
    found = colours.discover(view)
    wanted = [e.colour for e in own if not colours.is_neutral(e.colour, view.ground)]
    return all(any(colours.is_shade(colour, other, view.ground) for other in found) for colour in wanted)


def _with_the_rest(inside: list[Entry], entries: Sequence[Entry], layouts: Sequence[Layout]) -> list[Entry]:
    """The entries within an area with those of the same legend that stand in none: where no spine shows the top of a
    plot, its area ends at the highest grid line."""
    known = {entry.key for entry in inside}
    legends = [g for g in legend.grouped_apart(entries) if any(e.key in known for e in g)]
    outside = {e.key for g in legends for e in g if not any(_inside(e, layout.area) for layout in layouts)}
    return [e for e in entries if e.key in known or e.key in outside]


def _has_other_names(area: Area, tokens: Sequence[Token], entries: Sequence[Entry]) -> bool:
    """Whether two texts that could be names, and are not those of the legend, stand inside of an area or close to its
    right. One may be its letter or a remark."""
    known = {entry.name.strip().casefold() for entry in entries}
    right = area.x1 + BESIDE * area.width
    inside = [t for t in tokens if area.x0 < t.x < right and area.y0 < t.y < area.y1 and not t.numerals]
    return sum(legend.could_name(t) and t.text.strip().casefold() not in known for t in inside) > 1


def _inside(entry: Entry, area: Area) -> bool:
    x = (entry.handle[0] + entry.handle[2]) / 2
    y = (entry.handle[1] + entry.handle[3]) / 2
    return area.x0 <= x <= area.x1 and area.y0 <= y <= area.y1
