"""The groups that a device asks when it looks for its gateway: joined on every network of this machine, also on those that come later.

One socket for each group and network. It only hears; answers go out from the address of the UDP link, after a while of their own
(`server.LEISURE_S`), and only to the question what is here.

Source: RFC 7252 sections 8.1 and 12.8; ip(7) and ipv6(7) (IP_MULTICAST_ALL); RFC 3493 section 5.2.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Any

from gateway.links.udp import UdpLink
from protocol.coap import datagram_bytes_max

_log = logging.getLogger("gateway.links.groups")

# All CoAP nodes: of the IPv4 network, of the link and of the site.
IPV4_GROUPS = ("224.0.1.187",)
IPV6_GROUPS = ("ff02::fd", "ff05::fd")
# Networks come and go: a cable, a radio, an address that is given later.
LOOK_S = 10.0
_READ_BYTES = datagram_bytes_max + 1
# Questions taken at one look, so that what devices send goes on in a flood of them.
_READ_AT_ONCE = 8
# Linux's numbers; Python's socket module has no names for them before 3.14.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29


class Groups:
    """link: answers. port: where is asked. interfaces: their indices, None: all that there are, looked at again and again."""

    def __init__(self, link: UdpLink, port: int, interfaces: list[int] | None = None):
        self._link = link
        self._port = port
        self._interfaces = interfaces
        self._loop = asyncio.get_running_loop()
        self._joined: dict[tuple[str, int], socket.socket] = {}

    @property
    def joined(self) -> list[tuple[str, int]]:
        """Group and index of the network of each membership."""
        return sorted(self._joined)

    async def keep(self) -> None:
        """Belong to the groups on whatever networks there are, for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Join where a network came, leave where one went."""
        wanted = self._wanted()
        for key in set(self._joined) - wanted:
            self._leave(key)
        for key in sorted(wanted - set(self._joined)):
            opened = self._join(*key)
            if opened is not None:
                self._joined[key] = opened
                self._loop.add_reader(opened, self._read, opened)

    def close(self) -> None:
        """Leave all groups."""
        for key in list(self._joined):
            self._leave(key)

    def _wanted(self) -> set[tuple[str, int]]:
        groups: list[str] = []
        if self._link.family == socket.AF_INET or self._link.is_any:
            groups += IPV4_GROUPS
        if self._link.family == socket.AF_INET6:
            groups += IPV6_GROUPS
        interfaces = self._interfaces
        if self._link.family == socket.AF_INET and not self._link.is_any:
            # The network of the one address that devices can reach.
            interfaces = [0]
        elif interfaces is None:
            interfaces = [index for index, _ in socket.if_nameindex()]
        return {(group, index) for group in groups for index in interfaces}

    def _join(self, group: str, index: int) -> socket.socket | None:
        """Return a socket that hears a group on one network, None where that cannot be: no such family there, or it is just going."""
        try:
            if ":" in group:
                return _join_ipv6(group, index, self._port)
            # Of index 0 the network is that of an address.
            own = "0.0.0.0" if index else self._link.address
            return _join_ipv4(group, index, own, self._port)
        except OSError as error:
            _log.debug("cannot join %s on network %d: %s", group, index, error)
            return None

    def _leave(self, key: tuple[str, int]) -> None:
        opened = self._joined.pop(key)
        self._loop.remove_reader(opened)
        opened.close()

    def _read(self, opened: socket.socket) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                datagram, peer = opened.recvfrom(_READ_BYTES)
            except OSError:
                return
            self._link.feed_group(peer, datagram)


def _join_ipv4(group: str, index: int, own: str, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with _closed_if_it_fails(opened):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        opened.bind((group, port))
        named = struct.pack("4s4si", socket.inet_aton(group), socket.inet_aton(own), index)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, named)
    return opened


def _join_ipv6(group: str, index: int, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with _closed_if_it_fails(opened):
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        opened.bind((group, port, 0, index))
        named = socket.inet_pton(socket.AF_INET6, group) + struct.pack("i", index)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, named)
    return opened


def _closed_if_it_fails(opened: socket.socket) -> Any:
    stack = contextlib.ExitStack()
    stack.push(lambda kind, *_: opened.close() if kind else None)
    return stack
