"""Short sealed messages: heartbeat, receipt, time token; and the answer of one exchange.

All but the answer are COSE_Mac0 with an 8-byte tag. `parse_*` checks the grammar, `verify` the tag. Commands: `command`.

Source: SPEC.md sections 5 and 6; RFC 9052 section 6.3.
"""

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, SEAL, TOO_LARGE, VERSION, ProtocolError
from protocol.limits import (
    answer_bytes_max,
    message_bytes_max,
    natural_max,
    receipts_max,
    uint32_max,
    wants_max,
)
from protocol.mac import hmac_sha256, is_equal
from protocol.shape import is_bytes, is_int, is_natural

_MAC64 = b"\xa1\x01\x04"
_TAG_BYTES = 8

HEARTBEAT = b"outstation heartbeat v1"
RECEIPT = b"outstation receipt v1"
TIME_TOKEN = b"outstation time v1"


class Message:
    """A parsed short message. kind: HEARTBEAT, RECEIPT, TIME_TOKEN or command.COMMAND; fields: see the parser that made it."""

    __slots__ = ("raw", "kind", "fields", "_payload", "_tag")

    def __init__(self, raw, kind, fields, payload, tag):
        self.raw = raw
        self.kind = kind
        self.fields = fields
        self._payload = payload
        self._tag = tag

    def verify(self, key: bytes) -> None:
        """Check the tag. Raises ProtocolError(SEAL)."""
        if not is_equal(_tag(self.kind, self._payload, key), self._tag):
            raise ProtocolError(SEAL, "the seal of a {} does not fit".format(self.kind.decode()))


class Heartbeat:
    """Fields of a heartbeat. critical, routine: (kept_from, number, digest) or None; bundle: (version, digest)."""

    __slots__ = (
        "device",
        "generation",
        "boot",
        "counter",
        "tick_ms",
        "epoch",
        "critical",
        "routine",
        "bundle",
        "health",
    )

    def __init__(self, device, generation, boot, counter, tick_ms, epoch, critical, routine, bundle, health):
        self.device = device
        self.generation = generation
        self.boot = boot
        self.counter = counter
        self.tick_ms = tick_ms
        self.epoch = epoch
        self.critical = critical
        self.routine = routine
        self.bundle = bundle
        self.health = health

    def head(self, lane: int):
        """Return the head of lane 0 (critical) or 1 (routine)."""
        return self.routine if lane else self.critical


class Receipt:
    """Fields of a receipt: all of (device, lane, epoch) up to number, whose digest this is, is committed."""

    __slots__ = ("device", "lane", "epoch", "number", "digest", "generation")

    def __init__(self, device, lane, epoch, number, digest, generation):
        self.device = device
        self.lane = lane
        self.epoch = epoch
        self.number = number
        self.digest = digest
        self.generation = generation


class TimeToken:
    """Fields of a time token: the office's wall clock when it took heartbeat (boot, counter)."""

    __slots__ = ("device", "boot", "counter", "wall_ms", "error_ms")

    def __init__(self, device, boot, counter, wall_ms, error_ms):
        self.device = device
        self.boot = boot
        self.counter = counter
        self.wall_ms = wall_ms
        self.error_ms = error_ms


def _tag(kind: bytes, payload: bytes, key: bytes) -> bytes:
    return hmac_sha256(key, dumps(["MAC0", _MAC64, kind, payload]))[:_TAG_BYTES]


def seal_frame(kind: bytes, fields: list, key: bytes) -> bytes:
    """Return a short message of any kind over its payload's items."""
    payload = dumps(fields)
    return dumps([_MAC64, {}, payload, _tag(kind, payload, key)])


def seal_heartbeat(heartbeat: Heartbeat, key: bytes) -> bytes:
    """Return a sealed heartbeat. key: `keys.heartbeat_key` of the critical lane's generation that it names."""
    h = heartbeat
    heads = [list(head) if head else None for head in (h.critical, h.routine)]
    fields = [1, h.device, h.generation, h.boot, h.counter, h.tick_ms, h.epoch] + heads
    return seal_frame(HEARTBEAT, fields + [list(h.bundle), h.health], key)


