"""The bound on images that are decoded at once."""

from __future__ import annotations

import asyncio

import pytest

from llava_graph.figure import FigureLimits
from service.errors import FigureRefused, Overloaded
from service.figures import FigureOpener
from tests.fakes.gateway import png


async def test_more_images_than_there_is_room_for_are_refused_at_once() -> None:
    opener = FigureOpener(FigureLimits(), threads=1, queue=1)
    opened = await asyncio.gather(*(opener.open(png()) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in opened].count(Overloaded) == 1
    assert (await opener.open(png())).width == 320
    opener.close()


async def test_bad_images_give_their_place_back() -> None:
    opener = FigureOpener(FigureLimits(), threads=1, queue=0)
    for _ in range(3):
        with pytest.raises(FigureRefused):
            await opener.open(b"no image")
        await asyncio.sleep(0)
    opener.close()
