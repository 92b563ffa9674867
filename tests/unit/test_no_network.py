"""The guard that keeps tests on this machine does guard."""

from __future__ import annotations

import socket

import pytest
from pytest_socket import SocketConnectBlockedError


def test_a_connection_to_elsewhere_is_refused() -> None:
    """An address of another machine (here one reserved for documentation) is never reached."""
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_this_machine_can_be_reached() -> None:
    """Servers that a test starts itself are not in the way of the guard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=10).close()
