"""What training and evaluation take on trust from render.py: each box holds the text it says, all of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Literal

import numpy as np
import pytest
from rapidocr import RapidOCR
from rapidocr.utils.output import RapidOCROutput

from data.synthetic import looks
from data.synthetic.render import Rendered, render
from data.synthetic.sample import sample_figure
from data.synthetic.spec import Axis, FigureSpec, Kind, Panel, Role, Series, TextBox
from llava_graph.ocr import Box

Figure = tuple[FigureSpec, Rendered]


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    specs = [sample_figure(seed, "train") for seed in range(60)]
    return [(spec, render(spec)) for spec in specs]


def line_panel(
    y: Axis, x: Axis | None = None, count: int = 2, error: bool = False, kind: Kind = "line", scale: float = 1.0
) -> Panel:
    """Straight lines through `scale` times multiples of x, with x from 1 to 560."""
    xs = tuple(10.0 ** (k / 4) for k in range(12))
    curves = [tuple(scale * v * (i + 1) for v in xs) for i in range(count)]
    errors = [tuple(v * 0.2 for v in ys) if error else None for ys in curves]
    series = tuple(Series(f"Sample {i + 1}", xs, ys, e) for i, (ys, e) in enumerate(zip(curves, errors, strict=True)))
    return Panel(kind, x or Axis("Elapsed time", "s"), y, series, legend=count > 1)


def bar_panel(values: tuple[float, ...], categories: tuple[str, ...]) -> Panel:
    at = tuple(float(i) for i in range(len(values)))
    return Panel("bar", Axis("Site"), Axis("Yield", "%"), (Series("all", at, values),), categories, legend=False)


def looks_of(panel: Panel, seeds: range) -> Iterator[Rendered]:
    """The same panel in different looks."""
    return (render(FigureSpec((panel,), seed)) for seed in seeds)


def texts_of(rendered: Rendered, role: Role, panel: int = 0) -> list[TextBox]:
    return [text for text in rendered.texts if text.role == role and text.panel == panel]


def shared_area(a: Box, b: Box) -> float:
    """As a share of the smaller box."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(width, 0.0) * max(height, 0.0) / smaller


