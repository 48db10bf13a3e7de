"""Decoders of gateway and office that only hosts run: datagrams and requests of devices, answers of the office, bodies of gateways."""

import atexit
import hashlib
import logging
import random
import shutil
import tempfile
from pathlib import Path

from gateway.collector import Reply
from gateway.config import Link
from gateway.delivery import Delivery
from gateway.downlink import parse_downward
from gateway.errors import OfficeConfused
from gateway.health import Health
from gateway.links.server import CoapServer
from gateway.links.site import Site
from gateway.outbox import Batch, parse_answer
from gateway.sessions import Sessions
from gateway.shelf import Body, _command
from gateway.store import open_store
from office_ingest.prove.replay import read_decision
from office_ingest.receive.api import Problem, _parse
from office_ingest.receive.body import ctr, open_events
from office_ingest.show.views import _identity
from protocol import announcements, coap, oscore, usage, witness
from protocol.aes_host import Aes128
from protocol.cbor import dumps, loads
from protocol.errors import ProtocolError
from protocol.keys import OFFICE, body_keys
from protocol.messages import parse_heartbeat
from protocol.segment import Header, parse_segment, seal_segment
from rules.bundle import read_bundle
from rules.replay import step_replay
from tests.both.vector_files import bytes_of, read_vectors
from tests.fuzz.device_decoders import ENTRIES as DEVICE_ENTRIES
from tests.fuzz.frames import Entry
from tools.rule_tree import act, bundle, gate, rule

_SECRET = bytes(range(1, 17))
_DEVICE = b"device-1"
_VIEW_KEY = b"v" * 32
_GOLDEN = {entry.name: entry.golden for entry in DEVICE_ENTRIES}


def _of_boards(rule):
    vectors = read_vectors("admission")
    return [bytes_of(v) for one in ("accept", "reject") for v in vectors[one] if v["rule"] == rule]


class _Clock:
    now = 0.0

    def monotonic(self):
        self.now += 10
        return self.now

    def wall_ms(self):
        return 1_700_000_000_000


class _Collector:
    """Parses as the real one does, and stores nothing."""

    async def segment(self, _device, payload, _bulk_in_s=0):
        return self._reply(parse_segment, payload)

    async def heartbeat(self, _device, payload, _bulk_in_s=0):
        return self._reply(parse_heartbeat, payload)

    def _reply(self, read, payload):
        try:
            read(payload)
        except ProtocolError:
            return Reply(coap.BAD_REQUEST)
        return Reply(coap.CHANGED, b"taken")


class _Shelf:
    """Holds one release with one part and one command."""

    raw = bytes(range(256)) * 9

    def release(self, _device, number):
        return Body(self.raw, b"8 bytes!") if number == 7 else None

    def part(self, _device, number, index):
        return Body(self.raw, b"8 bytes!") if (number, index) == (7, 0) else None

    def command(self, _device, at_least):
        return b"a command" if at_least <= 3 else None


class _Gateway:
    """What stands behind the gateway's socket, made at the first frame."""

    def __init__(self):
        logging.getLogger("gateway").setLevel(logging.CRITICAL)
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        clock = _Clock()
        store = open_store(
            folder / "gateway.db", bytes_max=1 << 30, clock=clock, rng=random.Random(1), point=_pass
        )
        sessions = Sessions(store, [Link(_DEVICE, b"\x01", _SECRET)], secret=bytes(32), clock=clock)
        health = Health()
        self.site = Site(sessions, _Collector(), Delivery(_Shelf(), health), health, clock=clock, point=_pass)
        self._answers = []
        self._server = CoapServer(
            self.site, self._answered, chance=random.Random(1), spawn=_at_once, loop=_Loop()
        )
        self._numbers = 0
        self._context = oscore.OscoreContext(Aes128, _SECRET, b"\x01", b"", self._next)
        self._meet()

    def _next(self):
        self._numbers += 1
        return self._numbers

    def _answered(self, _peer, datagram):
        self._answers.append(datagram)

    def answer(self, datagram):
        """Return the gateway's answer to a datagram of some peer, None where it gives none."""
        self._answers.clear()
        self._server.feed("peer", datagram)
        return coap.decode(self._answers[-1]) if self._answers else None

    def ask(self, message):
        """Protect a request with the device's own keys; return (answer, exchange)."""
        protected, exchange = self._context.protect_request(message)
        # Another identifier for each: the same would be the same request.
        protected.message_id = exchange.sequence() & 0xFFFF
        return self.answer(coap.encode(protected)), exchange

    def _meet(self):
        """Answer the gateway's Echo: from then on it opens requests."""
        plain = coap.Message(coap.CON, coap.POST, 1, b"", coap.path_options("h"), b"")
        answer, exchange = self.ask(plain)
        echo = coap.option(self._context.unprotect_response(answer, exchange).options, coap.ECHO)
        self.ask(coap.Message(coap.CON, coap.POST, 1, b"", [*coap.path_options("h"), (coap.ECHO, echo)], b""))


class _Loop:
    """What a server asks of the event loop. Nothing here takes time, so no timer ever runs."""

    now = 0.0

    def time(self):
        self.now += 0.001
        return self.now

    def call_at(self, when, callback, *arguments):
        return None

    def call_later(self, delay, callback, *arguments):
        callback(*arguments)


class _Done:
    """A task that is over."""

    def __init__(self, error=None):
        self._error = error

    def cancelled(self):
        return False

    def exception(self):
        return self._error

    def add_done_callback(self, callback):
        callback(self)


def _at_once(coroutine):
    # No coroutine here waits for anything, so that one step ends it.
    try:
        coroutine.send(None)
    except StopIteration:
        return _Done()
    raise AssertionError("the gateway waits")


