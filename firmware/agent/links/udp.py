"""Datagrams over UDP, on MicroPython and, through the shim, on CPython.

A datagram that cannot be sent or received now is lost, as it would be in the air: the CoAP client repeats it. Nothing is
raised for it, it is counted.
"""

import asyncio
import socket
from errno import EAGAIN

from agent.links import look_again
from protocol._const import const
from protocol.coap import datagram_bytes_max

# Nobody listens on the port: waiting a little keeps a loop around recv() from spinning.
_REFUSED_MS = const(50)


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
        """Return the next datagram, or None: after timeout_ms, or earlier when the system reports an error."""
        datagram = await look_again(self._look, timeout_ms)
        if datagram == b"":
            await asyncio.sleep(min(timeout_ms, _REFUSED_MS) / 1000)
            return None
        return datagram

    def close(self) -> None:
        """Give the socket back; the next datagram opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _look(self):
        try:
            datagram = self._open().recv(READ_BYTES)
        except OSError as error:
            if error.errno == EAGAIN:
                return None
            self._fail()
            return b""
        self.received_bytes += len(datagram)
        return datagram

    def _open(self):
        if self._socket is None:
            family, kind, protocol, address = self._resolve()
            opened = socket.socket(family, kind, protocol)
            opened.setblocking(False)
            try:
                opened.connect(address)
            except OSError:
                opened.close()
                raise
            self._socket = opened  # type: ignore[assignment]  # None until then
        return self._socket

    def _resolve(self) -> tuple:
        found = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_DGRAM)[0]
        return found[0], found[1], found[2], found[4]

    def _fail(self) -> None:
        self.lost += 1
        self.close()


# One byte more than allowed, so that a longer datagram is seen to be too long and not taken for a whole one.
READ_BYTES = datagram_bytes_max + 1


def make_udp(link: dict, random_bytes):
    """Return the way over UDP that the settings under `link` mean: to an address, or to whoever is found."""
    host = link["host"] or ""
    if host and not link.get("discover"):
        return UdpLink(host, link["port"])
    # A device that knows its gateway has no use for it in its heap.
    from agent.links.search import GROUPS, SearchLink

    return SearchLink(host, link["port"], random_bytes, link.get("groups") or GROUPS, link.get("local") or "")
