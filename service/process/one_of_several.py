"""The server of one of the processes of a gateway of several.

It serves like a gateway of one process, with three differences: it is given the sockets it listens on, its slots for
answers are its parent's (service/process/shared_slots.py), and its metrics go into its parent's folder. It knows no
other process.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import AsyncExitStack

import uvicorn

from service.middleware.drain import Drain
from service.process.server import GatewayServer
from service.process.shared_slots import ParentsSlots


class OneOfSeveral(GatewayServer):
    """Connected to its parent while it serves. Without its parent it drains, and ends."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, slots: ParentsSlots, *, drain_delay_s: float, shutdown_s: float
    ) -> None:
        super().__init__(config, drain, drain_delay_s=drain_delay_s, shutdown_s=shutdown_s)
        self._slots = slots
        self._connected = AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._connected.enter_async_context(self._slots.connected(_end))
        await super().startup(sockets)
        self._slots.tell_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._connected.aclose()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
