"""The bound on images that are decoded at once, and the figures that need not be decoded again."""

from __future__ import annotations

import asyncio
import base64

import pytest

from llava_graph.figure import FigureLimits
from service.errors import FigureRefused, Overloaded
from service.figures.decode import FigureOpener
from tests.harness.gateway import png


async def test_more_images_than_there_is_room_for_are_refused_at_once() -> None:
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=0)
    opened = await asyncio.gather(*(opener.open(png(str(i))) for i in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in opened].count(Overloaded) == 1
    assert (await opener.open(png())).width == 320
    opener.close()


async def test_bad_images_give_their_place_back() -> None:
    opener = FigureOpener(FigureLimits(), processes=1, queue=0, known_bytes=1_000_000)
    for _ in range(3):
        with pytest.raises(FigureRefused):
            await opener.open(b"no image")
        await asyncio.sleep(0)
    opener.close()


async def test_file_that_comes_again_is_not_decoded_again() -> None:
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=1_000_000)
    first = await opener.open(png("a"))
    assert await opener.open(png("a")) is first
    assert (await opener.open(png("b"))).figure_id != first.figure_id
    opener.close()


async def test_known_figures_stay_within_their_bytes_and_the_one_used_longest_ago_goes() -> None:
    sizes = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=0)
    room = sum([len((await sizes.open(png(text))).png) for text in "ab"])
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=room)
    a, b = await opener.open(png("a")), await opener.open(png("b"))
    assert await opener.open(png("a")) is a
    await opener.open(png("c"))
    assert await opener.open(png("a")) is a
    assert await opener.open(png("b")) is not b
    sizes.close()
    opener.close()


async def test_same_file_twice_at_once_counts_once() -> None:
    opener = FigureOpener(FigureLimits(), processes=2, queue=0, known_bytes=1_000_000)
    first, second = await asyncio.gather(opener.open(png("a")), opener.open(png("a")))
    assert first == second
    assert await opener.open(png("a")) in (first, second)
    opener.close()


async def test_file_too_large_to_be_known_is_opened_each_time() -> None:
    large = png("a") + bytes(1024 * 1024)  # what follows a PNG's end is no part of it
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=10_000_000)
    first, second = await opener.open(large), await opener.open(large)
    assert first == second
    assert first is not second
    opener.close()


async def test_image_in_base64_is_the_figure_of_its_file_and_known_when_it_comes_again() -> None:
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=1_000_000)
    encoded = base64.b64encode(png("a")).decode()
    first = await opener.open(encoded)
    assert first == await opener.open(png("a"))
    assert await opener.open(encoded) is first
    opener.close()


async def test_long_base64_is_decoded_whole() -> None:
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=0)
    large = png("a") + bytes(range(256)) * 8192  # what follows a PNG's end is no part of it
    assert await opener.open(base64.b64encode(large).decode()) == await opener.open(png("a"))
    opener.close()


@pytest.mark.parametrize("no_base64", ["AAA", "A*==", "AA==AAAA", " AAAA", "Größe===", "\ud800AAA", "A" * 4_000_001])
async def test_what_is_no_base64_is_refused(no_base64: str) -> None:
    opener = FigureOpener(FigureLimits(), processes=1, queue=1, known_bytes=0)
    with pytest.raises(FigureRefused) as refused:
        await opener.open(no_base64)
    assert refused.value.code == "image_undecodable"
    opener.close()
