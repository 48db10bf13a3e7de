"""How many requests a second a gateway answers over UDP, beside a bare echo, aiocoap and libcoap's server.

Ours is the whole gateway: OSCORE opened, the segment parsed, on disk in a group commit with fsync, the answer sealed. The others keep
nothing and verify nothing: they are what the socket, a library in Python and a library in C can do. The same sender, in
another process, asks all of them with the same segments, one outstanding a socket. Twice: segments as devices make them, of which most
hold one event of the critical lane, in requests; and segments of 100 events each, in events.
"""

import asyncio
import json
import shutil
import socket
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from gateway.app import new_loop
from protocol.keys import ROUTINE
from protocol.segment import parse_segment
from tools.bench.fleet import SealedDevice, Tell
from tools.bench.gateway_front import DATABASE, count_events, count_held, running_gateway
from tools.bench.race import Case, Contender, Lap, Skipped, race
from tools.bench.senders import output_of, write_streams
from tools.ports import free_port

Server = Callable[[], AbstractAsyncContextManager[int]]
_NOTE = (
    "one request outstanding a socket, prepared beforehand, asked from another process on the same machine"
)
_LIBCOAP = "coap-server-notls"
# Events of each segment of the second case.
FULL_EVENTS = 100


class Load(NamedTuple):
    """What is sent: segments of each device, in order. events: what each of them counts for; None: for the one request that it is."""

    devices: list[bytes]
    streams: list[list[bytes]]
    events: int | None = None


def run(
    fleet: list[SealedDevice],
    full: list[SealedDevice],
    folder: Path,
    rounds: int,
    tell: Tell,
    requests: int,
) -> list[Case]:
    """Return the cases of a fleet's segments, and of one whose segments are full. requests: of a lap of the first, over all devices."""
    each = max(1, requests // len(fleet))
    mixed = Load([device.device for device in fleet], [device.all()[:each] for device in fleet])
    return [
        _case(f"{len(fleet)} devices", "requests/s", mixed, folder, rounds, tell),
        _case(
            f"{len(full)} devices, {FULL_EVENTS} events a segment",
            "events/s",
            load_of_full(full),
            folder,
            rounds,
            tell,
        ),
    ]


def load_of_full(full: list[SealedDevice]) -> Load:
    """Return what devices send whose every routine segment holds FULL_EVENTS."""
    streams = [device.lanes[ROUTINE] for device in full]
    counts = {parse_segment(raw).header.count for stream in streams for raw in stream}
    assert counts == {FULL_EVENTS}, counts
    return Load([device.device for device in full], streams, FULL_EVENTS)


def _case(name: str, unit: str, load: Load, folder: Path, rounds: int, tell: Tell) -> Case:
    def contender(title: str, means: str, server: Server, kind: str) -> Contender:
        return Contender(title, means, lambda: _peer_lap(folder, server, kind, load))

    runners: list[Contender | Skipped] = [
        Contender(
            "outstation",
            "OSCORE opened, on disk (SQLite WAL, synchronous=FULL) before the sealed answer",
            lambda: _own_lap(folder, load),
        ),
        contender("asyncio echo", "gives each datagram back; asyncio, no CoAP", _echo, "s"),
        _aiocoap(contender),
        _libcoap(contender),
    ]
    return race(name, unit, runners, rounds, tell, _NOTE)


def _own_lap(folder: Path, load: Load) -> Lap:
    with tempfile.TemporaryDirectory(prefix="requests-", dir=folder) as name:
        place = Path(name)
        took = _with_loop(_ask(place, lambda: running_gateway(place, load.devices), "oscore", load.streams))
        held = asyncio.run(count_held(place / DATABASE))
        events = asyncio.run(count_events(place / DATABASE))
    seconds, repeated = took["seconds"], took["repeated"]
    if load.events is None:
        return Lap(held, seconds, {"events_per_s": events / seconds, "repeated": repeated})
    return Lap(events, seconds, {"requests_per_s": held / seconds, "repeated": repeated})


def _peer_lap(folder: Path, server: Server, kind: str, load: Load) -> Lap:
    with tempfile.TemporaryDirectory(prefix="requests-", dir=folder) as name:
        took = asyncio.run(_ask(Path(name), server, kind, load.streams))
    return Lap(int(took["answered"]) * (load.events or 1), took["seconds"])


def _with_loop(coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)


async def _ask(place: Path, server: Server, kind: str, streams: list[list[bytes]]) -> dict[str, float]:
    file = write_streams(place, streams)
    async with server() as port:
        said = await output_of("tools.bench.request_sender", port, kind, file)
    found: dict[str, float] = json.loads(said)
    return found


# ---- the peers


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(data, addr)


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        _Echo, local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def _aiocoap(contender: Any) -> Contender | Skipped:
    if find_spec("aiocoap") is None:
        return Skipped("aiocoap", "aiocoap is not installed", "pip install 'outstation[dev]'")
    return contender(
        "aiocoap", "a resource that answers 2.04 and keeps nothing; asyncio, no OSCORE", _bare, "s"
    )  # type: ignore[no-any-return]


@asynccontextmanager
async def _bare() -> AsyncIterator[int]:
    import aiocoap
    from aiocoap import resource

    class Taker(resource.Resource):
        async def render_post(self, request: Any) -> Any:
            return aiocoap.Message(code=aiocoap.CHANGED)

    port = free_port(socket.SOCK_DGRAM)
    site = resource.Site()
    site.add_resource(["s"], Taker())
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])
    try:
        yield port
    finally:
        await context.shutdown()


def _libcoap(contender: Any) -> Contender | Skipped:
    if shutil.which(_LIBCOAP) is None:
        return Skipped("libcoap", f"{_LIBCOAP} is not installed", "sudo apt-get install libcoap3-bin")
    means = "coap-server-notls in C: a PUT into memory, no OSCORE"
    return contender("libcoap", means, _in_c, "put:example_data")  # type: ignore[no-any-return]


@asynccontextmanager
async def _in_c() -> AsyncIterator[int]:
    port = free_port(socket.SOCK_DGRAM)
    words = [_LIBCOAP, "-A", "127.0.0.1", "-p", str(port), "-v", "1"]
    process = await asyncio.create_subprocess_exec(*words, stdout=DEVNULL, stderr=DEVNULL)
    try:
        # The sender repeats what a server that is not there yet did not hear, before its clock starts or after.
        await asyncio.sleep(0.3)
        yield port
    finally:
        process.terminate()
        await process.wait()
