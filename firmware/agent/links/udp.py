"""Datagrams over UDP, on MicroPython and, through the shim, on CPython.

A datagram that cannot be sent or received now is lost, as it would be in the air: the CoAP client repeats it. Nothing is
raised for it, it is counted.
"""

import asyncio
import socket
from errno import EAGAIN

from protocol._const import const
from protocol.coap import datagram_bytes_max

# Between two looks at the socket; it grows while nothing comes. Only an exchange under way looks at all.
_LOOK_MS_MIN = const(1)
_LOOK_MS_MAX = const(16)


class UdpLink:
    """Moves datagrams to and from one address.

    host, port: the gateway, as its configuration names it. The socket is opened with the first datagram, and opened anew
    after an error, so that a network or a name that comes later is found then. Connected: datagrams from other addresses
    never arrive.

    Counts, all rising: sent_bytes, received_bytes (CoAP bytes, without UDP and IP), lost (datagrams that the system refused).
    """

    def __init__(self, host: str, port: int):
        self._host = host
        self._port = port
        self._socket = None
        self.sent_bytes = 0
        self.received_bytes = 0
        self.lost = 0

    def send(self, datagram: bytes) -> None:
        """Send one datagram, at once or never."""
        try:
            self._open().send(datagram)
        except OSError:
            self._fail()
            return
        self.sent_bytes += len(datagram)

    async def recv(self, timeout_ms: int):
        """Return the next datagram, or None: after timeout_ms, or earlier when the system reports an error.

        It looks again and again instead of waiting in the event loop: asyncio.wait_for of MicroPython runs what it waits for
        in a task that swallows every exception when the time is up at that moment, and with it the interrupt that stops a device.
        """
        waited_ms = 0
        look_ms = _LOOK_MS_MIN
        while True:
            try:
                datagram = self._open().recv(_READ_BYTES)
                self.received_bytes += len(datagram)
                return datagram
            except OSError as error:
                if error.errno != EAGAIN:
                    # Nobody listens on the port. Waiting a little keeps a loop around this call from spinning.
                    self._fail()
                    await asyncio.sleep(min(timeout_ms, 50) / 1000)
                    return None
            if waited_ms >= timeout_ms:
                return None
            pause_ms = min(look_ms, timeout_ms - waited_ms)
            await asyncio.sleep(pause_ms / 1000)
            waited_ms += pause_ms
            look_ms = min(2 * look_ms, _LOOK_MS_MAX)

    def close(self) -> None:
        """Give the socket back; the next datagram opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self):
        if self._socket is None:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, 0, socket.SOCK_DGRAM
            )[0]
            opened = socket.socket(family, kind, protocol)
            opened.setblocking(False)
            try:
                opened.connect(address)
            except OSError:
                opened.close()
                raise
            self._socket = opened  # type: ignore[assignment]  # None until then
        return self._socket

    def _fail(self) -> None:
        self.lost += 1
        self.close()


# One byte more than allowed, so that a longer datagram is seen to be too long and not taken for a whole one.
_READ_BYTES = datagram_bytes_max + 1
