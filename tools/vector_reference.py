"""A second implementation of SPEC.md, for the golden vectors alone, from other people's code.

CBOR is `cbor2`'s, AES-CTR is `cryptography`'s, HMAC the standard library's; columns are found by
trying every way and taking the shortest. It shares nothing with `protocol/`, is slow, and believes its input.
"""

import hashlib
import hmac
import itertools
from typing import Any

import cbor2
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Value = dict | list | bytes | str | int | None

DEVICE = bytes.fromhex("00a1b2c3d4e5f607")
SEAL_ROOT = bytes(range(32))
VIEW_ROOT = bytes(range(32, 64))
DOWNLINK = bytes(range(64, 96))
LANES = ("critical", "routine")
CLASSES = ("clear", "site", "office")
# The parts that each uplink answer has, in the order of their keys.
NO_ANSWER: dict[str, list] = {
    "outcomes": [],
    "heartbeat_outcomes": [],
    "receipts": [],
    "time_tokens": [],
    "wants": [],
}


def cbor(value: Value) -> bytes:
    """Return the deterministic encoding of value.

    cbor2's own canonical order of map keys is that of RFC 7049, the short before the long, which differs from
    RFC 8949 section 4.2.1 once keys are below zero. So keys are put in order here, and cbor2 keeps the order.
    """
    return cbor2.dumps(_in_order(value))


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    if isinstance(value, (list, tuple)):
        return [_in_order(item) for item in value]
    return value


def mac(key: bytes, text: bytes) -> bytes:
    """Return HMAC-SHA256."""
    return hmac.new(key, text, hashlib.sha256).digest()


def steps(key: bytes, count: int) -> bytes:
    """Return a chain key count steps on."""
    for _ in range(count):
        key = mac(key, b"next")
    return key


def seal_key(lane: int, generation: int) -> bytes:
    """Return k(generation) of a lane."""
    return steps(mac(SEAL_ROOT, LANES[lane].encode()), generation)


def tag_key(lane: int, generation: int) -> bytes:
    """Return the key of segment tags."""
    return mac(seal_key(lane, generation), b"seal")


def heartbeat_key(generation: int) -> bytes:
    """Return the key of heartbeat tags."""
    return mac(seal_key(0, generation), b"heartbeat")


def ratchet(view_class: int, period: int) -> bytes:
    """Return r(period) of a class."""
    return steps(mac(VIEW_ROOT, CLASSES[view_class].encode()), period)


def view_key(view_class: int, period: int) -> bytes:
    """Return vk(period) of a class."""
    return mac(ratchet(view_class, period), b"view")


def body_keys(view_class: int, period: int) -> tuple[bytes, bytes]:
    """Return body key and iv key."""
    view = view_key(view_class, period)
    return mac(view, b"encrypt")[:16], mac(view, b"iv")


def ctr(key: bytes, iv: bytes, text: bytes) -> bytes:
    """Return text under AES-128-CTR."""
    # The IV is made from the text (SPEC.md section 3.4), so that no key stream is used twice.
    encryptor = Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


def mac0(algorithm: int, aad: bytes, payload: bytes, key: bytes, tag_bytes: int) -> bytes:
    """Return an untagged COSE_Mac0 (RFC 9052 section 6)."""
    protected = cbor({1: algorithm})
    tag = mac(key, cbor(["MAC0", protected, aad, payload]))[:tag_bytes]
    return cbor([protected, {}, payload, tag])


def genesis(lane: int, epoch: int) -> bytes:
    """Return what segment 0 names as the one before it."""
    return hashlib.sha256(b"outstation genesis v1" + cbor([DEVICE, lane, epoch])).digest()


def sealed_body(header: list, plaintext: bytes, keys: tuple[bytes, bytes] | None = None) -> list:
    """Return a body of the header's class and period; keys: body key and iv key where no ratchet reaches."""
    body_key, iv_key = keys or body_keys(header[9], header[10])
    iv = mac(iv_key, cbor(header) + plaintext)[:12] + bytes(4)
    return [b"", {1: -65534, 5: iv}, ctr(body_key, iv, plaintext)]


def segment(header: list, body: Value, key: bytes | None = None) -> bytes:
    """Return a segment of any header and body, sealed with the key of its lane and generation."""
    if key is None:
        key = tag_key(header[2], header[8])
    return mac0(5, b"outstation segment v1", cbor([header, body]), key, 32)