def seal_receipt(receipt: Receipt, key: bytes) -> bytes:
    """Return a sealed receipt. key: `keys.downlink_key(downlink, "receipt")`."""
    r = receipt
    return seal_frame(RECEIPT, [1, r.device, r.lane, r.epoch, r.number, r.digest, r.generation], key)


def seal_time_token(token: TimeToken, key: bytes) -> bytes:
    """Return a sealed time token. key: `keys.downlink_key(downlink, "time")`."""
    t = token
    return seal_frame(TIME_TOKEN, [1, t.device, t.boot, t.counter, t.wall_ms, t.error_ms], key)


def open_frame(raw: bytes, what: str) -> tuple:
    """Return (items, payload, tag) of a short message of version 1, the tag not yet checked. Raises ProtocolError."""
    if len(raw) > message_bytes_max:
        raise ProtocolError(TOO_LARGE, "{} of {} bytes exceeds {}".format(what, len(raw), message_bytes_max))
    items = loads(raw)
    framed = isinstance(items, list) and len(items) == 4 and items[0] == _MAC64 and items[1] == {}
    if not framed or not isinstance(items[2], bytes) or not is_bytes(items[3], _TAG_BYTES):
        raise ProtocolError(MALFORMED, "{} is not a COSE_Mac0 with HMAC 256/64".format(what))
    payload = loads(items[2])
    if not isinstance(payload, list) or not payload or not is_natural(payload[0], uint32_max):
        raise ProtocolError(MALFORMED, "{} has no version".format(what))
    if payload[0] != 1:
        raise ProtocolError(VERSION, "{} version {} is not 1".format(what, payload[0]))
    return payload, items[2], items[3]


def _is_head(value) -> bool:
    if value is None:
        return True
    shaped = isinstance(value, list) and len(value) == 3 and is_natural(value[0], uint32_max)
    return shaped and is_natural(value[1], uint32_max) and is_bytes(value[2], 32)


def _is_counters(value) -> bool:
    if not isinstance(value, dict):
        return False
    for key in value:
        if key < 0 or not is_int(value[key]):
            return False
    return True


def parse_heartbeat(raw: bytes) -> Message:
    """Return a Message whose fields are a Heartbeat. Raises ProtocolError, never anything else."""
    items, payload, tag = open_frame(raw, "heartbeat")
    shaped = len(items) == 11 and is_bytes(items[1], 8) and is_natural(items[5]) and _is_counters(items[10])
    for i in (2, 3, 4, 6):
        shaped = shaped and is_natural(items[i], uint32_max)
    shaped = shaped and _is_head(items[7]) and _is_head(items[8])
    bundle = items[9] if shaped else None
    if not shaped or not isinstance(bundle, list) or len(bundle) != 2 or not is_natural(bundle[0]):
        raise ProtocolError(MALFORMED, "heartbeat is not the eleven items of version 1")
    if not is_bytes(bundle[1], 32):
        raise ProtocolError(MALFORMED, "the bundle digest of a heartbeat is not 32 bytes")
    heads = [tuple(head) if head else None for head in items[7:9]]
    fields = Heartbeat(*(items[1:7] + heads + [tuple(bundle), items[10]]))
    return Message(raw, HEARTBEAT, fields, payload, tag)


def parse_receipt(raw: bytes) -> Message:
    """Return a Message whose fields are a Receipt. Raises ProtocolError, never anything else."""
    items, payload, tag = open_frame(raw, "receipt")
    shaped = len(items) == 7 and is_bytes(items[1], 8) and is_natural(items[2], 1) and is_bytes(items[5], 32)
    for i in (3, 4, 6):
        shaped = shaped and is_natural(items[i], uint32_max)
    if not shaped:
        raise ProtocolError(MALFORMED, "receipt is not the seven items of version 1")
    return Message(raw, RECEIPT, Receipt(*items[1:]), payload, tag)


def parse_time_token(raw: bytes) -> Message:
    """Return a Message whose fields are a TimeToken. Raises ProtocolError, never anything else."""
    items, payload, tag = open_frame(raw, "time token")
    shaped = len(items) == 6 and is_bytes(items[1], 8) and is_natural(items[2], uint32_max)
    if (
        not shaped
        or not is_natural(items[3], uint32_max)
        or not is_natural(items[4])
        or not is_natural(items[5])
    ):
        raise ProtocolError(MALFORMED, "time token is not the six items of version 1")
    return Message(raw, TIME_TOKEN, TimeToken(*items[1:]), payload, tag)


