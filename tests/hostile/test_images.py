"""Hostile images at the gateway's decoders: what each comes to, what it may cost, and what it must not cost others.

Decoders are real processes. That others are served meanwhile is asserted as an order of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from llava_graph.figure import MAX_SCANS, FigureError, FigureLimits, open_figure, within_bytes
from service.errors import FigureRefused, Overloaded
from service.figures.decode import EncodedFigure, FigureOpener
from service.figures.figure_room import FigureRoom
from service.middleware import callers
from service.middleware.callers import Limits, anonymous
from service.turns import Turns
from tests.harness.gateway import gateway
from tests.hostile.images import (
    KINDS,
    encoded,
    figure,
    jpeg_of_scans,
    noise,
    palette_png_without_palette,
    tiff_of_lies,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
]

SLOW = jpeg_of_scans(6300, 99)
"""Within the bound on scans, and seconds of work all the same."""


@contextmanager
def opener(**options: object) -> Iterator[FigureOpener]:
    made = FigureOpener(FigureLimits(), **{"processes": 1, "queue": 8, "known_bytes": 0, **options})  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def asks_as(name: str) -> None:
    """From here on this task is a request from that address."""
    callers.attach({}, anonymous({"client": (name, 1)}, Limits()))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
async def test_each_kind_of_hostile_image_comes_to_what_it_should(name: str) -> None:
    make, code = KINDS[name]
    with opener(deadline_s=60) as figures:
        if code is None:
            opened = await figures.open(make())
            assert open_figure(opened.png).width <= opened.width
        else:
            with pytest.raises(FigureRefused) as refused:
                await figures.open(make())
            assert refused.value.code == code
        assert (await figures.open(encoded(figure(text="after")))).width == 320


def test_whatever_a_decoder_raises_the_image_is_undecodable() -> None:
    with pytest.raises(FigureError) as refused:
        open_figure(palette_png_without_palette())
    assert refused.value.code == "image_undecodable"
    assert isinstance(refused.value.__cause__, AssertionError), "Pillow's, which no list of errors had"


def test_jpeg_of_more_scans_than_encoders_make_is_refused_before_it_is_decoded() -> None:
    """Of a few pixels: to decode it would be quick, and would succeed."""
    assert open_figure(jpeg_of_scans(64, MAX_SCANS - 1)).width == 64
    with pytest.raises(FigureError, match=r"scans; at most") as refused:
        open_figure(jpeg_of_scans(64, MAX_SCANS + 1))
    assert refused.value.code == "image_undecodable"


SEEDS = [make() for name, (make, _) in KINDS.items() if name in ("figure", "apng", "webp of frames")] + [
    encoded(figure((64, 64), "s").quantize(16)),
    encoded(figure((64, 64), "s").convert("1"), "TIFF", compression="group4"),
    encoded(figure((64, 64), "s"), "TIFF", compression="tiff_lzw"),
    encoded(figure((64, 64), "s"), "JPEG", progressive=True),
    encoded(figure((64, 64), "s"), "GIF"),
]


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_files_are_figures_or_refused_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        if data.draw(st.booleans()):
            damaged[at] = data.draw(st.integers(0, 255))
        else:  # a piece that is gone
            del damaged[at : at + data.draw(st.integers(1, 30))]
        if not damaged:
            return
    with contextlib.suppress(FigureError):
        open_figure(bytes(damaged), FigureLimits(max_pixels=1_000_000))


async def test_image_that_takes_too_long_is_refused_and_its_process_is_gone() -> None:
    with opener(deadline_s=0.2) as figures:
        await figures.open(encoded(figure()))
        [pid] = figures.decoder_pids
        with pytest.raises(FigureRefused) as refused:
            await figures.open(SLOW)
        assert refused.value.code == "image_undecodable"
        assert pid not in figures.decoder_pids


async def test_decoding_ends_with_the_request_that_wanted_it() -> None:
    with opener(deadline_s=60) as figures:
        await figures.open(encoded(figure()))
        [pid] = figures.decoder_pids
        leaving = asyncio.create_task(figures.open(SLOW))
        await _at_work(pid)
        leaving.cancel()
        assert (await figures.open(encoded(figure(text="next")))).width == 320, "which would else wait for it"
        assert pid not in figures.decoder_pids


async def test_decoder_that_dies_costs_its_own_image_alone() -> None:
    with opener(deadline_s=60) as figures:
        await figures.open(encoded(figure()))
        [pid] = figures.decoder_pids
        dying = asyncio.create_task(figures.open(SLOW))
        await _at_work(pid)
        waiting = asyncio.create_task(figures.open(encoded(figure(text="waits"))))
        os.kill(pid, signal.SIGSEGV)
        with pytest.raises(FigureRefused) as refused:
            await dying
        assert refused.value.code == "image_undecodable"
        assert (await waiting).width == 320


async def test_other_caller_waits_for_one_image_of_who_sends_many() -> None:
    """A decoder for all; the first caller has sent six, the second one comes last."""
    ended: list[str] = []

    async def ask(caller: str, name: str) -> None:
        asks_as(caller)
        await figures.open(encoded(figure((1500, 1500), name)))
        ended.append(name)

    with opener(queue=32) as figures:
        many = [asyncio.create_task(ask("10.0.0.1", f"many {i}")) for i in range(6)]
        await asyncio.sleep(0)
        one = asyncio.create_task(ask("10.0.0.2", "one"))
        await asyncio.gather(*many, one)
    assert ended.index("one") <= 2


async def test_one_caller_cannot_fill_the_queue() -> None:
    turns = Turns("decoded", places=1, waiting=4, waiting_bytes=1000, wait_s=60)
    async with turns.turn("a", 1):
        waiting = [asyncio.ensure_future(_pass_through(turns, "a", 1)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await _pass_through(turns, "a", 1)
        with pytest.raises(Overloaded):
            await _pass_through(turns, "b", 501)
        waiting.append(asyncio.ensure_future(_pass_through(turns, "b", 400)))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)


async def test_files_that_wait_are_bounded_in_bytes_over_all_callers() -> None:
    turns = Turns("decoded", places=1, waiting=10, waiting_bytes=1000, wait_s=60)
    async with turns.turn("a", 1):
        waiting = [
            asyncio.ensure_future(_pass_through(turns, caller, size)) for caller, size in (("a", 500), ("b", 400))
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await _pass_through(turns, "c", 101)
        waiting.append(asyncio.ensure_future(_pass_through(turns, "c", 100)))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)


async def test_who_waits_longer_than_the_deadline_is_told_so() -> None:
    turns = Turns("decoded", places=1, waiting=4, waiting_bytes=1000, wait_s=0.01)
    async with turns.turn("a", 1):
        with pytest.raises(Overloaded):
            await _pass_through(turns, "b", 1)
    await _pass_through(turns, "b", 1)


@pytest.mark.parametrize("others", [0, 1])
async def test_who_stops_waiting_in_the_moment_of_the_turn_takes_no_place_along(others: int) -> None:
    turns = Turns("decoded", places=1, waiting=4, waiting_bytes=1000, wait_s=60)
    async with turns.turn("a", 1):
        leaving = asyncio.ensure_future(_pass_through(turns, "b", 1))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(_pass_through(turns, "c", 1)) for _ in range(others)]
        await asyncio.sleep(0)
        leaving.cancel()  # what it waits for is cancelled now; its task hears of it after the place is passed on
    with pytest.raises(asyncio.CancelledError):
        await leaving
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting)
        await _pass_through(turns, "d", 1)


async def test_figures_in_hand_are_bounded_in_bytes_and_their_room_is_free_when_they_are_gone() -> None:
    size = len((await _opened(FigureRoom(1 << 30), 0)).png)
    room = FigureRoom(4 * size)
    with opener(room=room) as figures:
        asks_as("10.0.0.1")
        held = [await figures.open(encoded(figure(text=f"{i}"))) for i in range(2)]
        with pytest.raises(Overloaded):
            await figures.open(encoded(figure(text="of the same caller")))
        asks_as("10.0.0.2")
        other = await figures.open(encoded(figure(text="of another")))
        part = other.image_part()
        assert room.taken_bytes > 3 * size + len(other.png), "what is made for the engine counts, too"
        with pytest.raises(Overloaded):
            await figures.open(encoded(figure(text="too much in all")))
        del held, other, part
        gc.collect()
        assert room.taken_bytes == 0
        assert (await figures.open(encoded(figure(text="again")))).width == 320


async def test_image_of_noise_is_scaled_to_its_bound_and_keeps_its_size_by_name() -> None:
    with opener(deadline_s=60, max_png_bytes=1_000_000) as figures:
        opened = await figures.open(noise(1500))
    assert (opened.width, opened.height) == (1500, 1500)
    assert len(opened.png) <= 1_000_000
    with Image.open(io.BytesIO(opened.png)) as smaller:
        assert smaller.width == smaller.height > 400


def test_figure_within_its_bound_is_not_scaled() -> None:
    drawn = open_figure(encoded(figure((2000, 1500), "drawn")))
    assert within_bytes(drawn, 1_000_000) == drawn.png()


async def test_what_a_decoder_prints_reaches_the_log_as_a_bounded_part_of_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A TIFF of 65,000 tags that lie is worth 13 MB of warnings."""
    with opener(deadline_s=60) as figures:
        for tags in (65_000, 3):
            with pytest.raises(FigureRefused):
                await figures.open(tiff_of_lies(tags))
    out, err = capfd.readouterr()
    assert len(out) + len(err) < 4096
    assert "Metadata Warning" not in out + err


