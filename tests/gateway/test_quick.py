"""What the gateway does with C code is what `protocol` says, byte for byte and refusal for refusal."""

import random
from itertools import count

import cbor2
import pytest

from gateway.quick_segment import _parse, parse_quickly
from gateway.reconcile import Lane
from protocol import coap
from protocol.aead import AesCcm
from protocol.aes_host import Aes128, Ccm, whole_ccm
from protocol.errors import ProtocolError
from protocol.oscore import OscoreContext, ReplayWindow
from protocol.segment import parse_segment
from tests.gateway.site import segment, tombstone

_SEEDS = 40_000


def outcome(read, raw):
    """Return all that a reader says of some bytes."""
    try:
        found = read(raw)
    except ProtocolError as error:
        return error.code, error.text
    parts = [getattr(found, name) for name in ("raw", "digest", "_payload", "_iv", "_ciphertext", "_tag")]
    return parts, found.header.as_list(), found.tombstone and vars_of(found.tombstone)


def vars_of(found):
    """Return the values of an object with slots."""
    return [getattr(found, name) for name in found.__slots__]


def check_quick_parser():
    chance = random.Random(11)
    golden = [segment(0), segment(7, size=200), segment(65536, lane=0, epoch=70_000), tombstone(9, 1, 5)]
    taken = 0
    for _ in range(_SEEDS):
        raw = bytearray(chance.choice(golden))
        for _ in range(chance.randrange(3)):
            raw[chance.randrange(len(raw))] = chance.choice(
                (0, 1, 0x18, 0x80, 0xA0, 0xC2, 0xF9, 0xFB, 0xFF, 0x5F, 0x01)
            )
        raw = bytes(raw)
        assert outcome(parse_quickly, raw) == outcome(parse_segment, raw), raw.hex()
        taken += _parse(raw) is not None
    assert taken > _SEEDS // 10


_NUMBERS = (
    0,
    1,
    23,
    24,
    255,
    256,
    1023,
    1024,
    65_535,
    65_536,
    (1 << 32) - 1,
    1 << 32,
    1 << 62,
    (1 << 62) + 1,
    1 << 63,
)


@pytest.mark.parametrize("text_bytes", [0, 1, 23, 24, 130, 255, 256, 330])
def test_numbers_of_every_length_are_taken_quickly(text_bytes):
    """Numbers at each edge of their encodings, and bodies at those of theirs, are taken at once where they are allowed at all."""
    protected, unprotected, payload, tag = cbor2.loads(segment(3))
    header, body = cbor2.loads(payload)
    for at in (0, 2, 3, 4, 5, 6, 8, 9, 10):
        for number in _NUMBERS:
            changed = [put(header, (at,), number), put(body, (2,), bytes(text_bytes))]
            raw = cbor2.dumps([protected, unprotected, cbor2.dumps(changed), tag])
            said = outcome(parse_segment, raw)
            is_clear = at == 9 and number == 0

            assert outcome(parse_quickly, raw) == said
            assert is_clear or (_parse(raw) is None) == isinstance(said[0], int)


def test_segment_whose_lengths_disagree_is_not_taken():
    """A byte more or less at either end, and a length that says so, are refused as before."""
    golden = segment(7, size=200)
    for raw in (golden + b"x", golden[:-1], golden[1:], golden.replace(b"\x58\x20", b"\x58\x21")):
        assert _parse(raw) is None
        assert outcome(parse_quickly, raw) == outcome(parse_segment, raw)
    for at in range(len(golden)):
        for by in (1, 255):
            raw = golden[:at] + bytes((golden[at] + by & 255,)) + golden[at + 1 :]
            assert outcome(parse_quickly, raw) == outcome(parse_segment, raw)


def test_quick_parser_says_what_the_strict_one_says():
    """Whatever is changed in a segment, both take it alike or refuse it for the same reason."""
    check_quick_parser()


def put(items, at, value):
    """Return nested lists with the value at that place."""
    return [
        put(item, at[1:], value) if i == at[0] and at[1:] else value if i == at[0] else item
        for i, item in enumerate(items)
    ]


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        True,
        cbor2.CBORTag(1, 1),
        cbor2.CBORSimpleValue(1),
        cbor2.undefined,
        None,
        "x",
        -1,
        1 << 65,
        {1: 1.0},
    ],
    ids=repr,
)
def test_values_that_look_alike_are_not_taken(value):
    """A float, a truth value, a tag or a big number in place of any item of a segment is refused as before."""
    protected, unprotected, payload, tag = cbor2.loads(segment(3))
    header, body = cbor2.loads(payload)
    for at in range(len(header)):
        raw = cbor2.dumps([protected, unprotected, cbor2.dumps([put(header, (at,), value), body]), tag])
        assert outcome(parse_quickly, raw) == outcome(parse_segment, raw)
    for changed in (
        put(body, (0,), value),
        put(body, (1,), {1: value, 5: body[1][5]}),
        put(body, (1,), {1.0: body[1][1], 5: body[1][5]}),
        put(body, (1,), {5: body[1][5], 1: body[1][1]}),
        put(body, (2,), value),
    ):
        raw = cbor2.dumps([protected, unprotected, cbor2.dumps([header, changed]), tag])
        assert outcome(parse_quickly, raw) == outcome(parse_segment, raw)
    for at in range(4):
        raw = cbor2.dumps(put([protected, unprotected, payload, tag], (at,), value))
        assert outcome(parse_quickly, raw) == outcome(parse_segment, raw)


def test_ccm_of_the_library_is_ours():
    """Sealing gives the same bytes; opening takes the same, and refuses the same for the same reason."""
    chance = random.Random(13)
    for size in [*range(70), 511, 600]:
        key, nonce, text, aad = (
            chance.randbytes(16),
            chance.randbytes(13),
            chance.randbytes(size),
            chance.randbytes(size % 40),
        )
        ours, library = AesCcm(Aes128(key)), Ccm(key)
        sealed = library.seal(nonce, text, aad)
        assert sealed == ours.seal(nonce, text, aad)
        assert library.open(nonce, sealed, aad) == text
        wrong = bytearray(sealed)
        wrong[chance.randrange(len(wrong))] ^= 1
        for raw in (bytes(wrong), sealed[:7], sealed[:-1], b""):
            said = []
            for one in (ours, library):
                with pytest.raises(ProtocolError) as refused:
                    one.open(nonce, raw, aad)
                said.append((refused.value.code, refused.value.text))
            assert said[0] == said[1]


def test_context_with_the_librarys_ccm_speaks_to_one_without():
    """Both ends of OSCORE understand each other, whichever code seals."""
    numbers = count()
    device = OscoreContext(Aes128, bytes(16), b"\x01", b"", lambda: next(numbers))
    gateway = whole_ccm(OscoreContext(Aes128, bytes(16), b"", b"\x01", lambda: next(numbers)))
    protected, exchange = device.protect_request(
        coap.Message(coap.CON, coap.POST, 1, b"t", coap.path_options("s"), b"x")
    )
    request, asked = gateway.unprotect_request(protected, ReplayWindow())
    answer = gateway.protect_response(coap.Message(coap.ACK, coap.CHANGED, 1, b"t", [], b"y"), asked)

    assert request.payload == b"x"
    assert device.unprotect_response(answer, exchange).payload == b"y"


def test_watermark_is_the_first_number_that_is_not_settled():
    """The short way to it says what the long way says, whatever is held, lost, receipted and kept."""
    chance = random.Random(14)
    for _ in range(3000):
        lane = Lane((), chance.randrange(12), chance.randrange(12))
        for _ in range(chance.randrange(8)):
            start = chance.randrange(20)
            lane.held.add(start, start + 1 + chance.randrange(4))
        if chance.random() < 0.3:
            lane.lost.add(3, 6)

        assert lane.watermark() == lane.settled().watermark(0)
