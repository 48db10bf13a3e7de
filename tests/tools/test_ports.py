"""Ports for servers that are killed and started again: nobody else is given one while its server is down."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ports
from tools.ports import free_port

COUNT = 40


def _asked():
    return {free_port(socket.SOCK_DGRAM) for _ in range(COUNT)}


def test_port_is_not_given_twice_though_nobody_uses_it():
    """Neither by this process nor by another that asks at the same time; and to no client by the operating system."""
    ours = _asked()
    words = "from tests.tools.test_ports import _asked; print(*_asked())"
    told = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    theirs = {int(word) for word in told.stdout.split()}

    assert (COUNT, COUNT) == (len(ours), len(theirs))
    assert not ours & theirs
    assert max(ours | theirs) < 32_768


def test_port_in_use_is_passed_over(monkeypatch):
    """Somebody who did not ask here has it; where all are in use that is said."""
    monkeypatch.setattr(ports, "_SHARE", 2)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        taken.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        both = [taken.getsockname()[1], other.getsockname()[1]]
        free = free_port(socket.SOCK_DGRAM)
        monkeypatch.setattr(ports, "_in_turn", lambda pid: iter([both[0], free]))
        assert free == free_port(socket.SOCK_DGRAM)
        monkeypatch.setattr(ports, "_in_turn", lambda pid: iter(both))
        with pytest.raises(OSError, match="are in use"):
            free_port(socket.SOCK_DGRAM)
