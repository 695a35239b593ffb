"""What the parent of a gateway of several processes gives to each: as arguments of its command, and back."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """`parent` is the socket to the parent. `metrics_folder` is where all write, under their seats."""

    seat: int
    parent: socket.socket
    listeners: list[socket.socket]
    metrics_folder: Path

    def to_arguments(self) -> list[str]:
        """For service/process/child.py; the sockets are to be passed on."""
        return [str(self.seat), str(self.metrics_folder), *(str(number) for number in self.descriptors)]

    @property
    def descriptors(self) -> list[int]:
        return [self.parent.fileno(), *(listener.fileno() for listener in self.listeners)]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Place:
        """In the process that was given the sockets; none that it starts gets them."""
        descriptors = [int(number) for number in arguments[2:]]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        parent, *listeners = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        return cls(int(arguments[0]), parent, listeners, Path(arguments[1]))
