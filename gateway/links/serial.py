"""CoAP over serial lines: each frame of slipmux is one datagram; what is in it, the server knows.

A server's feed(peer, datagram) is called for what arrives, and it calls send(peer, datagram). A peer is the name of a line, such as
`serial:/dev/ttyUSB0`.

Source: SPEC.md section 13.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from gateway.health import Health
from gateway.links.serial_line import Feed, SerialLine, require_pyserial
from protocol.diagnostic import Diagnostic

# Name in the gateway's counters -> how much of it a line has had, in its document.
_COUNTED = {
    "serial_frames": "frames",
    "serial_spoiled": "spoiled",
    "serial_skipped": "skipped",
    "serial_unsent": "unsent",
    "serial_losses": "losses",
}


class SerialLink:
    """All serial lines of a gateway. ports: (port, baud) of each. tell(diagnostic): says what a person must mend."""

    def __init__(self, ports: Iterable[tuple[str, int]], health: Health, tell: Callable[[Diagnostic], None]):
        self._lines = [SerialLine(port, baud, tell) for port, baud in ports]
        self._by_name = {line.name: line for line in self._lines}
        self._health = health
        self._counted: dict[str, dict[str, Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, feed: Feed) -> None:
        """Open the ports that are there, and wait for the others. Raises DiagnosticError (exit 3) without pyserial."""
        require_pyserial()
        self._tasks = [asyncio.create_task(line.run(feed)) for line in self._lines]

    async def wait(self) -> None:
        """Return never where there is a line; raise what ended one, which is a fault of ours."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop listening and give all ports back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def send(self, peer: str, datagram: bytes) -> None:
        """Send one datagram over the line of that name, at once or never."""
        self._by_name[peer].send(datagram)

    def count(self) -> None:
        """Bring health up to date: the state of each line, and what was counted since the last call."""
        for line in self._lines:
            now, before = line.document(), self._counted.get(line.name, {})
            for name, key in _COUNTED.items():
                self._health.count(name, now[key] - before.get(key, 0))
            self._counted[line.name] = self._health.links[line.name] = now
