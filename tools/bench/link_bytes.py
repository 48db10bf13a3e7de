"""How many bytes a reading costs on the link: our sealed segments and the peers' messages, of the same readings, with all their security.

A reading is one sample of all channels. Ours is captured: the device's own client sends real segments to the real gateway
over loopback, and every datagram is counted, with the headers that UDP and IP add. The peers' messages are made and counted
by `link_transport`. Everybody delivers the same readings together, and everybody's delivery is acknowledged.
"""

import asyncio
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from office_ingest.receive.body import open_events
from protocol.coap import ACK, CHANGED, CON, POST, Message, encode, path_options
from protocol.event import SAMPLE, encode_events
from protocol.keys import CRITICAL, ROUTINE, view_key, view_start
from protocol.segment import parse_segment
from tools.bench.fleet import Row, SealedDevice, Tell, make_fleet
from tools.bench.gateway_front import LoopLink, kid_of, open_client, running_gateway
from tools.bench.link_payloads import json_rows, senml_cbor, sparkplug_b
from tools.bench.link_transport import UDP_HEADERS, Cost, OscorePeer, TlsPeer
from tools.bench.race import LOWER, Case, Figure, check_complete

OURS = "outstation"
_JSON_TOPIC = "v1/devices/me/telemetry"
_SPARKPLUG_TOPIC = "spBv1.0/site/DDATA/gw/pump"
_MEANS = {
    OURS: "sealed segments in CoAP and OSCORE over UDP: order, time, quality, values; sealed end to end, chained",
    "SenML-CBOR": "SenML in CBOR, CoAP and OSCORE over UDP, blocks of 1,024 bytes: time, values",
    "JSON": "array of ts and values, MQTT QoS 1, TLS 1.3 over TCP: time, values",
    "JSON deflated": "the same, compressed with zlib at level 9",
    "Sparkplug B": "DDATA by alias, MQTT QoS 0 as it demands, TLS 1.3 over TCP: time, values, null for missing",
}

Deliver = Callable[[list[Row], int], Cost]


class Delivery(NamedTuple):
    """Readings that travel together: rows, and the number of the first."""

    rows: list[Row]
    first: int


def run(rows: list[Row], folder: Path, seed: int, tell: Tell, batches: dict[int, int]) -> list[Case]:
    """Return one case for each number of readings in a delivery. batches: how many deliveries of each."""
    cases = []
    for size, count in batches.items():
        tell(f"{size} readings together: our segments over loopback, the peers' messages in memory")
        cases.append(_case(rows, size, count, folder, seed))
    return cases


def _case(rows: list[Row], size: int, count: int, folder: Path, seed: int) -> Case:
    (device,) = make_fleet(rows, seed, devices=1, samples=size * count, seal_every=size)
    deliveries = [
        Delivery([rows[(first + at) % len(rows)] for at in range(size)], first)
        for first in range(0, size * count, size)
    ]
    costs = {OURS: capture(device, deliveries, folder)}
    with tempfile.TemporaryDirectory(prefix="tls-", dir=folder) as place:
        for name, deliver in peers(Path(place)).items():
            costs[name] = [deliver(*delivery) for delivery in deliveries]
    figures = tuple(_figure(name, costs[name], size) for name in _MEANS)
    together = (
        "100 readings together" if size == 100 else f"{size} reading{'s' if size > 1 else ''} a message"
    )
    note = "a reading is one sample of both channels; headers of IPv4, UDP and TCP are computed, all else is counted"
    case = Case(together, "bytes/reading", LOWER, size * count, figures, (), note)
    check_complete(case, list(_MEANS), count)
    return case


def _figure(name: str, costs: list[Cost], size: int) -> Figure:
    parts = {part: sum(getattr(cost, part) for cost in costs) / (size * len(costs)) for part in Cost._fields}
    values = tuple(cost.total() / size for cost in costs)
    return Figure(name, _MEANS[name], values, {f"{part}_bytes": value for part, value in parts.items()})


def peers(folder: Path) -> dict[str, Deliver]:
    """Return how each peer delivers. folder: for the certificate of TLS."""
    oscore = OscorePeer(kid_of(0))
    tls = TlsPeer(folder)
    return {
        "SenML-CBOR": lambda rows, first: oscore.deliver("s", senml_cbor(rows, first)),
        "JSON": lambda rows, first: tls.deliver(_JSON_TOPIC, json_rows(rows, first), has_puback=True),
        "JSON deflated": lambda rows, first: tls.deliver(
            _JSON_TOPIC, zlib.compress(json_rows(rows, first), 9), has_puback=True
        ),
        "Sparkplug B": lambda rows, first: tls.deliver(
            _SPARKPLUG_TOPIC, sparkplug_b(rows, first), has_puback=False
        ),
    }


def capture(device: SealedDevice, deliveries: list[Delivery], folder: Path) -> list[Cost]:
    """Return what each delivery of a device's routine segments cost over loopback, to a real gateway and back.

    Fails if the segments do not say exactly the readings of their delivery.
    """
    groups = _group(device, deliveries)
    with tempfile.TemporaryDirectory(prefix="link-", dir=folder) as place:
        return asyncio.run(_capture(device, groups, Path(place)))


def _group(device: SealedDevice, deliveries: list[Delivery]) -> list[list[tuple[bytes, int]]]:
    """Return (segment, bytes of its plaintext events) of each delivery."""
    segments = iter(device.lanes[ROUTINE])
    groups = []
    for delivery in deliveries:
        said: list[Row] = []
        group = []
        while len(said) < len(delivery.rows):
            raw = next(segments)
            values, size = _read(device, raw)
            said += values
            group.append((raw, size))
        assert said == delivery.rows, f"the segments of reading {delivery.first} say something else"
        groups.append(group)
    return groups


def _read(device: SealedDevice, raw: bytes) -> tuple[list[Row], int]:
    segment = parse_segment(raw)
    assert segment.header.period == 0, "the keys of a later view period are not made here"
    boot, events = open_events(segment, view_key(view_start(device.view_root, segment.header.view_class)))
    return [event[3][0] for event in events if event[2] == SAMPLE], len(encode_events(boot, events))


async def _capture(device: SealedDevice, groups: list[list[tuple[bytes, int]]], place: Path) -> list[Cost]:
    costs = []
    async with running_gateway(place, [device.device]) as port:
        client, link = await open_client(port, 0)
        # The first exchange of a session is answered with Echo; that is set-up, as TLS's handshake is.
        await client.request(POST, "s", device.lanes[CRITICAL][0])
        for group in groups:
            cost = Cost(0, 0, 0, 0)
            for raw, size in group:
                cost = Cost(*map(sum, zip(cost, await _send(client, link, raw, size), strict=True)))
            costs.append(cost)
        link.close()
    return costs


async def _send(client: Any, link: LoopLink, raw: bytes, size: int) -> Cost:
    sent, received = link.sent, link.received
    before = (len(sent), len(received))
    response = await client.request(POST, "s", raw)
    assert response.code == CHANGED, response.code
    assert (len(sent), len(received)) == (before[0] + 1, before[1] + 1), "a datagram was sent again"
    request = encode(Message(CON, POST, 0, sent[-1][4:6], path_options("s"), raw))
    answer = encode(Message(ACK, CHANGED, 0, sent[-1][4:6], (), response.payload))
    protected = len(sent[-1]) + len(received[-1])
    plain = len(request) + len(answer)
    return Cost(size, len(raw) - size, protected - plain, plain - len(raw) + 2 * UDP_HEADERS)