def _pass(_name):
    """No kill points."""


_gateway = None


def the_gateway():
    """Return the gateway under test, made at the first call."""
    global _gateway
    _gateway = _gateway or _Gateway()
    return _gateway


def _datagram(raw):
    the_gateway().answer(raw)


def _inside(raw):
    """A device with the right key asks for anything: what was not parsed is said by codes alone."""
    plain = coap.decode(raw)
    if any(number == coap.OSCORE for number, _ in plain.options):
        raise ProtocolError(1, "a device protects once")
    the_gateway().ask(coap.Message(coap.CON, plain.code, 1, b"", plain.options, plain.payload))


# As many as the golden answer with the most outcomes has.
_ASKED = Batch([(1, b"")] * 6, [(1, b"")] * 3)


def _office_answer(raw):
    parse_answer(_ASKED, raw)


def _downward(raw):
    """The first byte says whether it is handed in as a receipt or as a time token."""
    if raw[:1] == b"r":
        parse_downward([raw[1:]], [])
    else:
        parse_downward([], [raw[1:]])


_KEYS = body_keys(_VIEW_KEY)


def _body(raw):
    header = Header(_DEVICE, 0, 0, 1, 1, raw[0] or 1 if raw else 1, bytes(32), 0, OFFICE, 0)
    segment = parse_segment(seal_segment(header, raw[1:], bytes(32), *_KEYS, ctr))
    open_events(segment, _VIEW_KEY)


_BUNDLE = read_bundle(
    bundle([rule(1, [5], [act(1, 1)])], [gate(1, 0, 1, safe=0)], version=1, schema=bytes(8))
)
_DECISIONS = [
    dumps([0, 1, 2, hashlib.sha256(b"b").digest(), 10, [1, 2], [0, 0], 3, 3, [5], [6], [[1, 1, 0, None]]]),
    dumps([3, 1, 1, bytes(32), 1 << 40, [], [], 0, 0, [], [], []]),
]


def _decision(raw):
    fields = loads(raw)
    found = read_decision(9, tuple(fields)) if isinstance(fields, list) else None
    if found is not None:
        step_replay(_BUNDLE, found.made)


def _text(raw):
    _identity(raw.decode("latin-1"))


_PLAIN = [
    coap.encode(coap.Message(coap.CON, code, 1, b"t", options, payload))
    for code, options, payload in (
        (coap.POST, coap.path_options("s"), _GOLDEN["segment"][0]),
        (coap.POST, coap.path_options("h"), _GOLDEN["heartbeat"][0]),
        (coap.GET, coap.path_options("r/7"), b""),
        (coap.GET, [*coap.path_options("r/7/0"), (coap.BLOCK2, b"\x15")], b""),
        (coap.GET, coap.path_options("c/1"), b""),
    )
]

SERVER_ENTRIES = [
    Entry(
        "gateway_datagram",
        _datagram,
        _GOLDEN["datagram"] + _PLAIN,
        ("gateway.sessions.Sessions.open",),
        300,
        (),
    ),
    Entry(
        "gateway_inside",
        _inside,
        _PLAIN,
        ("gateway.sessions.Sessions.open",),
        100,
        (ProtocolError,),
    ),
    Entry(
        "office_answer",
        _office_answer,
        _GOLDEN["uplink_answer"],
        ("gateway.outbox.parse_answer",),
        200,
        (OfficeConfused,),
    ),
    Entry(
        "announcements",
        announcements.parse_announcements,
        _of_boards("announcements"),
        ("protocol.announcements.parse_announcements",),
        200,
        (ProtocolError,),
    ),
    Entry(
        "admissions",
        announcements.parse_admissions,
        _of_boards("admissions"),
        ("protocol.announcements.parse_admissions",),
        200,
        (ProtocolError,),
    ),
    Entry(
        "usage",
        usage.parse_usage,
        [bytes_of(v) for one in ("accept", "reject") for v in read_vectors("usage")[one]],
        ("protocol.usage.parse_usage",),
        200,
        (ProtocolError,),
    ),
    Entry(
        "life_of_counts",
        lambda raw: usage.parse_life(raw.decode("latin-1")),
        [b"0123456789abcdef", b"00" * 8, b"0123456789ABCDEF", b"01234567"],
        ("protocol.usage.parse_life",),
        50,
        (ProtocolError,),
    ),
    *[
        Entry(
            rule,
            parse,
            [
                bytes_of(v)
                for one in ("accept", "reject")
                for v in read_vectors("witness")[one]
                if v["rule"] == rule
            ],
            (f"protocol.witness.{parse.__name__}",),
            200,
            (ProtocolError,),
        )
        for rule, parse in (
            ("witness", witness.parse_witness),
            ("witness_answer", witness.parse_witness_answer),
        )
    ],
    Entry(
        "downward",
        _downward,
        [b"r" + raw for raw in _GOLDEN["receipt"]] + [b"t" + raw for raw in _GOLDEN["time_token"]],
        ("gateway.downlink.parse_downward",),
        200,
    ),
    Entry("shelf_command", _command, _GOLDEN["command"], (), 100, ()),
    Entry("office_request", _parse, _GOLDEN["uplink_request"], (), 100, (Problem,)),
    Entry("office_body", _body, _GOLDEN["events"], ("office_ingest.receive.body.open_events",), 100),
    Entry("office_decision", _decision, _DECISIONS, ("office_ingest.prove.replay.read_decision",), 200),
    Entry("page_identity", _text, [b"00112233445566ff"], (), 50, ()),
]
