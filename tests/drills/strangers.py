"""What strangers send to a gateway's socket, from how many addresses, and what comes back."""

import asyncio
import random
import socket
from dataclasses import dataclass

from protocol import coap
from tests.site.test_bad_links import STRANGERS

# Datagrams of one socket between two looks at what came back, and the pause after as many over all sockets.
_BURST = 250
_PAUSE_S = 0.02
_READ_BYTES = 2048


@dataclass
class Traffic:
    """What was sent and what came back: datagrams and bytes of UDP payload."""

    sent: int = 0
    sent_bytes: int = 0
    answers: int = 0
    answer_bytes: int = 0

    @property
    def ratio(self) -> float:
        """Bytes that came back for each byte that was sent."""
        return round(self.answer_bytes / self.sent_bytes, 2) if self.sent_bytes else 0.0


class Captured:
    """keep() of a relay that remembers requests of devices as they pass. While is_cut, it drops everything."""

    def __init__(self, most: int = 400):
        self.requests = []
        self.is_cut = False
        self._most = most

    def __call__(self, upward, datagram):
        if self.is_cut:
            return False
        if upward and len(datagram) > 4 and datagram[0] >> 4 == 4 and len(self.requests) < self._most:
            self.requests.append(datagram)
        return True


def again(datagram: bytes, message_id: int) -> bytes:
    """Return a captured request under another message identifier, which nothing protects: no server has seen it yet."""
    return datagram[:2] + message_id.to_bytes(2, "big") + datagram[4:]


def junk(chance: random.Random, samples: list[bytes]) -> bytes:
    """Return noise, a stranger's request, or a captured one with some bytes changed, cut off or added."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 200))
    if kind == 1:
        return again(chance.choice(list(STRANGERS.values())), chance.randrange(1 << 16))
    raw = bytearray(chance.choice(samples))
    for _ in range(chance.randrange(1, 4)):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(
        raw[: chance.randrange(1, len(raw) + 1)] if kind == 2 else raw + chance.randbytes(chance.randrange(9))
    )


def open_socket(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a socket at an address of the loopback, connected to the gateway."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.bind((host, 0))
    opened.connect(("127.0.0.1", port))
    return opened


def collect(opened: socket.socket, traffic: Traffic) -> None:
    """Count what lies in a socket."""
    while True:
        try:
            raw = opened.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue
        traffic.answers += 1
        traffic.answer_bytes += len(raw)


def send(opened: socket.socket, datagram: bytes, traffic: Traffic) -> None:
    """Send one datagram, or count nothing where the system refuses it."""
    try:
        opened.send(datagram)
    except (BlockingIOError, ConnectionRefusedError):
        return
    traffic.sent += 1
    traffic.sent_bytes += len(datagram)


async def flood(port: int, datagrams, sockets: int = 32) -> Traffic:
    """Send datagrams one after the other without waiting for answers; return what went and came."""
    traffic = Traffic()
    opened = [open_socket(port) for _ in range(sockets)]
    try:
        for index, datagram in enumerate(datagrams):
            at = opened[index // _BURST % sockets]
            send(at, datagram, traffic)
            if index % _BURST == _BURST - 1:
                collect(at, traffic)
                await asyncio.sleep(_PAUSE_S)
        await asyncio.sleep(1.0)
        for at in opened:
            collect(at, traffic)
    finally:
        for at in opened:
            at.close()
    return traffic


async def ask(port: int, datagrams: list[bytes], seconds: float, hosts=None) -> list[Traffic]:
    """Send each datagram from a socket of its own, all at once; return what came back to each within the time."""
    opened = [open_socket(port, hosts[index] if hosts else "127.0.0.1") for index in range(len(datagrams))]
    found = [Traffic() for _ in datagrams]
    try:
        for index, datagram in enumerate(datagrams):
            send(opened[index], datagram, found[index])
            if index % _BURST == _BURST - 1:
                await asyncio.sleep(_PAUSE_S)
        await asyncio.sleep(seconds)
        for at, traffic in zip(opened, found, strict=True):
            collect(at, traffic)
    finally:
        for at in opened:
            at.close()
    return found


async def insist(port: int, datagrams, in_flight: int = 64) -> Traffic:
    """Send datagrams and wait for an answer to about each, so that the gateway reads them all."""
    traffic = Traffic()
    with open_socket(port) as at:
        for index, datagram in enumerate(datagrams):
            send(at, datagram, traffic)
            if index % in_flight == in_flight - 1:
                await _catch_up(at, traffic, in_flight)
        await _catch_up(at, traffic, 0)
    return traffic


async def _catch_up(at, traffic, behind):
    for _ in range(100):
        collect(at, traffic)
        if traffic.sent - traffic.answers <= behind // 2:
            return
        await asyncio.sleep(0.002)
    # What did not come by now was dropped.
    traffic.answers = max(traffic.answers, traffic.sent - behind // 2)


def spoofed(chance: random.Random, count: int) -> list[str]:
    """Return so many different addresses of the loopback network."""
    numbers = chance.sample(range(1 << 16, 1 << 24), count)
    return [f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255 or 1}" for number in numbers]


def plain_requests() -> list[bytes]:
    """Return small requests without protection, on every path and with every method: the smallest a stranger can send."""
    codes = (coap.GET, coap.POST, coap.FETCH)
    paths = ("s", "h", "r/1", "c/1", ".well-known/core", "")
    messages = [
        coap.encode(coap.Message(kind, code, 7, token, coap.path_options(path) if path else [], b""))
        for kind in (coap.CON, coap.NON)
        for code in codes
        for path in paths
        for token in (b"", b"abcdefgh")
    ]
    return messages + list(STRANGERS.values())
