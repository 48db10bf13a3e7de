"""Properties of every decoder of protocol/: a value or ProtocolError, whatever the bytes."""

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import agent_index, command, envelope, event, manifest, messages, segment, uplink
from protocol.cbor import Simple, dumps, loads
from protocol.columns import get_column, put_column
from protocol.errors import NAMES, ProtocolError
from protocol.ranges import Ranges
from tests.both.vector_files import bytes_of, read_vectors

_FAST = settings(max_examples=150, deadline=None)

DECODERS = {
    "cbor": loads,
    "columns": lambda raw: get_column(raw, 0, 9),
    "event": lambda raw: event.decode_events(raw, 1),
    "segment": segment.parse_segment,
    "heartbeat": messages.parse_heartbeat,
    "receipt": messages.parse_receipt,
    "time_token": messages.parse_time_token,
    "command": command.parse_command,
    "answer": messages.parse_answer,
    "uplink_request": uplink.parse_request,
    "uplink_answer": uplink.parse_uplink_answer,
    "signature": envelope.parse_envelope,
    "manifest": manifest.parse_manifest,
    "release": manifest.parse_release,
    "agent_index": agent_index.parse_agent_index,
}


def _golden():
    held = {
        name: [bytes_of(v) for v in read_vectors(name)["accept"]] for name in ("cbor", "columns", "event")
    }
    held["segment"] = [bytes_of(v) for v in read_vectors("segment")["accept"]]
    held["answer"] = [bytes_of(v) for v in read_vectors("answer")["accept"]]
    for vector in read_vectors("messages")["accept"]:
        held.setdefault(vector["rule"], []).append(bytes_of(vector))
    held["signature"] = [bytes_of(v) for v in read_vectors("envelope")["accept"]]
    held["manifest"] = [bytes_of(v) for v in read_vectors("manifest")["accept"]]
    held["release"] = [bytes_of(v) for v in read_vectors("manifest")["releases"]]
    held["agent_index"] = [bytes_of(v) for v in read_vectors("agent")["accept"]]
    uplinks = read_vectors("uplink")
    held["uplink_request"] = [bytes_of(v) for v in uplinks["requests"]]
    held["uplink_answer"] = [bytes_of(v) for v in uplinks["answers"]]
    return held


GOLDEN = _golden()


def _take(name, raw):
    """Decode and return (code, value): nothing but a value or a ProtocolError of a known code comes out."""
    try:
        return 0, DECODERS[name](raw)
    except ProtocolError as error:
        assert error.code in NAMES
        assert error.text
        return error.code, None


@pytest.mark.parametrize("name", DECODERS)
@_FAST
@given(raw=st.binary(max_size=600))
def test_any_bytes_give_a_value_or_a_reject_code(name, raw):
    """Noise never ends in another error."""
    _take(name, raw)


@pytest.mark.parametrize("name", DECODERS)
@_FAST
@given(data=st.data())
def test_mended_golden_bytes_give_a_value_or_a_reject_code(name, data):
    """Golden bytes with a few bytes replaced, cut or put in never end in another error."""
    raw = bytearray(data.draw(st.sampled_from(GOLDEN[name]), label="golden"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    _take(name, bytes(raw))


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in ("columns", "event")])
def test_every_truncation_is_refused(name):
    """No proper beginning of an item is an item: each golden one, cut at every length."""
    for raw in GOLDEN[name]:
        for length in range(0, len(raw), 1 + len(raw) // 600):
            assert _take(name, raw[:length])[0] != 0, (raw.hex(), length)


def test_every_truncation_of_events_and_columns_is_refused():
    """The same, where the count is told from outside."""
    for vector in read_vectors("event")["accept"]:
        for length in range(len(bytes_of(vector))):
            with pytest.raises(ProtocolError):
                event.decode_events(bytes_of(vector)[:length], len(vector["events"]))
    for vector in read_vectors("columns")["accept"]:
        for length in range(len(bytes_of(vector))):
            with pytest.raises(ProtocolError):
                get_column(bytes_of(vector)[:length], 0, len(vector["values"]))


@pytest.mark.parametrize("vector", read_vectors("segment")["accept"][::5], ids=lambda v: v["name"])
def test_every_flipped_bit_of_a_segment_is_refused(vector):
    """By the parser or by the seal; a parsed one has the same place or is refused."""
    raw = bytes_of(vector)
    for bit in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(ProtocolError):
            segment.parse_segment(bytes(bad)).verify(vector["tag_key"])


@pytest.mark.parametrize("vector", read_vectors("messages")["accept"], ids=lambda v: v["name"])
def test_every_flipped_bit_of_a_message_is_refused(vector):
    """By the parser or by the seal."""
    raw = bytes_of(vector)
    for bit in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(ProtocolError):
            DECODERS[vector["rule"]](bytes(bad)).verify(vector["key"])


_SIMPLE = st.one_of(st.integers(0, 19), st.integers(32, 255)).map(Simple)
_LEAVES = st.one_of(
    st.integers(-(1 << 64), (1 << 64) - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
    st.booleans(),
    st.none(),
    _SIMPLE,
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.integers(-(1 << 64), (1 << 64) - 1), inner, max_size=5),
    ),
    max_leaves=12,
)


