"""The slots of a gateway of several processes: kept in the parent, asked for over a socket that each process has to it.

    process -> parent   {"op": "check" | "slot" | "engine_slot", "id": 7, "caller": "…"}   {"op": "release", "id": 7}
                        {"op": "ready"}   {"op": "alive"}
    parent -> process   {"id": 7, "refused": null}, or why, as text

One JSON object a line. A process that ends closes its socket, however it ends, and with that its slots are free: no
lease has to run out. So the bounds hold exactly, and callers take turns over all processes. Redis has no part in it,
and may be away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count
from socket import socket
from typing import Any

from service.errors import Overloaded
from service.slots import OwnSlots

ALIVE_INTERVAL_S = 1.0
"""Between two signs of life of a process's event loop."""

_NO_PARENT = "The gateway is being stopped."


class SlotServer:
    """The parent's side: hands out its slots to the processes."""

    def __init__(self, slots: OwnSlots) -> None:
        self._slots = slots

    async def serve(self, connection: socket, heard: Callable[[str], None]) -> None:
        """Serves one process until it closes its end, and frees what it held. `heard` is told `ready` and `alive`."""
        reader, writer = await asyncio.open_connection(sock=connection)
        holding: dict[int, asyncio.Task[None]] = {}
        try:
            with suppress(ConnectionError):
                async for message in _messages(reader):
                    await self._handle(message, holding, writer, heard)
        finally:
            for task in holding.values():
                task.cancel()
            await asyncio.gather(*holding.values(), return_exceptions=True)
            writer.close()

    async def _handle(
        self,
        message: dict[str, Any],
        holding: dict[int, asyncio.Task[None]],
        writer: asyncio.StreamWriter,
        heard: Callable[[str], None],
    ) -> None:
        op = message["op"]
        if op == "release":
            task = holding.pop(message["id"])
            task.cancel()
            await asyncio.wait({task})  # what the process asks for next must find it free
        elif op == "check":
            await self._answer_check(message, writer)
        elif op in ("slot", "engine_slot"):
            hold = self._slots.slot if op == "slot" else self._slots.engine_slot
            holding[message["id"]] = asyncio.create_task(self._hold(hold(message["caller"]), message["id"], writer))
        else:
            heard(op)

    async def _answer_check(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            await self._slots.check(message["caller"])
        except Overloaded as refusal:
            _send(writer, id=message["id"], refused=refusal.detail)
        else:
            _send(writer, id=message["id"], refused=None)

    async def _hold(self, slot: AbstractAsyncContextManager[None], number: int, writer: asyncio.StreamWriter) -> None:
        """Holds a slot until the task is cancelled, or tells that there is none."""
        try:
            async with slot:
                _send(writer, id=number, refused=None)
                await asyncio.Event().wait()
        except Overloaded as refusal:
            _send(writer, id=number, refused=refusal.detail)


class ParentsSlots:
    """A process's side: the Slots that its parent has. Works inside `async with connected():`."""

    def __init__(self, connection: socket) -> None:
        self._connection = connection
        self._numbers = count()
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._is_orphan = False

    @asynccontextmanager
    async def connected(self, parent_is_gone: Callable[[], None]) -> AsyncIterator[None]:
        """`parent_is_gone` is called when the parent has closed its end: then there are no slots any more."""
        reader, self._writer = await asyncio.open_connection(sock=self._connection)
        tasks = [
            asyncio.create_task(self._read(reader, parent_is_gone), name="slots"),
            asyncio.create_task(self._tell_alive(), name="alive"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.close()

    def tell_ready(self) -> None:
        """This process takes connections."""
        self._send(op="ready")

    async def check(self, caller: str) -> None:
        await self._ask("check", next(self._numbers), caller)

    def slot(self, caller: str) -> AbstractAsyncContextManager[None]:
        return self._held("slot", caller)

    def engine_slot(self, caller: str) -> AbstractAsyncContextManager[None]:
        return self._held("engine_slot", caller)

    @asynccontextmanager
    async def _held(self, op: str, caller: str) -> AsyncIterator[None]:
        number = next(self._numbers)
        try:
            await self._ask(op, number, caller)
            yield
        finally:
            # Also where it was refused, or is no longer waited for: the parent keeps its number until then.
            self._send(op="release", id=number)

    async def _ask(self, op: str, number: int, caller: str) -> None:
        """Raises Overloaded, in the parent's words, or because there is no parent to ask."""
        if self._is_orphan:
            raise Overloaded(_NO_PARENT)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(op=op, id=number, caller=caller)
            await answer
        finally:
            del self._answers[number]

    async def _read(self, reader: asyncio.StreamReader, parent_is_gone: Callable[[], None]) -> None:
        with suppress(ConnectionError):
            async for message in _messages(reader):
                answer = self._answers.get(message["id"])
                if answer is None or answer.done():
                    continue
                if message["refused"] is None:
                    answer.set_result(None)
                else:
                    answer.set_exception(Overloaded(message["refused"]))
        self._is_orphan = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Overloaded(_NO_PARENT))
        parent_is_gone()

    async def _tell_alive(self) -> None:
        while True:
            self._send(op="alive")
            await asyncio.sleep(ALIVE_INTERVAL_S)

    def _send(self, **message: object) -> None:
        assert self._writer is not None
        _send(self._writer, **message)


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """All that come whole: the last line of a process that was killed may be cut."""
    async for line in reader:
        if line.endswith(b"\n"):
            yield json.loads(line)


def _send(writer: asyncio.StreamWriter, **message: object) -> None:
    """A few bytes, to a process that reads at once; none where it has gone."""
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")
