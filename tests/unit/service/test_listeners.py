"""The sockets of a gateway of several processes."""

from __future__ import annotations

import socket

import pytest

from service.process.listeners import bound_listeners


def test_each_process_has_sockets_of_its_own_at_one_port() -> None:
    listeners = bound_listeners("127.0.0.1", 0, 3)
    addresses = {listener.getsockname() for of_one in listeners for listener in of_one}
    assert len(listeners) == 3
    assert len(addresses) == 1
    assert addresses.pop()[1] > 0
    for of_one in listeners:
        for listener in of_one:
            listener.close()


def test_port_of_another_program_is_not_shared() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        bound_listeners("127.0.0.1", other.getsockname()[1], 2)


def test_port_of_another_gateway_of_several_is_not_shared() -> None:
    theirs = bound_listeners("127.0.0.1", 0, 2)
    theirs[0][0].listen()
    try:
        with pytest.raises(OSError, match="in use"):
            bound_listeners("127.0.0.1", theirs[0][0].getsockname()[1], 2)
    finally:
        for of_one in theirs:
            of_one[0].close()
