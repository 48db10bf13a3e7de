"""Ports of loopback for servers that somebody starts, kills and starts again: nobody else takes one while its server is down.

No client is given one, for they lie below those that an operating system gives to clients (RFC 6335: from 49152; Linux: from 32768). No
other process that asks here is given one either: each holds a lock on some ports of its own as long as it lives.
"""

import contextlib
import fcntl
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_PORTS = range(10_000, 32_768)
_SHARE = 256


def free_port(kind: socket.SocketKind) -> int:
    """Return a loopback port that nobody uses at this moment, the next one of this process. Raises OSError: there is none."""
    for port in itertools.islice(_in_turn(os.getpid()), _SHARE):
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"all {_SHARE} ports of this process on 127.0.0.1 are in use")


@cache
def _in_turn(pid: int) -> Iterator[int]:
    """Return the ports of one process, again and again. pid: a child of it needs others."""
    for first in _PORTS[::_SHARE]:
        if first + _SHARE <= _PORTS.stop and _is_ours(first):
            return itertools.cycle(range(first, first + _SHARE))
    raise OSError(f"other processes hold all ports; they are those with {_lock_of(0)} open")


def _is_ours(first: int) -> bool:
    """Lock the ports from first on, until this process ends. False: another has them, or another user."""
    with contextlib.suppress(OSError):
        lock = os.open(_lock_of(first), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return True
    return False


def _lock_of(first: int) -> Path:
    return Path(tempfile.gettempdir()) / f"outstation-ports-{first or '*'}.lock"
