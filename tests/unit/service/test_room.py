"""Room that is shared: what it holds, and who makes way."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from service.middleware.uploads import Pace
from service.room import Room


def test_room_is_free_again_when_its_holder_is_done() -> None:
    room = Room(100)
    for _ in range(3):
        with room.holder("alice") as holder:
            assert holder.take(60)
            assert holder.take(40)
            assert room.held_bytes == 100
        assert room.held_bytes == 0


def test_largest_holder_of_the_greediest_caller_makes_way() -> None:
    room, told = Room(100), []
    with room.holder("alice") as small, room.holder("alice") as large, room.holder("bob") as other:
        large.when_it_makes_way = lambda: told.append("large")
        assert small.take(30)
        assert large.take(35)
        assert other.take(34)
        assert other.take(20)  # fewer than alice's two together
        assert (small.made_way, large.made_way, other.made_way) == (False, True, False)
        assert told == ["large"]
        assert room.held_bytes == 84
        assert not large.take(1)
    assert room.held_bytes == 0


def test_who_asks_for_more_than_anybody_has_makes_way_for_the_others() -> None:
    room = Room(100)
    with room.holder("alice") as modest, room.holder("bob") as greedy:
        assert modest.take(40)
        assert not greedy.take(70)
        assert not modest.made_way
        assert room.held_bytes == 40


def test_of_equals_the_first_makes_way() -> None:
    room = Room(100)
    with ExitStack() as held:
        holders = [held.enter_context(room.holder("alice")) for _ in range(5)]
        assert all(holder.take(25) for holder in holders)
        assert [holder.made_way for holder in holders] == [True, False, False, False, False]


def test_as_many_as_there_are_make_way_and_never_more_is_held_than_there_is_room() -> None:
    room = Room(100)
    with ExitStack() as held:
        for i in range(200):
            held.enter_context(room.holder(f"caller{i % 7}")).take(i % 90)
            assert room.held_bytes <= 100
    assert room.held_bytes == 0


@pytest.mark.parametrize(
    ("received", "due_s"), [(0, 10), (1, 10.001), (1000, 11), (90_000, 100), (89_999, 99.999), (10**9, 100)]
)
def test_body_has_more_time_the_more_of_it_is_there_up_to_a_bound(received: int, due_s: float) -> None:
    assert Pace(bytes_per_s=1000, grace_s=10, most_s=100).due_s(received) == pytest.approx(due_s)
