"""Ports of loopback for servers that somebody starts, kills and starts again: nobody else takes one while its server is down.

No client is given one, for they lie below those that an operating system gives to clients (RFC 6335: from 49152; Linux: from 32768). No
other process that asks here is given one either: each keeps some ports to itself as long as it lives, by a socket with a name and no file.
"""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache

_PORTS = range(10_000, 32_768)
_SHARE = 256
# Sockets whose names say which ports are this process's; gone when it ends, however it ends.
_kept: list[socket.socket] = []


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
        if first + _SHARE <= _PORTS.stop and _keep(first):
            return itertools.cycle(range(first, first + _SHARE))
    raise OSError("other processes keep all ports to themselves: wait until some of them end")


def _keep(first: int) -> bool:
    """Keep the ports from first on until this process ends. False: another has them."""
    # unix(7): an abstract name, which belongs to one socket of a network namespace, as ports do.
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        ours.bind(f"\0outstation-ports-{first}")
    except OSError:
        ours.close()
        return False
    _kept.append(ours)
    return True