async def test_gateway_answers_and_explains_while_its_decoders_are_at_hostile_images(
    redis_url: str, engine_url: str
) -> None:
    async with gateway(redis_url, engine_url, decode_processes=2, decode_s=0.4) as service:
        ended: list[str] = []

        async def attack(i: int) -> None:
            response = await service.post(SLOW + bytes([i]))
            ended.append(f"attack {response.status_code}")

        async def ordinary() -> None:
            assert (await service.http.get("/healthz")).status_code == 200
            ended.append("healthz")
            events = await service.events(encoded(figure(text="ordinary")))
            assert events[-1].name == "done"

        attacks = [asyncio.create_task(attack(i)) for i in range(4)]
        await service.until_busy()
        await asyncio.gather(*attacks, ordinary())
    assert ended == ["healthz", *["attack 422"] * 4]


async def _pass_through(turns: Turns, caller: str, size_bytes: int) -> None:
    async with turns.turn(caller, size_bytes):
        pass


async def _opened(room: FigureRoom, number: int) -> EncodedFigure:
    with opener(room=room) as figures:
        return await figures.open(encoded(figure(text=f"{number}")))


async def _at_work(pid: int) -> None:
    """Returns when a process has computed for a while: it sends no event when it begins."""
    before = _ticks(pid)
    async with asyncio.timeout(30):
        while _ticks(pid) < before + 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