def crop(rendered: Rendered, box: Box, margin: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Grey values in the box, enlarged by `margin` pixels as far as the image goes."""
    x0, y0, x1, y1 = box
    grey = np.asarray(rendered.image.convert("L"), dtype=np.int16)
    rows = slice(max(0, int(y0) - margin), int(np.ceil(y1)) + margin)
    return grey[rows, max(0, int(x0) - margin) : int(np.ceil(x1)) + margin]


def value_of(text: str) -> float:
    """The number at a tick; a negative power of ten is written as `10-3`, as an OCR model reads it."""
    if text.startswith("10-"):
        return 10.0 ** int(text.removeprefix("10"))
    return float(text.replace(",", ""))


def test_every_text_has_ink_and_lies_on_the_sheet(figures: list[Figure]) -> None:
    for _, rendered in figures:
        for text in rendered.texts:
            x0, y0, x1, y1 = text.box
            assert 0 <= x0 < x1 <= rendered.image.width and 0 <= y0 < y1 <= rendered.image.height, text
            assert np.ptp(crop(rendered, text.box)) > 60, text


def test_boxes_of_labels_end_where_their_ink_ends(figures: list[Figure]) -> None:
    for _, rendered in figures:
        for text in rendered.texts:
            if text.role in ("x_label", "y_label", "title"):
                patch = crop(rendered, text.box, margin=2)
                ink = np.abs(patch - np.median(patch)) > 70
                for axis, length in enumerate(reversed(ink.shape)):
                    inked = np.flatnonzero(ink.any(axis=axis)).tolist()
                    assert inked[0] <= 4 and inked[-1] >= length - 5, text


def test_upright_texts_do_not_cover_each_other(figures: list[Figure]) -> None:
    for spec, rendered in figures:
        for a, b in combinations(rendered.texts, 2):
            both_categories = a.role == b.role == "x_tick" and spec.panels[a.panel].categories
            # The upright boxes around slanted names overlap though the names do not.
            assert shared_area(a.box, b.box) < (0.6 if both_categories else 0.01), (a, b)


def test_all_names_of_a_figure_stand_in_it_with_their_roles(figures: list[Figure]) -> None:
    for spec, rendered in figures:
        assert len(rendered.axes_boxes) == len(spec.panels)
        for index, panel in enumerate(spec.panels):
            assert [t.text for t in texts_of(rendered, "x_label", index)] == [panel.x.label]
            assert [t.text for t in texts_of(rendered, "y_label", index)] == [panel.y.label]
            assert [t.text for t in texts_of(rendered, "title", index)] == ([panel.title] if panel.title else [])
            named = {t.index: t.text for t in texts_of(rendered, "legend", index)}
            assert named == ({i: s.name for i, s in enumerate(panel.series)} if panel.legend else {})
            assert len(texts_of(rendered, "panel_letter", index)) == (len(spec.panels) > 1)
            if panel.categories:
                categories = {t.index: t.text for t in texts_of(rendered, "x_tick", index)}
                assert categories == dict(enumerate(panel.categories))


@pytest.mark.parametrize("log", [False, True])
def test_numbers_of_the_y_axis_stand_where_their_values_are(log: bool) -> None:
    for rendered in looks_of(line_panel(Axis("Signal", "mV", log=log), scale=1e-5), range(12)):
        numbers = texts_of(rendered, "y_tick")
        assert len(numbers) >= (2 if log else 3)
        values = np.array([value_of(t.text) for t in numbers])
        # Exponents lift the middle of a box by less than half a line.
        centres = np.array([(t.box[1] + t.box[3]) / 2 for t in numbers])
        places = np.log10(values) if log else values
        slope, offset = np.polyfit(places, centres, 1)
        assert slope < 0
        assert np.abs(slope * places + offset - centres).max() < 2.0


def test_bars_reach_the_height_that_the_axis_gives_their_values() -> None:
    values = (3.0, 9.0, 5.0, 7.0)
    checked = 0
    for rendered in looks_of(bar_panel(values, ("Arl", "Bem", "Col", "Dun")), range(40)):
        numbers = texts_of(rendered, "y_tick")
        centres = [(t.box[1] + t.box[3]) / 2 for t in numbers]
        slope, offset = np.polyfit([float(t.text) for t in numbers], centres, 1)
        pixels = np.asarray(rendered.image, dtype=np.int16)
        for category, value in zip(texts_of(rendered, "x_tick"), values, strict=True):
            if category.box[2] - category.box[0] > 2 * (category.box[3] - category.box[1]):
                column, top = int((category.box[0] + category.box[2]) / 2), slope * value + offset
                inside, above = pixels[int(top) + 6, column], pixels[int(top) - 4, column]
                checked += 1
                if not texts_of(rendered, "annotation"):
                    assert np.abs(inside - above).max() > 30, (category, value)
    assert checked > 40


@pytest.mark.parametrize("kind", ["line", "scatter"])
@pytest.mark.parametrize("error", [False, True])
def test_log_axes_and_errors_are_drawn_in_every_look(kind: Literal["line", "scatter"], error: bool) -> None:
    panel = line_panel(Axis("Rate", "1/s", log=True), Axis("Dose", "mg", log=True), 3, error, kind)
    for rendered in looks_of(panel, range(6)):
        assert {t.text for t in texts_of(rendered, "legend")} == {"Sample 1", "Sample 2", "Sample 3"}
        assert len(texts_of(rendered, "y_tick")) >= 2


def test_powers_of_ten_are_written_as_an_ocr_reads_them() -> None:
    panel = line_panel(Axis("Rate", "1/s", log=True), Axis("Dose", "mg", log=True))
    written = {t.text for r in looks_of(panel, range(12)) for t in texts_of(r, "x_tick")}
    assert {"100", "101", "102"} & written
    assert not any("−" in text for text in written)


def test_three_panels_carry_their_letters_in_order() -> None:
    panel = line_panel(Axis("Signal"), count=1)
    for seed in range(6):
        rendered = render(FigureSpec((panel, panel, panel), seed))
        letters = [texts_of(rendered, "panel_letter", i)[0].text.strip("()").lower() for i in range(3)]
        assert letters == ["a", "b", "c"]
        assert rendered.image.width <= looks.MAX_WIDTH_PX and rendered.image.height <= looks.MAX_HEIGHT_PX


def test_bars_may_be_negative_equal_or_alone() -> None:
    for values in ((-3.0, 2.0, -1.0), (4.0, 4.0), (0.0, 0.0), (7.0,)):
        for rendered in looks_of(bar_panel(values, tuple(f"Lot {i}" for i in range(len(values)))), range(3)):
            assert len(texts_of(rendered, "x_tick")) == len(values)


def test_very_large_and_very_small_numbers_have_no_offset_text() -> None:
    for factor in (1e-9, 1e9):
        xs = (0.0, 1.0, 2.0)
        panel = Panel(
            "line", Axis("Time"), Axis("Mass"), (Series("a", xs, tuple(v * factor for v in xs)),), legend=False
        )
        for rendered in looks_of(panel, range(3)):
            top = max(abs(float(t.text)) for t in texts_of(rendered, "y_tick"))
            assert factor < top < 4 * factor


def test_the_same_spec_gives_the_same_figure_also_in_threads(figures: list[Figure]) -> None:
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(render, (spec for spec, _ in figures[:16])))
    for (_, first), second in zip(figures[:16], again, strict=True):
        assert first.image.tobytes() == second.image.tobytes()
        assert first.texts == second.texts and first.axes_boxes == second.axes_boxes


def test_series_differ_clearly_in_colour_and_grey_figures_are_few() -> None:
    fonts = looks.bundled_fonts()
    grey = 0
    for seed in range(400):
        look = looks.choose(
            random.Random(seed), series_count=4, category_count=0, panel_count=1, characters="Az09", fonts=fonts
        )
        grey += look.marks.grey
        for (i, a), (j, b) in combinations(enumerate(look.marks.colours), 2):
            assert looks.distance(a, b) > 15
            if look.marks.grey:
                assert look.marks.markers[i] != look.marks.markers[j] and look.marks.dashes[i] != look.marks.dashes[j]
    assert 0 < grey < 40


def test_a_font_that_lacks_a_character_is_not_used() -> None:
    for seed in range(40):
        look = looks.choose(
            *(random.Random(seed),),
            series_count=1,
            category_count=0,
            panel_count=1,
            characters="Flux (µm)é",
            fonts=looks.bundled_fonts(),
        )
        assert look.text.font.covers("é")


def test_more_series_than_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="12 distinct colours"):
        render(FigureSpec((line_panel(Axis("Signal"), count=12),), seed=1))


def test_ocr_reads_the_words_of_axis_labels() -> None:
    engine = RapidOCR()
    found = total = 0
    for seed in range(6):
        rendered = render(sample_figure(seed, "heldout"))
        result = engine(np.asarray(rendered.image)[..., ::-1])
        assert isinstance(result, RapidOCROutput) and result.boxes is not None and result.txts is not None
        lines: list[Box] = [(*corners.min(axis=0), *corners.max(axis=0)) for corners in result.boxes]
        for text in rendered.texts:
            if text.role in ("x_label", "y_label"):
                near = [t for box, t in zip(lines, result.txts, strict=True) if shared_area(box, text.box) > 0.3]
                read = " ".join(near).lower()
                words = text.text.lower().split()
                total += len(words)
                found += sum(word in read for word in words)
    assert found / total >= 0.95, f"{found} of {total} words"