def heartbeat(fields: list) -> bytes:
    """Return a heartbeat of any fields."""
    return mac0(4, b"outstation heartbeat v1", cbor(fields), heartbeat_key(0), 8)


def receipt(fields: list) -> bytes:
    """Return a receipt of any fields."""
    return mac0(4, b"outstation receipt v1", cbor(fields), mac(DOWNLINK, b"receipt"), 8)


def time_token(fields: list) -> bytes:
    """Return a time token of any fields."""
    return mac0(4, b"outstation time v1", cbor(fields), mac(DOWNLINK, b"time"), 8)


def command(fields: list) -> bytes:
    """Return a command of any fields."""
    return mac0(4, b"outstation command v1", cbor(fields), mac(DOWNLINK, b"command"), 8)


def uplink_answer(key: int, part: Value) -> bytes:
    """Return an uplink answer of which nothing but one later part says anything. key: of that part."""
    return cbor({**dict(enumerate(NO_ANSWER.values())), key: part})


def uvarint(value: int) -> bytes:
    """Return LEB128."""
    groups = []
    while True:
        value, low = divmod(value, 128)
        groups.append(low + (128 if value else 0))
        if not value:
            return bytes(groups)


def svarint(value: int) -> bytes:
    """Return LEB128 of the zigzag."""
    return uvarint(zigzag(value))


def zigzag(value: int) -> int:
    """Return 2v, or -2v - 1 below zero."""
    return 2 * value if value >= 0 else -2 * value - 1


def pack(residuals: list[int], width: int) -> bytes:
    """Return residuals of width bits, lowest bit first: written out as the digits of one big number."""
    number = sum(residual << (width * i) for i, residual in enumerate(residuals))
    return number.to_bytes((len(residuals) * width + 7) // 8, "little")


def column_of_mode(values: list[int], mode: int, width: int = 0) -> bytes | None:
    """Return a column in one mode and width, or None if it cannot be said so."""
    differences = [after - before for before, after in itertools.pairwise(values)]
    if mode == 0:
        return b"\0" + b"".join(svarint(v) for v in [values[0], *differences])
    base = sorted(differences)[(len(differences) - 1) // 2]
    residuals = [zigzag(difference - base) for difference in differences]
    head = bytes([mode]) + svarint(values[0]) + svarint(base) + bytes([width])
    wide = [i for i, residual in enumerate(residuals) if residual >> width]
    if mode == 1:
        return None if wide else head + pack(residuals, width)
    if not wide:
        return None
    head += uvarint(len(wide))
    for before, i in zip([0, *wide], wide, strict=False):
        head += uvarint(i - before) + uvarint(residuals[i])
    return head + pack([0 if i in wide else residual for i, residual in enumerate(residuals)], width)


def column(values: list[int]) -> bytes:
    """Return the shortest column, the lower mode among equals, then the smaller width."""
    ways = [column_of_mode(values, 0)]
    if len(values) > 1:
        ways += [column_of_mode(values, mode, width) for mode in (1, 2) for width in range(65)]
    return min((way for way in ways if way is not None), key=len)


def events(boot: int, listed: list) -> bytes:
    """Return the plaintext of events (order, tick, kind, fields); kind 0 has fields (values, qualities)."""
    order, tick = listed[0][0], listed[0][1]
    samples = [event for event in listed if event[2] == 0]
    rows = [[event[0] - order, event[1] - tick, event[2], *event[3]] for event in listed if event[2] != 0]
    return cbor([boot, tick, order, _columns(samples, order, tick), rows])


def _columns(samples: list, order: int, tick: int) -> bytes:
    if not samples:
        return b""
    channels = len(samples[0][3][0])
    out = uvarint(len(samples)) + uvarint(channels)
    out += column([sample[0] - order for sample in samples]) + column(
        [sample[1] - tick for sample in samples]
    )
    for channel in range(channels):
        out += column([sample[3][1][channel] for sample in samples])
        carried = [0]
        for sample in samples:
            carried.append(sample[3][0][channel] if sample[3][1][channel] == 0 else carried[-1])
        out += column(carried[1:])
    return out
