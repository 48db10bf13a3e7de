"""Datagrams over a serial line, framed by slipmux.

A datagram that is spoiled on the way is lost, as it would be in the air: the CoAP client repeats it.
"""

import asyncio

from protocol._const import const
from protocol.slipmux import COAP, FrameReader, encode_frame

# Between two looks at the line; it grows while nothing comes. Only an exchange under way looks at all.
_LOOK_MS_MIN = const(1)
_LOOK_MS_MAX = const(16)
_READ_BYTES = const(256)
# Frames that wait to be asked for: one request is outstanding, what is older answers nothing any more.
_WAITING_MAX = const(4)


class SerialLink:
    """Moves datagrams over one line.

    uart: read(n) gives what has come, at most n bytes, or None without waiting; write(bytes).

    Counts, all rising: sent_bytes, received_bytes (CoAP bytes, without framing), lost (frames that were spoiled or not asked for).
    """

    def __init__(self, uart):
        self._uart = uart
        self._reader = FrameReader()
        self._waiting = []
        self._overrun = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def lost(self) -> int:
        """Frames that did not become datagrams."""
        return self._reader.dropped + self._overrun

    def send(self, datagram: bytes) -> None:
        """Send one datagram, at once."""
        self._uart.write(encode_frame(datagram))
        self.sent_bytes += len(datagram)

    async def recv(self, timeout_ms: int):
        """Return the next datagram, or None after timeout_ms. Looks again and again, as links/udp.py does and for its reason."""
        waited_ms = 0
        look_ms = _LOOK_MS_MIN
        while True:
            self._look()
            if self._waiting:
                datagram = self._waiting.pop(0)
                self.received_bytes += len(datagram)
                return datagram
            if waited_ms >= timeout_ms:
                return None
            pause_ms = min(look_ms, timeout_ms - waited_ms)
            await asyncio.sleep(pause_ms / 1000)
            waited_ms += pause_ms
            look_ms = min(2 * look_ms, _LOOK_MS_MAX)

    def close(self) -> None:
        """Forget what has come and was not asked for. The line stays ours: it has no other user."""
        self._look()
        self._waiting = []

    def _look(self) -> None:
        while True:
            piece = self._uart.read(_READ_BYTES)
            if not piece:
                return
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        for kind, content in self._reader.feed(piece):
            if kind == COAP:
                self._waiting.append(content)
        while len(self._waiting) > _WAITING_MAX:
            self._waiting.pop(0)
            self._overrun += 1