def _foreign(value):
    if isinstance(value, Simple):
        return cbor2.CBORSimpleValue(value.value)
    if isinstance(value, list):
        return [_foreign(item) for item in value]
    return {key: _foreign(item) for key, item in value.items()} if isinstance(value, dict) else value


@_FAST
@given(value=_VALUES)
@example(value={-1: 0, 100: 0})
def test_a_value_has_one_encoding_and_cbor2_reads_it(value):
    """Decode of encode is the value, encode of decode the bytes, and cbor2 sees the same."""
    raw = dumps(value)

    assert loads(raw, depth_max=40) == value
    assert dumps(loads(raw, depth_max=40)) == raw
    assert cbor2.loads(raw) == _foreign(value)


@_FAST
@given(raw=st.binary(max_size=24))
def test_accepted_noise_encodes_back_to_itself(raw):
    """Whatever is accepted had the one encoding, and cbor2 accepts it with the same value."""
    code, value = _take("cbor", raw)
    if code == 0:
        assert dumps(value) == raw
        assert cbor2.loads(raw) == _foreign(value)


_TOP = 1 << 62


@_FAST
@given(values=st.lists(st.integers(-_TOP, _TOP), min_size=1, max_size=60))
@example(values=[-_TOP, _TOP] * 20)
def test_any_column_comes_back_exactly(values):
    """All of +-2**62, the largest steps included."""
    out = bytearray()
    put_column(out, values)

    assert get_column(bytes(out), 0, len(values)) == (values, len(out))


@st.composite
def _segments_of_events(draw):
    channels = draw(st.integers(1, 8))
    order, tick = draw(st.integers(0, 1 << 50)), draw(st.integers(0, 1 << 50))
    listed = []
    for _ in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            qualities = draw(st.lists(st.integers(0, 6), min_size=channels, max_size=channels))
            values = [None if quality else draw(st.integers(-_TOP, _TOP)) for quality in qualities]
            listed.append((order, tick, event.SAMPLE, (values, qualities)))
        else:
            listed.append(
                (order, tick, event.TIME_MARK, (draw(st.integers(0, _TOP)), draw(st.integers(0, 9))))
            )
        order += draw(st.integers(1, 9))
        tick += draw(st.integers(0, 1 << 40))
    return draw(st.integers(0, (1 << 32) - 1)), listed


@_FAST
@given(whole=_segments_of_events())
def test_any_events_come_back_exactly_or_do_not_fit(whole):
    """Values that are none, orders with holes, both kinds in turn; encoded twice it is the same."""
    boot, listed = whole
    try:
        raw = event.encode_events(boot, listed)
    except ProtocolError as error:
        assert NAMES[error.code] == "too-large"
        return

    assert event.encode_events(boot, listed) == raw
    assert event.decode_events(raw, len(listed)) == (boot, listed)


@_FAST
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 30)), max_size=12))
def test_ranges_agree_with_a_set_of_numbers(steps):
    """Sorted, disjoint, never touching, and the same numbers as a set."""
    ranges = Ranges()
    held = set()
    for is_add, start, stop in steps:
        (ranges.add if is_add else ranges.remove)(start, stop)
        held = held | set(range(start, stop)) if is_add else held - set(range(start, stop))

    assert [n for n in range(31) if n in ranges] == sorted(held)
    assert all(before[1] < after[0] for before, after in zip(ranges.pairs, ranges.pairs[1:], strict=False))
    assert ranges.count() == len(held)
    assert [n for start, stop in ranges.missing(0, 31) for n in range(start, stop)] == sorted(
        set(range(31)) - held
    )
    assert ranges.watermark() == next(n for n in range(32) if n not in held)
