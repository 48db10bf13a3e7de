"""Cases for the golden vectors of segments: sealed, torn apart field by field, chained."""

from typing import Any

import cbor2

from protocol.errors import BODY, CHAIN, MALFORMED, SEAL, TOMBSTONE, TOO_LARGE, VERSION
from tools import vector_reference as reference
from tools.vector_codec import rows

FIELDS = (
    *("version", "device", "lane", "epoch", "number", "first_sequence"),
    *("count", "previous", "generation", "class", "period"),
)
_TOP = (1 << 32) - 1
_SEQUENCE_TOP = 1 << 62
# No chain is stepped 2**32 times: the longest integers have keys of their own.
_FAR_KEY = reference.mac(b"far", b"seal")
_FAR_VIEW = (reference.mac(b"far", b"encrypt")[:16], reference.mac(b"far", b"iv"))


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "segment.json": {
            "source": "SPEC.md section 3",
            "fields": list(FIELDS),
            "accept": _accept(),
            "genesis": _genesis(),
            "reject": _reject_header() + _reject_frame() + _reject_body() + _reject_tombstone(),
            "verify": _reject_seal(),
            "open": _reject_open(),
            "chain": _chain(),
        }
    }


def header(**changes: Any) -> list:
    """Return a header of version 1 with some fields changed."""
    fields = {
        "version": 1,
        "device": reference.DEVICE,
        "lane": 0,
        "epoch": 0,
        "number": 0,
        "first_sequence": 0,
        "count": 1,
        "previous": reference.genesis(0, 0),
        "generation": 0,
        "class": 2,
        "period": 0,
    }
    return list({**fields, **{key.rstrip("_"): value for key, value in changes.items()}}.values())


def _plaintext(count: int = 1) -> bytes:
    samples: list = [(10 + i, 1000 * i, 0, [[2000 + i, -i], [0, 0]]) for i in range(count - 1)]
    return reference.events(1, [*samples, (10 + count, 1000 * count, 9, [1_700_000_000_000, 250])])


def _sealed(name: str, fields: list, plaintext: bytes) -> dict:
    body_key, iv_key = reference.body_keys(fields[9], fields[10])
    return {
        "name": name,
        "rule": "segment",
        "header": fields,
        "plaintext": plaintext,
        "tag_key": reference.tag_key(fields[2], fields[8]),
        "body_key": body_key,
        "iv_key": iv_key,
        "hex": reference.segment(fields, reference.sealed_body(fields, plaintext)),
    }


def _accept() -> list[dict]:
    found = []
    for lane in (0, 1):
        for view_class in (1, 2):
            for number in (0, 1, 31, 32):
                previous = reference.genesis(lane, 0) if number == 0 else bytes([number]) * 32
                fields = header(
                    lane=lane,
                    number=number,
                    first_sequence=4 * number,
                    count=4,
                    previous=previous,
                    generation=number // 32,
                    class_=view_class,
                    period=number // 8,
                )
                name = f"{reference.LANES[lane]} {reference.CLASSES[view_class]} number {number}"
                found.append(_sealed(name, fields, _plaintext(4)))
    found += _longest()
    for name, (kind, row) in rows().items():
        found.append(_sealed(f"row of {name}", header(), reference.events(7, [(100, 5000, kind, row)])))
    found += [_tombstone(0), _tombstone(1)]
    return found


def _longest() -> list[dict]:
    """The longest integers everywhere: 151 bytes of framing, so 360 bytes of events fit, and 361 just."""
    fields = _longest_header()
    found = []
    for size in (360, 361):
        plaintext = bytes(i % 251 for i in range(size))
        raw = _longest_segment(plaintext)
        assert len(raw) == 151 + size, len(raw)
        keys = {"tag_key": _FAR_KEY, "body_key": _FAR_VIEW[0], "iv_key": _FAR_VIEW[1]}
        name = f"longest integers, {size} bytes of events"
        found.append(
            {"name": name, "rule": "segment", "header": fields, "plaintext": plaintext, **keys, "hex": raw}
        )
    return found


def _longest_header() -> list:
    fields = header(lane=1, epoch=_TOP, number=_TOP, first_sequence=_SEQUENCE_TOP, count=1023)
    return [*fields[:8], _TOP, 1, _TOP]


