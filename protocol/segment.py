"""A sealed run of events: build, parse, verify, open, chain.

A segment is sealed once on the device. `parse` needs no key and checks the whole grammar; `verify` needs the seal key of the
header's generation; `open_body` the view key of its class and period. A parsed segment is not yet a good one: only after
`verify` may it take its place.

Source: SPEC.md section 3; RFC 9052 sections 5.2 and 6.3; RFC 9459 section 4.
"""

import hashlib

from protocol.cbor import dumps, loads
from protocol.errors import BODY, CHAIN, MALFORMED, SEAL, TOMBSTONE, TOO_LARGE, VERSION, ProtocolError
from protocol.keys import CLEAR, LANES, OFFICE
from protocol.limits import natural_max, segment_bytes_max, segment_events_max, uint32_max
from protocol.mac import hmac_sha256, is_equal
from protocol.shape import is_bytes, is_within

ALG_A128CTR = -65534
MAC256 = b"\xa1\x01\x05"
_AAD = b"outstation segment v1"
_MAC_HEAD = b"\x84\x64MAC0\x43" + MAC256 + bytes([0x40 | len(_AAD)]) + _AAD
_DIGEST_BYTES = 32


class Header:
    """The clear part of a segment, as in SPEC.md section 3.2. Numbers are int, device 8 bytes, previous 32."""

    __slots__ = (
        "device",
        "lane",
        "epoch",
        "number",
        "first_sequence",
        "count",
        "previous",
        "generation",
        "view_class",
        "period",
    )

    def __init__(
        self, device, lane, epoch, number, first_sequence, count, previous, generation, view_class, period
    ):
        self.device = device
        self.lane = lane
        self.epoch = epoch
        self.number = number
        self.first_sequence = first_sequence
        self.count = count
        self.previous = previous
        self.generation = generation
        self.view_class = view_class
        self.period = period

    def as_list(self) -> list:
        """Return the header as it is encoded, version first."""
        return [
            1,
            self.device,
            self.lane,
            self.epoch,
            self.number,
            self.first_sequence,
            self.count,
            self.previous,
            self.generation,
            self.view_class,
            self.period,
        ]

    def key(self) -> tuple:
        """Return (device, lane, epoch, number): the place that only one verified segment may hold."""
        return self.device, self.lane, self.epoch, self.number

    def next_sequence(self) -> int:
        """Return the first_sequence of the segment after this one."""
        return self.first_sequence + self.count


class Tombstone:
    """What a device says about segments it pruned before a receipt covered them. Source: SPEC.md section 3.5."""

    __slots__ = ("first", "last", "before", "last_digest", "event_count", "reason")

    def __init__(self, first, last, before, last_digest, event_count, reason):
        self.first = first
        self.last = last
        self.before = before
        self.last_digest = last_digest
        self.event_count = event_count
        self.reason = reason

    def as_list(self) -> list:
        """Return the tombstone as it is encoded."""
        return [self.first, self.last, self.before, self.last_digest, self.event_count, self.reason]


class Segment:
    """A parsed segment. raw: its bytes; digest: SHA-256 of them; tombstone: Tombstone or None."""

    __slots__ = ("raw", "digest", "header", "tombstone", "_payload", "_iv", "_ciphertext", "_tag")

    def __init__(self, raw, header, tombstone, payload, iv, ciphertext, tag):
        self.raw = raw
        self.digest = hashlib.sha256(raw).digest()
        self.header = header
        self.tombstone = tombstone
        self._payload = payload
        self._iv = iv
        self._ciphertext = ciphertext
        self._tag = tag

    def verify(self, tag_key: bytes) -> None:
        """Check the seal with the tag key of the header's generation. Raises ProtocolError(SEAL)."""
        if not is_equal(_tag(tag_key, self._payload), self._tag):
            raise ProtocolError(SEAL, "the seal of segment {} does not fit".format(self.header.number))

    def open_body(self, body_key: bytes, iv_key: bytes, ctr) -> bytes:
        """Return the plaintext of a sealed body, its IV checked against header and plaintext.

        body_key, iv_key: of the header's class and period. ctr(key, iv, data): AES-128-CTR.
        Raises ProtocolError(BODY) on a wrong key or changed bytes, or if the body is a tombstone.
        """
        if self.tombstone is not None:
            raise ProtocolError(
                BODY, "segment {} is a tombstone, not a sealed body".format(self.header.number)
            )
        plaintext = ctr(body_key, self._iv, self._ciphertext)
        if not is_equal(_synthetic_iv(iv_key, dumps(self.header.as_list()), plaintext), self._iv):
            raise ProtocolError(BODY, "the body of segment {} does not open".format(self.header.number))
        return plaintext


def genesis(device: bytes, lane: int, epoch: int) -> bytes:
    """Return the digest that segment 0 of a lane and epoch names as the one before it."""
    return hashlib.sha256(b"outstation genesis v1" + dumps([device, lane, epoch])).digest()


def seal_segment(
    header: Header, plaintext: bytes, tag_key: bytes, body_key: bytes, iv_key: bytes, ctr
) -> bytes:
    """Return one sealed segment, ready to be written, sent and stored as it is.

    header: every field as in SPEC.md section 3.2, view_class SITE or OFFICE. plaintext: `event.encode_events`.
    Keys: of the header's generation, class and period. ctr(key, iv, data): AES-128-CTR.
    The result has at most segment_bytes_max (512) bytes. Equal input always gives equal bytes.

    Raises ProtocolError(TOO_LARGE) if it does not fit; the caller seals fewer events.
    Source: SPEC.md section 3; RFC 9052 section 6.3; RFC 9459 section 4.
    """
    encoded = dumps(header.as_list())
    iv = _synthetic_iv(iv_key, encoded, plaintext)
    body = dumps([b"", {1: ALG_A128CTR, 5: iv}, ctr(body_key, iv, plaintext)])
    return _seal(encoded, body, tag_key)


def seal_tombstone(header: Header, tombstone: Tombstone, tag_key: bytes) -> bytes:
    """Return one sealed tombstone: a segment of class CLEAR and count 1. Source: SPEC.md section 3.5."""
    assert header.view_class == CLEAR and header.count == 1
    return _seal(dumps(header.as_list()), dumps(dumps(tombstone.as_list())), tag_key)


def _seal(header: bytes, body: bytes, tag_key: bytes) -> bytes:
    payload = b"\x82" + header + body
    segment = dumps([MAC256, {}, payload, _tag(tag_key, payload)])
    if len(segment) > segment_bytes_max:
        raise ProtocolError(
            TOO_LARGE,
            "segment of {} bytes exceeds segment_bytes_max ({})".format(len(segment), segment_bytes_max),
        )
    return segment


def _tag(tag_key: bytes, payload: bytes) -> bytes:
    return hmac_sha256(tag_key, _MAC_HEAD, dumps(payload))


def _synthetic_iv(iv_key: bytes, header: bytes, plaintext: bytes) -> bytes:
    return hmac_sha256(iv_key, header, plaintext)[:12] + b"\0\0\0\0"


def parse_segment(raw: bytes) -> Segment:
    """Return the segment that raw is, its grammar checked, nothing verified.

    Raises ProtocolError(TOO_LARGE), (VERSION), (TOMBSTONE) or (MALFORMED); never anything else, whatever the bytes.
    """
    if len(raw) > segment_bytes_max:
        raise ProtocolError(
            TOO_LARGE,
            "segment of {} bytes exceeds segment_bytes_max ({})".format(len(raw), segment_bytes_max),
        )
    items = loads(raw)
    if not _is_list(items, 4) or items[0] != MAC256 or items[1] != {} or not isinstance(items[2], bytes):
        raise ProtocolError(MALFORMED, "not a COSE_Mac0 with HMAC 256/256")
    if not is_bytes(items[3], 32):
        raise ProtocolError(MALFORMED, "the tag is not 32 bytes")
    payload = loads(items[2])
    if not _is_list(payload, 2):
        raise ProtocolError(MALFORMED, "the payload is not [header, body]")
    header = read_header(payload[0])
    if header.view_class == CLEAR:
        tombstone = _parse_tombstone(payload[1], header)
        return Segment(raw, header, tombstone, items[2], b"", b"", items[3])
    iv, ciphertext = read_body(payload[1])
    return Segment(raw, header, None, items[2], iv, ciphertext, items[3])


def _is_list(value, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def read_header(items) -> Header:
    """Return the header that these decoded items are. Raises ProtocolError(VERSION) or (MALFORMED)."""
    if isinstance(items, list) and items and is_within(items[0], 0, uint32_max) and items[0] != 1:
        raise ProtocolError(VERSION, "segment version {} is not 1".format(items[0]))
    shaped = (
        _is_list(items, 11)
        and is_within(items[0], 1, 1)
        and is_bytes(items[1], 8)
        and is_within(items[2], LANES[0], LANES[-1])
        and is_within(items[3], 0, uint32_max)
        and is_within(items[4], 0, uint32_max)
        and is_within(items[5], 0, natural_max)
        and is_within(items[6], 1, segment_events_max)
        and is_bytes(items[7], _DIGEST_BYTES)
        and is_within(items[8], 0, uint32_max)
        and is_within(items[9], CLEAR, OFFICE)
        and is_within(items[10], 0, uint32_max)
    )
    if not shaped:
        raise ProtocolError(MALFORMED, "the header is not the eleven items of version 1")
    return Header(*items[1:])


def read_body(items) -> tuple:
    """Return (iv, ciphertext) of a decoded body that is not clear. Raises ProtocolError(MALFORMED)."""
    if (
        not _is_list(items, 3)
        or items[0] != b""
        or not isinstance(items[1], dict)
        or not isinstance(items[2], bytes)
    ):
        raise ProtocolError(MALFORMED, "the body is not a COSE_Encrypt0")
    iv = items[1].get(5)
    if len(items[1]) != 2 or items[1].get(1) != ALG_A128CTR or not is_bytes(iv, 16):
        raise ProtocolError(MALFORMED, "the body's cipher is not A128CTR with a 16-byte IV")
    return iv, items[2]


def _parse_tombstone(body, header: Header) -> Tombstone:
    if not isinstance(body, bytes):
        raise ProtocolError(MALFORMED, "a clear body is not a byte string")
    items = loads(body)
    shaped = (
        _is_list(items, 6)
        and is_within(items[0], 0, uint32_max)
        and is_within(items[1], 0, uint32_max)
        and is_bytes(items[2], _DIGEST_BYTES)
        and is_bytes(items[3], _DIGEST_BYTES)
        and is_within(items[4], 1, natural_max)
        and is_within(items[5], 0, 1)
    )
    if not shaped:
        raise ProtocolError(MALFORMED, "a clear body is not a tombstone")
    if not items[0] <= items[1] < header.number or header.count != 1:
        raise ProtocolError(TOMBSTONE, "tombstone {} covers {}..{}".format(header.number, items[0], items[1]))
    return Tombstone(*items)


def check_follows(header: Header, before: Header, before_digest: bytes) -> None:
    """Check that header continues the segment before it: device, lane, epoch, number, sequence and digest.

    Raises ProtocolError(CHAIN) naming what does not fit. Source: SPEC.md section 3.2.
    """
    same_lane = (header.device, header.lane, header.epoch) == (before.device, before.lane, before.epoch)
    if not same_lane or header.number != before.number + 1:
        raise ProtocolError(CHAIN, "segment {} does not come after {}".format(header.number, before.number))
    if header.previous != before_digest:
        raise ProtocolError(CHAIN, "segment {} names another digest before it".format(header.number))
    if header.first_sequence != before.next_sequence():
        raise ProtocolError(
            CHAIN,
            "segment {} starts at sequence {}, not {}".format(
                header.number, header.first_sequence, before.next_sequence()
            ),
        )


def check_first(header: Header) -> None:
    """Check that segment 0 starts its chain: genesis and sequence 0. Raises ProtocolError(CHAIN)."""
    if header.previous != genesis(header.device, header.lane, header.epoch) or header.first_sequence:
        raise ProtocolError(CHAIN, "segment 0 does not start at the genesis of its lane and epoch")
