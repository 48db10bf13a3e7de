"""Every decoder of protocol/ under seeded random bytes: a value or a reject code, the same on both runtimes."""

import hashlib

from protocol import command, event, messages, segment, uplink
from protocol.cbor import dumps, loads
from protocol.columns import get_column, put_column
from protocol.errors import ProtocolError
from tests.both.seeded_bytes import Dice, changed, random_column, random_events, random_value
from tests.both.vector_files import bytes_of, read_vectors

# Equal on CPython and MicroPython. Changes only with the vectors, the dice or the grammar.
DIGEST = "7a470f7bcb6da43d291336758a05777ed51265016df3dc17da7c9bdc4d3474f7"

_DECODERS = {
    "cbor": lambda raw: dumps(loads(raw)) == raw,
    "columns": lambda raw: get_column(raw, 0, 9),
    "event": lambda raw: event.decode_events(raw, 1),
    "segment": lambda raw: segment.parse_segment(raw).header.as_list(),
    "heartbeat": lambda raw: messages.parse_heartbeat(raw).fields.health,
    "receipt": lambda raw: messages.parse_receipt(raw).fields.number,
    "time_token": lambda raw: messages.parse_time_token(raw).fields.wall_ms,
    "command": lambda raw: command.parse_command(raw).fields.demand,
    "answer": lambda raw: messages.encode_answer(messages.parse_answer(raw)),
    "uplink_request": uplink.parse_request,
    "uplink_answer": lambda raw: uplink.encode_uplink_answer(uplink.parse_uplink_answer(raw)),
}


def _outcome(decode, raw):
    try:
        return b"\0" + dumps(_listed(decode(raw)))
    except ProtocolError as error:
        return bytes([error.code])


def _listed(value):
    return [_listed(item) for item in value] if isinstance(value, (tuple, list)) else value


def _corpus():
    for name in ("cbor", "columns", "event", "segment", "messages", "answer", "bulk"):
        for vector in read_vectors(name)["accept"]:
            yield vector["rule"] if name in ("messages", "bulk") else name, bytes_of(vector)
    held = read_vectors("uplink")
    for name in ("requests", "answers"):
        for vector in held[name][:2]:
            yield "uplink_" + name[:-1], bytes_of(vector)


def test_every_decoder_ends_in_a_value_or_a_reject_code_and_both_runtimes_agree():
    """Golden bytes with a bit flipped, a byte put in, replaced or left out: the digest of all outcomes is known."""
    dice = Dice(1)
    total = hashlib.sha256()
    taken = refused = 0
    for name, raw in _corpus():
        for _ in range(12):
            outcome = _outcome(_DECODERS[name], changed(dice, raw))
            taken += outcome[0] == 0
            refused += outcome[0] != 0
            total.update(outcome)
    assert taken > 50 and refused > 500, (taken, refused)
    digest = total.digest().hex()
    assert digest == DIGEST, digest


def test_random_values_come_back_and_have_one_encoding():
    """Decode of encode is the value, encode of decode the bytes."""
    for seed in range(300):
        value = random_value(Dice(seed))
        raw = dumps(value)
        assert loads(raw) == value, seed
        assert dumps(loads(raw)) == raw, seed


def test_random_columns_come_back_exactly():
    """Steady, noisy and wild runs of integers, outliers among them."""
    for seed in range(300):
        values = random_column(Dice(seed))
        out = bytearray()
        put_column(out, values)
        assert get_column(bytes(out), 0, len(values)) == (values, len(out)), seed


def test_random_events_come_back_exactly():
    """Samples with every quality and rows between them, in order; what does not fit is said."""
    fitted = 0
    for seed in range(200):
        boot, listed = random_events(Dice(seed))
        try:
            raw = event.encode_events(boot, listed)
        except ProtocolError:
            continue
        fitted += 1
        assert event.encode_events(boot, listed) == raw, seed
        assert event.decode_events(raw, len(listed)) == (boot, listed), seed
    assert fitted > 100, fitted


def test_every_flipped_bit_of_a_segment_is_refused():
    """By the parser or by the seal: no bit is free."""
    vector = read_vectors("segment")["accept"][0]
    raw = bytes_of(vector)
    for bit in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[bit >> 3] ^= 1 << (bit & 7)
        try:
            segment.parse_segment(bytes(bad)).verify(vector["tag_key"])
        except ProtocolError:
            continue
        raise AssertionError("bit {} is free".format(bit))


def test_nothing_cut_off_is_taken_whole():
    """Each golden item, cut at every length, is refused."""
    for name, raw in _corpus():
        if name in ("columns", "event"):
            continue
        step = 1 + len(raw) // 200
        for length in range(0, len(raw), step):
            assert _outcome(_DECODERS[name], raw[:length])[0], (name, length)
