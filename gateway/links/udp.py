"""The gateway's UDP socket under `server`: IPv4, IPv6 or both, many datagrams at each look.

Where the settings name no single address ("::" or "0.0.0.0"), each answer goes out from the address that its request came to:
a device that connected its socket hears no other.

Source: RFC 3542 section 6 (IPV6_PKTINFO), ip(7) (IP_PKTINFO); RFC 7252 section 5.3.2 (an answer comes from where the request went).
"""

import asyncio
import ipaddress
import socket
from typing import Any

from gateway.links.server import CoapServer, Site
from protocol.coap import datagram_bytes_max
from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError

# One byte more than allowed, so that a longer datagram is seen to be too long and not taken for a whole one.
_READ_BYTES = datagram_bytes_max + 1
# Datagrams taken at one look, so that answers, commits and timers get their turn in a flood.
_READ_AT_ONCE = 64
# What may wait in the system while a commit or a flood keeps us busy: some thousand datagrams. The system may give less.
_BUFFER_BYTES = 4 << 20
_ANCILLARY_BYTES = 64
# Linux's number; Python's socket module names it from 3.14 on.
_IP_PKTINFO = 8
# An IPv4 address as Python's sockets give it has host and port; one of IPv6 has flow and zone as well.
_IPV4_NAME = 2


class UdpLink:
    """A bound socket and the server that answers on it. host, port: as bound; port is real also where 0 was asked for."""

    def __init__(self, opened: socket.socket, site: Site, host: str):
        self._socket = opened
        self._loop = asyncio.get_running_loop()
        self.host = host
        self.port: int = opened.getsockname()[1]
        self.lost = 0
        self.family = opened.family
        self.address: str = opened.getsockname()[0].partition("%")[0]
        # Whether we listen on all of our addresses.
        self.is_any = is_any = ipaddress.ip_address(self.address).is_unspecified
        self.server = CoapServer(site, self._send_from if is_any else self._send)
        self._loop.add_reader(opened, self._read_to if is_any else self._read)

    async def close(self) -> None:
        """Stop answering and give the socket back."""
        self._loop.remove_reader(self._socket)
        await self.server.close()
        self._socket.close()

    def feed_group(self, peer: Any, datagram: bytes) -> None:
        """Take what came to a group that this gateway belongs to (`groups`); what is answered goes out from the link's own address."""
        if self.family == socket.AF_INET6 and len(peer) == _IPV4_NAME:
            peer = (f"::ffff:{peer[0]}", peer[1], 0, 0)
        self.server.feed((peer, ()) if self.is_any else peer, datagram, is_multicast=True)

    def _read(self) -> None:
        feed, recv = self.server.feed, self._socket.recvfrom
        for _ in range(_READ_AT_ONCE):
            try:
                datagram, peer = recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error of something sent before; the socket goes on.
                continue
            feed(peer, datagram)

    def _send(self, peer: Any, datagram: bytes) -> None:
        try:
            self._socket.sendto(datagram, peer)
        except OSError:
            # As if it were lost on the way: whoever waits for it asks again.
            self.lost += 1

    def _read_to(self) -> None:
        """As _read, and note to which of our addresses each datagram came."""
        feed, recv = self.server.feed, self._socket.recvmsg
        for _ in range(_READ_AT_ONCE):
            try:
                datagram, ancillary, _, peer = recv(_READ_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            # What says where it came to is what says where the answer comes from.
            feed((peer, tuple(ancillary)), datagram)

    def _send_from(self, peer: Any, datagram: bytes) -> None:
        try:
            self._socket.sendmsg([datagram], peer[1], 0, peer[0])
        except OSError:
            self.lost += 1


async def listen(site: Site, host: str, port: int) -> UdpLink:
    """Return the link, bound and answering. host "::": IPv6 and IPv4. Raises DiagnosticError (exit 3) if the address cannot be had."""
    try:
        family, *_, address = (
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        )[0]
        opened = _open(family, address)
    except OSError as error:
        raise DiagnosticError(
            Diagnostic(
                "address-unusable",
                f"cannot listen on {host} port {port}: {error.strerror or error}",
                fix="stop what uses it, or change host and port under [listen]",
            ),
            UNREACHABLE,
        ) from None
    return UdpLink(opened, site, host)


def _open(family: int, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened
