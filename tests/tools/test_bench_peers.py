"""The peers are fair: other libraries read from their messages the very readings, and their transports cost what they must."""

import json
import zlib

import cbor2
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.tools.bench_work import synthetic_rows
from tools.bench import nats_peer
from tools.bench.link_payloads import STEP_MS, json_rows, senml_cbor, sparkplug_b, time_ms
from tools.bench.link_transport import OscorePeer, TlsPeer, publish
from tools.bench.race import Contender, Skipped
from tools.shim import install

NAMES = ("flow", "temperature")
SCALES = (100, 10)
FIRST = 5


@pytest.fixture
def rows(tmp_path):
    """120 readings, of which some lack a value."""
    found = synthetic_rows(tmp_path)[:120]
    assert any(None in row for row in found)
    return found


def _fixed(channel, value):
    return round(value * SCALES[channel])


def test_json_holds_the_readings(rows):
    """Times and values come back exactly; a missing value is no key."""
    said = json.loads(json_rows(rows, FIRST))

    assert [entry["ts"] for entry in said] == [time_ms(FIRST + place) for place in range(len(rows))]
    assert [
        [
            _fixed(at, entry["values"][name]) if name in entry["values"] else None
            for at, name in enumerate(NAMES)
        ]
        for entry in said
    ] == rows


def test_senml_holds_the_readings(rows):
    """Resolved as RFC 8428 says, with base name, unit and time, each record is a reading of its channel."""
    found = {}
    base = {}
    for record in cbor2.loads(senml_cbor(rows, FIRST)):
        base |= {label: value for label, value in record.items() if label < 0}
        channel = NAMES.index(base[-2])
        assert base[-4] == ("l/s", "Fahr")[channel]
        found[channel, base[-3] + record.get(6, 0)] = _fixed(channel, record[2])

    assert found == {
        (channel, time_ms(FIRST + place) // 1000): value
        for place, row in enumerate(rows)
        for channel, value in enumerate(row)
        if value is not None
    }


def _sparkplug_payload():
    """Return the class of Payload, made from the field numbers of sparkplug_b.proto by the protobuf library."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    metric = file.message_type.add(name="Metric")
    for name, number, kind in (
        ("alias", 2, field.TYPE_UINT64),
        ("timestamp", 3, field.TYPE_UINT64),
        ("is_null", 7, field.TYPE_BOOL),
        ("int_value", 10, field.TYPE_UINT32),
    ):
        metric.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=field.TYPE_UINT64, label=field.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=".sparkplug.Metric",
        label=field.LABEL_REPEATED,
    )
    payload.field.add(name="seq", number=3, type=field.TYPE_UINT64, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


def test_sparkplug_holds_the_readings(rows):
    """The protobuf library reads every metric by its alias, null where a value is missing, and knows every byte."""
    payload = _sparkplug_payload().FromString(sparkplug_b(rows, FIRST))
    values = [None if metric.is_null else metric.int_value for metric in payload.metrics]

    assert [values[at : at + 2] for at in range(0, len(values), 2)] == rows
    assert [metric.alias for metric in payload.metrics] == [0, 1] * len(rows)
    assert [metric.timestamp for metric in payload.metrics[::2]] == [
        time_ms(FIRST + at) for at in range(len(rows))
    ]
    assert payload.seq == FIRST
    assert payload.SerializeToString() == sparkplug_b(rows, FIRST)


def test_deflated_json_is_the_same_json(rows):
    """Compression loses nothing."""
    assert zlib.decompress(zlib.compress(json_rows(rows, 0), 9)) == json_rows(rows, 0)


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 5000, 20_000])
@pytest.mark.parametrize("packet_id", [None, 7])
def test_publish_is_an_mqtt_packet(size, packet_id):
    """Its remaining length is the rest of it, and topic, packet id and payload stand where MQTT 3.1.1 has them."""
    packet = publish("site/pump", b"x" * size, packet_id)
    length = shift = 0
    at = 1
    while True:
        length |= (packet[at] & 0x7F) << shift
        shift += 7
        at += 1
        if packet[at - 1] < 0x80:
            break

    assert length == len(packet) - at
    assert packet[0] == (0x30 if packet_id is None else 0x32)
    topic = int.from_bytes(packet[at : at + 2], "big")
    assert packet[at + 2 : at + 2 + topic] == b"site/pump"
    rest = packet[at + 2 + topic :]
    assert rest == (b"" if packet_id is None else packet_id.to_bytes(2, "big")) + b"x" * size


def test_tls_record_costs_what_rfc_8446_says(tmp_path):
    """A record of TLS 1.3 adds a head of 5, a type of 1 and a tag of 16 bytes, each way."""
    tls = TlsPeer(tmp_path)

    assert [tls.up(b"x" * size) - size for size in (1, 100, 16_384)] == [22, 22, 22]
    assert tls.up(b"x" * 16_385) - 16_385 == 44
    assert tls.down(b"xyz") == 25
    assert tls.setup > 1000


def test_delivery_over_tls_counts_payload_once_and_every_acknowledgement(tmp_path):
    """At QoS 1: a segment up, PUBACK down, an acknowledgement up; at QoS 0: a segment and TCP's acknowledgement."""
    tls = TlsPeer(tmp_path)
    sure = tls.deliver("topic", bytes(100), has_puback=True)
    hoped = tls.deliver("topic", bytes(100), has_puback=False)

    assert (sure.payload, sure.seal, sure.channel, sure.headers) == (100, 0, 44, 2 + 7 + 2 + 4 + 3 * 40)
    assert (hoped.payload, hoped.channel, hoped.headers) == (100, 22, 2 + 7 + 2 * 40)
    assert tls.deliver("topic", bytes(1500), has_puback=False).headers == 3 + 7 + 3 * 40


@pytest.mark.parametrize(("size", "blocks"), [(1, 1), (1024, 1), (1025, 2), (5000, 5)])
def test_delivery_over_oscore_counts_every_block_and_its_answer(size, blocks):
    """Each block and each answer is protected by itself: a tag of 8 bytes, a code, the options that OSCORE needs."""
    cost = OscorePeer(b"\0\1").deliver("s", bytes(size))

    assert cost.payload == size
    assert 2 * 8 * blocks < cost.channel < 2 * 20 * blocks
    assert cost.headers > 2 * 28 * blocks


# Says its version, and does not know our settings or does.
VERSION = '[ "$1" = --version ] && echo nats-server: v2.9.10'


def _program(folder, text):
    path = folder / "nats-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (f"{VERSION} || exit 1", "nats-server 2.9.10 does not know sync_interval: always"),
        ("echo hello", "no nats-server that runs here"),
        ("exit 1", "no nats-server that runs here"),
    ],
)
def test_peer_that_cannot_keep_the_promise_is_skipped_with_a_reason(tmp_path, monkeypatch, says, why):
    """A server that is too old, or none at all, is named, with the command that installs the right one."""
    monkeypatch.setenv(nats_peer.VARIABLE, _program(tmp_path, says))
    with nats_peer.nats_peer(tmp_path) as peer:
        found = peer.contender([[b"x"]])

    assert isinstance(found, Skipped)
    assert why in found.why
    assert "apt-get install nats-server" in found.fix


def test_peer_that_is_not_installed_is_skipped_with_a_reason(tmp_path, monkeypatch):
    """No server anywhere is no error."""
    monkeypatch.delenv(nats_peer.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nats_peer.sys, "executable", str(tmp_path / "python"))
    with nats_peer.nats_peer(tmp_path) as peer:
        found = peer.contender([[b"x"]])

    assert isinstance(found, Skipped)
    assert found.why == "nats-server is not installed"


def test_peer_without_its_client_is_skipped_with_a_reason(tmp_path, monkeypatch):
    """The server alone publishes nothing."""
    monkeypatch.setenv(nats_peer.VARIABLE, _program(tmp_path, f"{VERSION}; exit 0"))
    monkeypatch.setattr(nats_peer, "find_spec", lambda name: None)
    with nats_peer.nats_peer(tmp_path) as peer:
        found = peer.contender([[b"x"]])

    assert isinstance(found, Skipped)
    assert "nats-py" in found.why and "pip install" in found.fix


def test_peer_holds_every_payload_it_acknowledged(tmp_path):
    """The stream's own state counts what was published, and the server is gone afterwards."""
    with nats_peer.nats_peer(tmp_path) as peer:
        found = peer.contender([[b"a", b"b", b"c"], [b"d", b"e"]])
        if isinstance(found, Skipped):
            pytest.skip(found.why)
        assert isinstance(found, Contender)
        assert [found.lap().count, found.lap().count] == [5, 5]

    assert list(tmp_path.iterdir()) == []


def test_time_of_readings_is_that_of_the_device():
    """The peers' readings are as far apart as ours."""
    install()
    from tools.bench.micropython.paced_agent import SAMPLE_MS

    assert STEP_MS == SAMPLE_MS