def _longest_segment(plaintext: bytes) -> bytes:
    fields = _longest_header()
    return reference.segment(fields, reference.sealed_body(fields, plaintext, _FAR_VIEW), _FAR_KEY)


def _tombstone_parts(reason: int = 0) -> tuple[list, list]:
    fields = header(number=9, first_sequence=30, previous=b"\x08" * 32, class_=0, period=3)
    return fields, [2, 6, b"\x01" * 32, b"\x06" * 32, 21, reason]


def _tombstone(reason: int) -> dict:
    fields, tombstone = _tombstone_parts(reason)
    return {
        "name": f"tombstone, reason {reason}",
        "rule": "segment",
        "header": fields,
        "tombstone": tombstone,
        "tag_key": reference.tag_key(0, 0),
        "hex": reference.segment(fields, reference.cbor(tombstone)),
    }


def _genesis() -> list[dict]:
    places = [(0, 0), (1, 0), (0, 1), (1, _TOP)]
    return [
        {"device": reference.DEVICE, "lane": lane, "epoch": epoch, "digest": reference.genesis(lane, epoch)}
        for lane, epoch in places
    ]


def _bad(name: str, raw: bytes, code: int = MALFORMED, shape: bool = True) -> dict:
    return {"name": name, "rule": "segment", "hex": raw, "code": code, "shape": shape}


_BAD_FIELDS = (
    ("version", 0, VERSION, True),
    ("version", 2, VERSION, True),
    ("version", -1, MALFORMED, True),
    ("version", True, MALFORMED, True),
    ("device", bytes(7), MALFORMED, True),
    ("device", bytes(9), MALFORMED, True),
    ("device", "00a1b2c3", MALFORMED, True),
    ("lane", 2, MALFORMED, True),
    ("lane", False, MALFORMED, True),
    ("epoch", -1, MALFORMED, True),
    ("epoch", 1 << 32, MALFORMED, True),
    ("number", -1, MALFORMED, True),
    ("number", 1 << 32, MALFORMED, True),
    ("first_sequence", -1, MALFORMED, True),
    ("first_sequence", (1 << 62) + 1, MALFORMED, False),
    ("count", 0, MALFORMED, True),
    ("count", 1024, MALFORMED, True),
    ("previous", bytes(31), MALFORMED, True),
    ("previous", None, MALFORMED, True),
    ("generation", -1, MALFORMED, True),
    ("generation", 1 << 32, MALFORMED, True),
    ("class", 3, MALFORMED, True),
    ("class", 0, MALFORMED, False),
    ("period", -1, MALFORMED, True),
    ("period", 1 << 32, MALFORMED, True),
)


def _reject_header() -> list[dict]:
    key = reference.tag_key(0, 0)
    body = reference.sealed_body(header(), _plaintext())
    found = []
    for field, bad, code, shape in _BAD_FIELDS:
        fields = header(**{field: bad})
        found.append(_bad(f"{field} is {bad!r:.20}", reference.segment(fields, body, key), code, shape))
    found.append(_bad("header of ten items", reference.segment(header()[:10], body, key)))
    found.append(_bad("header of twelve items", reference.segment([*header(), 0], body, key)))
    found.append(_bad("header is a map", reference.segment({0: 1}, body, key)))  # type: ignore[arg-type]
    return found


def _reject_frame() -> list[dict]:
    fields = header()
    payload = reference.cbor([fields, reference.sealed_body(fields, _plaintext())])
    good = reference.segment(fields, reference.sealed_body(fields, _plaintext()))
    protected, tag = reference.cbor({1: 5}), good[-32:]
    frames: dict[str, Any] = {
        "protected: HMAC 256/64": [reference.cbor({1: 4}), {}, payload, tag],
        "protected: one more parameter": [reference.cbor({1: 5, 4: b"kid"}), {}, payload, tag],
        "protected: empty": [b"", {}, payload, tag],
        "unprotected: not empty": [protected, {4: b"kid"}, payload, tag],
        "unprotected: an array": [protected, [], payload, tag],
        "payload: text": [protected, {}, "payload", tag],
        "payload: null": [protected, {}, None, tag],
        "payload: not CBOR": [protected, {}, b"\xff", tag],
        "payload: one item": [protected, {}, reference.cbor([fields]), tag],
        "tag: 31 bytes": [protected, {}, payload, tag[:31]],
        "tag: 8 bytes": [protected, {}, payload, tag[:8]],
        "three items": [protected, {}, payload],
        "five items": [protected, {}, payload, tag, 0],
        "tagged as COSE_Mac0": cbor2.CBORTag(17, [protected, {}, payload, tag]),
    }
    found = [_bad(name, reference.cbor(frame)) for name, frame in frames.items()]
    found.append(_bad("a byte after the end", good + b"\0"))
    found.append(
        _bad(
            "payload with a longer head",
            good.replace(b"\x58" + bytes([len(payload)]), b"\x59\0" + bytes([len(payload)])),
            shape=False,
        )
    )
    long_head = reference.cbor(fields).replace(b"\x8b\x01", b"\x8b\x18\x01", 1)
    body = reference.cbor(reference.sealed_body(fields, _plaintext()))
    frame = [protected, {}, b"\x82" + long_head + body, tag]
    found.append(_bad("version with a longer head", reference.cbor(frame), shape=False))
    found.append(_bad("513 bytes", _longest_segment(bytes(362)), TOO_LARGE, shape=False))
    return found


def _reject_body() -> list[dict]:
    fields = header()
    protected, unprotected, ciphertext = reference.sealed_body(fields, _plaintext())
    iv = unprotected[5]
    bodies: dict[str, Any] = {
        "protected of the body: a map": [reference.cbor({}), unprotected, ciphertext],
        "protected of the body: an algorithm": [reference.cbor({1: -65534}), unprotected, ciphertext],
        "alg: A192CTR": [protected, {1: -65533, 5: iv}, ciphertext],
        "alg: missing": [protected, {5: iv}, ciphertext],
        "iv: 15 bytes": [protected, {1: -65534, 5: iv[:15]}, ciphertext],
        "iv: missing": [protected, {1: -65534}, ciphertext],
        "iv: another parameter": [protected, {1: -65534, 6: iv}, ciphertext],
        "unprotected of the body: one more": [protected, {1: -65534, 4: b"", 5: iv}, ciphertext],
        "ciphertext: null": [protected, unprotected, None],
        "body: two items": [protected, unprotected],
        "body: null": None,
    }
    found = [_bad(name, reference.segment(fields, body)) for name, body in bodies.items()]
    tombstone = reference.cbor(_tombstone_parts()[1])
    found.append(_bad("class office, clear body", reference.segment(fields, tombstone), shape=False))
    return found


def _reject_tombstone() -> list[dict]:
    fields, good = _tombstone_parts()
    changes: list[tuple] = [
        ("first", 0, -1, MALFORMED, True),
        ("first", 0, 1 << 32, MALFORMED, True),
        ("first above last", 0, 7, TOMBSTONE, False),
        ("last", 1, -1, MALFORMED, True),
        ("last is its own number", 1, 9, TOMBSTONE, False),
        ("before", 2, bytes(31), MALFORMED, True),
        ("last_digest", 3, bytes(33), MALFORMED, True),
        ("event_count", 4, -1, MALFORMED, True),
        ("event_count zero", 4, 0, MALFORMED, False),
        ("reason", 5, 2, MALFORMED, True),
    ]
    found = []
    for name, at, bad, code, shape in changes:
        body = reference.cbor([*good[:at], bad, *good[at + 1 :]])
        found.append(_bad(f"tombstone: {name}", reference.segment(fields, body), code, shape))
    clear = reference.cbor(good)
    twice = header(number=9, first_sequence=30, previous=b"\x08" * 32, class_=0, period=3, count=2)
    found.append(_bad("tombstone: count 2", reference.segment(twice, clear), TOMBSTONE, False))
    found.append(_bad("tombstone: five items", reference.segment(fields, reference.cbor(good[:5]))))
    found.append(_bad("tombstone: not a byte string", reference.segment(fields, good)))
    found.append(_bad("tombstone: a byte after it", reference.segment(fields, clear + b"\0")))
    return found


def _reject_seal() -> list[dict]:
    fields = header()
    good = reference.segment(fields, reference.sealed_body(fields, _plaintext()))
    key = reference.tag_key(0, 0)
    last, first = bytearray(good), bytearray(good)
    last[-1] ^= 1
    first[-32] ^= 0x80
    cases = [
        ("last bit of the tag", bytes(last), key),
        ("first bit of the tag", bytes(first), key),
        ("only eight bytes of the tag are right", good[:-24] + bytes(24), key),
        ("the key of the next generation", good, reference.tag_key(0, 1)),
        ("the key of the other lane", good, reference.tag_key(1, 0)),
        ("the seal key itself", good, reference.seal_key(0, 0)),
        ("the external_aad of a heartbeat", _other_aad(fields), key),
    ]
    return [{"name": name, "hex": raw, "tag_key": key, "code": SEAL} for name, raw, key in cases]


def _other_aad(fields: list) -> bytes:
    payload = reference.cbor([fields, reference.sealed_body(fields, _plaintext())])
    return reference.mac0(5, b"outstation heartbeat v1", payload, reference.tag_key(0, 0), 32)


def _reject_open() -> list[dict]:
    fields = header()
    protected, unprotected, ciphertext = reference.sealed_body(fields, _plaintext())
    body_key, iv_key = reference.body_keys(2, 0)
    next_body, next_iv = reference.body_keys(2, 1)
    chosen = bytes(16)
    fixed = [protected, {1: -65534, 5: chosen}, reference.ctr(body_key, chosen, _plaintext())]
    flipped = [protected, unprotected, bytes([ciphertext[0] ^ 1]) + ciphertext[1:]]
    counter = unprotected[5][:15] + b"\x01"
    ended = [protected, {1: -65534, 5: counter}, reference.ctr(body_key, counter, _plaintext())]
    other = reference.sealed_body(header(number=1), _plaintext())
    good = [protected, unprotected, ciphertext]
    cases: list[tuple] = [
        ("keys of the next period", good, next_body, next_iv),
        ("iv key of the next period", good, body_key, next_iv),
        ("an IV of all zeros", fixed, body_key, iv_key),
        ("an IV that does not end in zeros", ended, body_key, iv_key),
        ("a bit of the ciphertext", flipped, body_key, iv_key),
        ("the body of another number", other, body_key, iv_key),
    ]
    found = []
    for name, body, body_key, iv_key in cases:
        raw = reference.segment(fields, body)
        keys = {"body_key": body_key, "iv_key": iv_key, "tag_key": reference.tag_key(0, 0)}
        found.append({"name": name, "hex": raw, **keys, "code": BODY})
    tombstone = _tombstone(0)
    keys = {"body_key": body_key, "iv_key": iv_key, "tag_key": reference.tag_key(0, 0)}
    found.append({"name": "a tombstone", "hex": tombstone["hex"], **keys, "code": BODY})
    return found


def _chain() -> list[dict]:
    """Headers after others; code 0 is a chain that holds. before null: the first of its chain."""
    digest = b"\x77" * 32
    before = header(number=4, first_sequence=10, count=5, previous=b"\x03" * 32)
    after = {"number": 5, "first_sequence": 15, "previous": digest}
    cases: list[tuple] = [
        ("next", before, after, 0),
        ("next of a later generation", before, {**after, "generation": 1, "period": 2, "class_": 1}, 0),
        ("number skipped", before, {**after, "number": 6}, CHAIN),
        ("number repeated", before, {**after, "number": 4}, CHAIN),
        ("another device", before, {**after, "device": bytes(8)}, CHAIN),
        ("another lane", before, {**after, "lane": 1}, CHAIN),
        ("another epoch", before, {**after, "epoch": 1}, CHAIN),
        ("another digest before it", before, {**after, "previous": b"\x78" * 32}, CHAIN),
        ("a sequence left out", before, {**after, "first_sequence": 16}, CHAIN),
        ("a sequence used twice", before, {**after, "first_sequence": 14}, CHAIN),
        ("first", None, {}, 0),
        ("first of the other lane", None, {"lane": 1, "previous": reference.genesis(1, 0)}, 0),
        ("first with the genesis of the other lane", None, {"lane": 1}, CHAIN),
        ("first with the genesis of another epoch", None, {"epoch": 1}, CHAIN),
        ("first with a sequence", None, {"first_sequence": 1}, CHAIN),
    ]
    return [
        {"name": name, "before": held, "before_digest": digest, "header": header(**changes), "code": code}
        for name, held, changes, code in cases
    ]
