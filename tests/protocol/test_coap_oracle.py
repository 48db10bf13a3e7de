"""aiocoap's codec as the oracle of ours, in both directions; and random bytes against both."""

import pytest
from aiocoap import Message as OracleMessage
from aiocoap import error
from aiocoap.message import Direction
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.options import Options
from aiocoap.optiontypes import OpaqueOption
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.coap import Message, decode, encode, sort_options
from protocol.errors import ProtocolError

# Numbers that aiocoap keeps as opaque bytes, and Uri-Path, which it keeps as text.
_NUMBERS = st.sampled_from([4, 9, 11, 252, 292, 2049, 65000, 65535])
_CODES = st.sampled_from([1, 2, 3, 4, 5, 0x41, 0x44, 0x45, 0x80, 0x81, 0x8D, 0xA0, 0xA3])


@st.composite
def _messages(draw):
    options = []
    for number in draw(st.lists(_NUMBERS, max_size=6)):
        value = draw(st.binary(max_size=300 if number > 300 else 14))
        options.append((number, value.hex().encode() if number == 11 else value))
    return Message(
        draw(st.integers(0, 3)),
        draw(_CODES),
        draw(st.integers(0, 65535)),
        draw(st.binary(max_size=8)),
        [(number, value[:150]) for number, value in options],
        draw(st.binary(max_size=200)),
    )


def _options_of(oracle):
    return [(int(option.number), option.encode()) for option in oracle.opt.option_list()]


@given(_messages())
def test_aiocoap_reads_what_we_write(message):
    """Header, token, every option and payload mean to aiocoap what they mean to us."""
    oracle = OracleMessage.decode(encode(message))
    assert (int(oracle.mtype), int(oracle.code), oracle.mid) == (
        message.type,
        message.code,
        message.message_id,
    )
    assert oracle.token == message.token and oracle.payload == message.payload
    assert _options_of(oracle) == sort_options(message.options)


@given(_messages())
def test_we_read_what_aiocoap_writes(message):
    """The bytes of aiocoap give us the same parts, and encode to the same bytes again."""
    oracle = OracleMessage(code=message.code, payload=message.payload)
    oracle.direction = Direction.OUTGOING
    oracle.mtype, oracle.mid, oracle.token = message.type, message.message_id, message.token
    for number, value in message.options:
        option = OptionNumber(number).create_option(decode=value)
        oracle.opt.add_option(option if option is not None else OpaqueOption(number, value))
    wire = oracle.encode()
    read = decode(wire)
    assert (read.type, read.code, read.message_id) == (message.type, message.code, message.message_id)
    assert read.token == message.token and read.payload == message.payload
    assert read.options == _options_of(oracle) and encode(read) == wire


@given(st.binary(max_size=60), st.booleans())
@example(b"\x40\x00\x00\x00", False)
def test_any_bytes_give_a_message_or_a_protocol_error(raw, has_header):
    """No other exception; what is accepted encodes to the same bytes, and aiocoap's option parser agrees."""
    raw = b"\x40\x45\x00\x01" + raw if has_header else raw
    try:
        message = decode(raw)
    except ProtocolError:
        return
    assert encode(message) == raw
    oracle = Options()
    try:
        payload = oracle.decode(raw[4 + len(message.token) :])
    except (error.UnparsableMessage, UnicodeDecodeError):
        # aiocoap turns Uri-Path into text while it reads; we leave that to the reader of the path.
        return
    assert payload == message.payload and [number for number, _ in message.options] == [
        int(option.number) for option in oracle.option_list()
    ]


@given(_messages(), st.data())
def test_a_message_cut_anywhere_is_refused_or_a_true_prefix(message, data):
    """Cutting never invents: what is still accepted encodes to exactly the bytes that were left."""
    wire = encode(message)
    cut = wire[: data.draw(st.integers(0, len(wire) - 1))]
    try:
        assert encode(decode(cut)) == cut
    except ProtocolError:
        return


def test_what_aiocoap_refuses_we_refuse():
    """The malformed forms that both know: reserved nibbles, cut options, version."""
    for text in ("40010000f100", "400100001f00", "40010000b1", "00010000", "c0010000"):
        raw = bytes.fromhex(text)
        with pytest.raises(ProtocolError):
            decode(raw)
        with pytest.raises((error.UnparsableMessage, ValueError, IndexError)):
            OracleMessage.decode(raw)
