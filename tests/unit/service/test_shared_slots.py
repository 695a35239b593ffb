"""Slots of several processes: a parent's side and the sides of two processes, over real sockets in one event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from service.errors import Overloaded
from service.process.shared_slots import ParentsSlots, SlotServer
from service.slots import OwnSlots


class Side:
    """A process, as its parent knows it."""

    def __init__(self, slots: ParentsSlots, served: asyncio.Task[None], heard: asyncio.Queue[str]) -> None:
        self.slots = slots
        self.served = served
        self.heard = heard
        self.orphaned = asyncio.Event()


@asynccontextmanager
async def processes(running: int = 1, waiting: int = 0, wait_s: float = 60) -> AsyncIterator[list[Side]]:
    server = SlotServer(OwnSlots(running=running, waiting=waiting, wait_s=wait_s))
    async with AsyncExitStack() as stack:
        sides = []
        for _ in range(2):
            ours, theirs = socket.socketpair()
            heard: asyncio.Queue[str] = asyncio.Queue()
            served = asyncio.create_task(server.serve(ours, heard.put_nowait))
            side = Side(ParentsSlots(theirs), served, heard)
            await stack.enter_async_context(side.slots.connected(side.orphaned.set))
            sides.append(side)
        yield sides


async def held(slots: ParentsSlots, order: list[str], caller: str, let_go: asyncio.Event) -> None:
    async with slots.engine_slot(caller):
        order.append(caller)
        await let_go.wait()


async def soon(what: Awaitable[object]) -> None:
    async with asyncio.timeout(10):
        await what


async def test_what_one_process_holds_another_cannot_have() -> None:
    async with processes(running=1, waiting=1) as (one, other):
        async with one.slots.slot("alice"), one.slots.slot("bob"):
            with pytest.raises(Overloaded, match="2 answers"):
                await other.slots.check("carol")
            with pytest.raises(Overloaded, match="2 answers"):
                async with other.slots.slot("carol"):
                    raise AssertionError("there were three")
        async with other.slots.slot("carol"), other.slots.slot("alice"):
            with pytest.raises(Overloaded):
                await one.slots.check("bob")


async def test_callers_take_turns_over_all_processes() -> None:
    async with processes(running=1, waiting=10) as (one, other):
        order: list[str] = []
        first, rest = asyncio.Event(), asyncio.Event()
        rest.set()
        tasks = [asyncio.create_task(held(one.slots, order, "alice", first))]
        await soon(one.heard.get())
        # Each asks in its turn: a check behind it on the same connection is answered after it was heard.
        for slots, caller in ((one.slots, "alice"), (one.slots, "alice"), (other.slots, "bob"), (other.slots, "alice")):
            tasks.append(asyncio.create_task(held(slots, order, caller, rest)))
            await asyncio.sleep(0)
            await slots.check("somebody")
        first.set()
        await soon(asyncio.gather(*tasks))
        assert order == ["alice", "alice", "bob", "alice", "alice"]


async def test_slots_of_a_process_that_has_ended_are_free() -> None:
    async with processes(running=1) as (one, other), AsyncExitStack() as gone:
        await gone.enter_async_context(one.slots.slot("alice"))
        await gone.enter_async_context(one.slots.engine_slot("alice"))
        waiting = asyncio.create_task(held(other.slots, [], "bob", asyncio.Event()))
        one.slots._connection.shutdown(socket.SHUT_RDWR)  # as the kernel closes it
        await soon(one.served)
        async with other.slots.slot("bob"):
            waiting.cancel()
            await asyncio.wait({waiting})


async def test_one_that_is_no_longer_waited_for_leaves_the_queue() -> None:
    async with processes(running=1, waiting=4) as (one, other):
        order: list[str] = []
        let_go = asyncio.Event()
        async with one.slots.engine_slot("alice"):
            hung_up = asyncio.create_task(held(other.slots, order, "bob", let_go))
            await asyncio.sleep(0)
            await other.slots.check("somebody")
            hung_up.cancel()
            await asyncio.wait({hung_up})
        let_go.set()
        await soon(held(other.slots, order, "carol", let_go))
        assert order == ["carol"]


async def test_too_long_a_wait_ends_with_the_parent_s_words() -> None:
    async with processes(running=1, waiting=4, wait_s=0.01) as (one, other):
        async with one.slots.engine_slot("alice"):
            with pytest.raises(Overloaded, match="longer than"):
                async with other.slots.engine_slot("bob"):
                    raise AssertionError("there were two")
        await soon(held(other.slots, [], "bob", _set()))


async def test_process_without_its_parent_is_told_and_refuses() -> None:
    async with processes() as (one, _), one.slots.engine_slot("alice"):
        waiting = asyncio.create_task(held(one.slots, [], "alice", asyncio.Event()))
        await asyncio.sleep(0)
        one.served.cancel()
        await soon(one.orphaned.wait())
        with pytest.raises(Overloaded, match="being stopped"):
            await waiting
        with pytest.raises(Overloaded, match="being stopped"):
            await one.slots.check("alice")


async def test_parent_hears_that_a_process_is_alive_and_ready() -> None:
    async with processes() as (one, other):
        one.slots.tell_ready()
        assert {await one.heard.get(), await one.heard.get()} == {"alive", "ready"}
        assert await other.heard.get() == "alive"


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
