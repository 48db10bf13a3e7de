"""Whether this machine carries multicast over loopback, and what a test needs to use it."""

import contextlib
import socket
import struct

from agent.links.search import GROUPS

IPV4_GROUP = GROUPS[0]


def free_group_port():
    """Return a port that nobody uses, on any address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _hinder():
    """Return why no datagram to a group arrives over loopback, None where one does."""
    with (
        contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as heard,
        contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as said,
    ):
        try:
            heard.bind((IPV4_GROUP, 0))
            named = struct.pack("4s4s", socket.inet_aton(IPV4_GROUP), socket.inet_aton("127.0.0.1"))
            heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, named)
            heard.settimeout(2)
            said.bind(("127.0.0.1", 0))
            said.sendto(b"here", (IPV4_GROUP, heard.getsockname()[1]))
            heard.recv(16)
        except OSError as error:
            return f"this machine carries no multicast over loopback: {error}"
    return None


NO_MULTICAST = _hinder()
