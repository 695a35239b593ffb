"""The sockets of a gateway of several processes: made by the parent and passed on, so that they outlive a process.

On Linux each process has sockets of its own, bound to the same port (SO_REUSEPORT), and the kernel spreads connections
over them by chance. A connection that came to one whose process has died waits there for the successor. Elsewhere
SO_REUSEPORT spreads nothing, so all processes accept from the same sockets.
"""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack


def bound_listeners(host: str, port: int, processes: int) -> list[list[socket.socket]]:
    """Sockets for each process, bound to all addresses of the host and not yet listening; port 0 takes a free one.

    Raises OSError: the host is unknown, or another program has the port.
    """
    with ExitStack() as stack:
        # Without SO_REUSEPORT first: with it, a second gateway of the same user would get a part of the connections.
        probes = [stack.enter_context(made) for made in _bound_to_all(host, port, reuse_port=False)]
        port = int(probes[0].getsockname()[1])
        if sys.platform != "linux":
            stack.pop_all()
            return [probes] * processes
    return [_bound_to_all(host, port, reuse_port=True) for _ in range(processes)]


def _bound_to_all(host: str, port: int, *, reuse_port: bool) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    with ExitStack() as stack:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            made = stack.enter_context(socket.socket(family, kind, protocol))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # All addresses get the port that the first one got.
            made.bind((address[0], port or (bound[0].getsockname()[1] if bound else 0), *address[2:]))
            bound.append(made)
        stack.pop_all()
    return bound
