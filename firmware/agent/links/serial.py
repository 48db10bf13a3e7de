"""Datagrams over a serial line, framed by slipmux.

A datagram that is spoiled on the way is lost, as it would be in the air: the CoAP client repeats it.
"""

from agent.links import look_again
from protocol._const import const
from protocol.slipmux import COAP, FrameReader, encode_frame

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
        """Return the next datagram, or None after timeout_ms."""
        return await look_again(self._next, timeout_ms)

    def close(self) -> None:
        """Forget what has come and was not asked for. The line stays ours: it has no other user."""
        self._look()
        self._waiting = []

    def _next(self):
        self._look()
        if not self._waiting:
            return None
        datagram = self._waiting.pop(0)
        self.received_bytes += len(datagram)
        return datagram

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