class Answer:
    """What goes down in the answer of one exchange. Source: SPEC.md section 6.

    custody: list of (lane, epoch, watermark); wants: list of (lane, epoch, start, stop), half-open; receipts: list of
    sealed receipts; time_token: sealed, or None; release, command: newest number, or None. bulk_s: seconds until what can wait may go
    over this link, None: it may.
    """

    __slots__ = ("custody", "wants", "receipts", "time_token", "release", "command", "bulk_s")

    def __init__(
        self, custody=(), wants=(), receipts=(), time_token=None, release=None, command=None, bulk_s=None
    ):
        self.custody = list(custody)
        self.wants = list(wants)
        self.receipts = list(receipts)
        self.time_token = time_token
        self.release = release
        self.command = command
        self.bulk_s = bulk_s


def encode_answer(answer: Answer) -> bytes:
    """Return an answer of at most answer_bytes_max.

    What does not fit is left for the next: the last wants first, then the last receipts.
    Raises ProtocolError(TOO_LARGE) if even the rest does not fit.
    """
    wants = len(answer.wants[:wants_max])
    receipts = len(answer.receipts[:receipts_max])
    while True:
        encoded = dumps(_answer_items(answer, wants, receipts))
        if len(encoded) <= answer_bytes_max:
            return encoded
        if wants:
            wants -= 1
        elif receipts:
            receipts -= 1
        else:
            break
    raise ProtocolError(TOO_LARGE, "answer of {} bytes exceeds {}".format(len(encoded), answer_bytes_max))


def _answer_items(answer: Answer, wants: int, receipts: int) -> dict:
    items = {}
    if answer.custody:
        items[0] = [list(entry) for entry in answer.custody[:4]]
    if wants:
        items[1] = [list(entry) for entry in answer.wants[:wants]]
    if receipts:
        items[2] = list(answer.receipts[:receipts])
    for key, value in ((3, answer.time_token), (4, answer.release), (5, answer.command), (6, answer.bulk_s)):
        if value is not None:
            items[key] = value
    return items


def _tuples(value, most: int, widths: tuple) -> list:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise ProtocolError(MALFORMED, "an answer's list has not 1..{} entries".format(most))
    for entry in value:
        shaped = isinstance(entry, list) and len(entry) == len(widths)
        if not shaped or not all([is_natural(entry[i], widths[i]) for i in range(len(widths))]):
            raise ProtocolError(MALFORMED, "an entry of an answer has the wrong shape")
    return [tuple(entry) for entry in value]


def _sealed(value):
    if not isinstance(value, bytes) or len(value) > message_bytes_max:
        raise ProtocolError(MALFORMED, "a sealed message in an answer is not a short byte string")
    return value


def parse_answer(raw: bytes) -> Answer:
    """Return the Answer; keys that are not known are ignored. Raises ProtocolError, never anything else."""
    if len(raw) > answer_bytes_max:
        raise ProtocolError(TOO_LARGE, "answer of {} bytes exceeds {}".format(len(raw), answer_bytes_max))
    items = loads(raw)
    if not isinstance(items, dict):
        raise ProtocolError(MALFORMED, "answer is not a map")
    answer = Answer()
    if 0 in items:
        answer.custody = _tuples(items[0], 4, (1, uint32_max, natural_max))
    if 1 in items:
        answer.wants = _tuples(items[1], wants_max, (1, uint32_max, uint32_max, natural_max))
    if 2 in items:
        if not isinstance(items[2], list) or not 1 <= len(items[2]) <= receipts_max:
            raise ProtocolError(MALFORMED, "an answer's receipts are not 1..{} entries".format(receipts_max))
        answer.receipts = [_sealed(receipt) for receipt in items[2]]
    if 3 in items:
        answer.time_token = _sealed(items[3])
    answer.release = _number(items, 4)
    answer.command = _number(items, 5)
    answer.bulk_s = _number(items, 6)
    return answer


def _number(items: dict, key: int):
    if key in items and not is_natural(items[key]):
        raise ProtocolError(MALFORMED, "item {} of an answer is not a number".format(key))
    return items.get(key)
