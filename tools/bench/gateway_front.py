"""A whole gateway on loopback, and devices' own CoAP clients in front of it.

python -m tools.bench.gateway_front PORT FILE       the senders of one lap: prints the seconds until all is in custody
"""

import asyncio
import hashlib
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.clock import SystemClock
from gateway.config import (
    Configuration,
    Files,
    GatewaySection,
    Link,
    ListenSection,
    Settings,
    UplinkSection,
)
from gateway.garbage import rarely_collected
from gateway.points import KillPoint
from gateway.store import Store, open_store
from protocol.aes_host import Aes128
from protocol.coap import CHANGED, POST
from protocol.oscore import OscoreContext
from protocol.segment import parse_segment
from tools.bench.link_transport import self_signed
from tools.bench.race import Lap
from tools.bench.senders import output_of, write_streams
from tools.shim import install

DATABASE = "gateway.db"
_STORE_BYTES_MAX = 1 << 30
# More than a lap sends.
_WAITING_MAX = 1 << 20
# A port on which nobody listens, and a wait that outlasts every lap.
_NO_OFFICE = "https://127.0.0.1:1"
_AWAY_S = 3600.0
_MISS_THE_OFFICE = ("gateway.uplink", "gateway.usage", "gateway.witness")
_KID_BYTES = 2
_ACK_TIMEOUT_MS = 2000
_SEPARATE_TIMEOUT_MS = 20_000


def kid_of(number: int) -> bytes:
    """Return the OSCORE sender ID of a device by its number."""
    return number.to_bytes(_KID_BYTES, "big")


def secret_of(number: int) -> bytes:
    """Return the link secret of a device by its number; it guards nothing but a benchmark on loopback."""
    return hashlib.sha256(f"bench link {number}".encode()).digest()[:16]


def new_store(path: Path) -> Store:
    """Return a gateway's store as the gateway opens it."""
    return open_store(
        path, bytes_max=_STORE_BYTES_MAX, clock=SystemClock(), rng=random.SystemRandom(), point=KillPoint()
    )


async def count_held(path: Path) -> int:
    """Return how many segments a store holds that is opened anew."""
    store = new_store(path)
    held = sum(stop - start for lane in store.lanes.values() for start, stop in lane.held.pairs)
    await store.close()
    return held


async def count_events(path: Path) -> int:
    """Return how many events the segments hold that wait for the office in a store that is opened anew: by the bytes that lie there."""
    store = new_store(path)
    waiting = await store.next_batch(_WAITING_MAX, 0)
    await store.close()
    return sum(parse_segment(raw).header.count for _, raw in waiting.segments)


@asynccontextmanager
async def running_gateway(folder: Path, devices: list[bytes], port: int = 0) -> AsyncIterator[int]:
    """Run a whole gateway for these devices (identities, 8 bytes), its files in a folder; give its port. port: 0 for any.

    Its office is away: it tries once, and not again before the run is over.
    """
    # That the office is away is on purpose here, and no news.
    levels = {name: logging.getLogger(name).level for name in _MISS_THE_OFFICE}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    authority, _ = self_signed(folder)
    uplink = UplinkSection(url=_NO_OFFICE, retry_min_s=_AWAY_S, retry_max_s=_AWAY_S)
    settings = Settings(
        gateway=GatewaySection(site="bench", name="bench"), uplink=uplink, listen=ListenSection(port=port)
    )
    files = Files(
        folder / DATABASE, folder / "links.toml", authority, folder / "token", folder / "identity.pem"
    )
    links = [Link(device, kid_of(number), secret_of(number)) for number, device in enumerate(devices)]
    gateway = Gateway(
        Configuration(settings, files, links, "no token"),
        clock=SystemClock(),
        rng=random.SystemRandom(),
        point=KillPoint(),
    )
    try:
        link = await gateway.start()
        with rarely_collected():
            yield link.port
    finally:
        await gateway.stop()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def lap(folder: Path, devices: list[bytes], streams: list[list[bytes]]) -> Lap:
    """Return one lap: each device sends its segments one after the other, all devices at once, from another process.

    That process also takes the time: a gateway's senders are elsewhere, and their work is not the gateway's.
    """
    with tempfile.TemporaryDirectory(prefix="front-", dir=folder) as place:
        file = write_streams(Path(place), streams)
        seconds = asyncio.run(_serve(Path(place), devices, file))
        return Lap(asyncio.run(count_held(Path(place) / DATABASE)), seconds)


async def _serve(place: Path, devices: list[bytes], file: Path) -> float:
    async with running_gateway(place, devices) as port:
        return float(await output_of("tools.bench.gateway_front", port, file))


async def _send_all(port: int, streams: list[list[bytes]]) -> float:
    clients = [await open_client(port, number) for number in range(len(streams))]
    started = time.perf_counter()
    await asyncio.gather(
        *[_send(client, stream) for (client, _), stream in zip(clients, streams, strict=True)]
    )
    seconds = time.perf_counter() - started
    for _, link in clients:
        link.close()
    return seconds


async def _send(client: Any, stream: list[bytes]) -> None:
    for raw in stream:
        response = await client.request(POST, "s", raw)
        assert response.code == CHANGED, response.code


async def open_client(port: int, number: int) -> tuple[Any, "LoopLink"]:
    """Return a device's own CoAP client with its OSCORE context, and the link under it."""
    install()
    from agent.coap_client import CoapClient

    link = LoopLink()
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: link, remote_addr=("127.0.0.1", port))
    numbers: Iterator[int] = count()
    context = OscoreContext(Aes128, secret_of(number), kid_of(number), b"", lambda: next(numbers))
    client = CoapClient(
        link,
        context,
        lambda: time.monotonic_ns() // 1_000_000,
        random.randbytes,
        ack_timeout_ms=_ACK_TIMEOUT_MS,
        separate_timeout_ms=_SEPARATE_TIMEOUT_MS,
    )
    return client, link


class LoopLink(asyncio.DatagramProtocol):
    """A device's link that waits in the event loop: the agent's own looks again and again, and would measure that.

    sent, received: every datagram, as bytes of CoAP.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._waiting.put_nowait(data)

    def send(self, datagram: bytes) -> None:
        """Send one datagram."""
        assert self._transport is not None
        self.sent.append(datagram)
        self._transport.sendto(datagram)

    async def recv(self, timeout_ms: int) -> bytes | None:
        """Return the next datagram, or None after so many milliseconds."""
        try:
            datagram = await asyncio.wait_for(self._waiting.get(), timeout_ms / 1000)
        except TimeoutError:
            return None
        self.received.append(datagram)
        return datagram

    def close(self) -> None:
        """Give the socket back."""
        if self._transport is not None:
            self._transport.close()


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[2]).read_text())
    print(
        asyncio.run(_send_all(int(sys.argv[1]), [[bytes.fromhex(raw) for raw in stream] for stream in given]))
    )
