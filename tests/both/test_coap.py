"""The CoAP codec on both runtimes: worked bytes, strictness, and every way to cut a datagram short."""

from binascii import unhexlify

from protocol import coap
from protocol.blockwise import decode_block, encode_block
from protocol.coap import Message, decode, encode
from protocol.errors import MALFORMED, TOO_LARGE, VERSION, ProtocolError

# The examples of RFC 7252 figures 16 and 17, with header fields as printed there; then lengths that need extension.
_GET_TEMPERATURE = "40017d34bb74656d7065726174757265"
_CONTENT = "60457d34ff32322e332043"


def _code_of(call, *arguments):
    """Return the reject code with which a call fails, or None."""
    try:
        call(*arguments)
    except ProtocolError as error:
        return error.code
    return None


def _parts(message):
    return (
        message.type,
        message.code,
        message.message_id,
        message.token,
        list(message.options),
        message.payload,
    )


def _samples():
    """Messages that meet every form of delta and length."""
    yield Message(coap.CON, coap.EMPTY, 0)
    yield Message(coap.RST, coap.EMPTY, 0xFFFF)
    yield Message(coap.CON, coap.POST, 1, b"\x00" * 8, [(coap.URI_PATH, b"s")], b"\xff")
    for size in (0, 1, 12, 13, 14, 268, 269, 270, 500):
        yield Message(coap.NON, coap.CONTENT, 2, b"t", [(size, b"v" * size), (size, b"w")], bytes(size))
    yield Message(
        coap.ACK, coap.SERVICE_UNAVAILABLE, 3, b"", [(12, b""), (13, b"a"), (281, b"b"), (65535, b"c")]
    )


def test_the_example_of_the_rfc_decodes_and_encodes_to_its_bytes():
    """RFC 7252 appendix A: GET /temperature and its piggybacked 2.05 response."""
    request = decode(unhexlify(_GET_TEMPERATURE))
    assert _parts(request) == (coap.CON, coap.GET, 0x7D34, b"", [(coap.URI_PATH, b"temperature")], b"")
    assert encode(request) == unhexlify(_GET_TEMPERATURE)
    response = decode(unhexlify(_CONTENT))
    assert _parts(response) == (coap.ACK, coap.CONTENT, 0x7D34, b"", [], b"22.3 C")
    assert encode(response) == unhexlify(_CONTENT)


def test_a_message_comes_back_as_it_was_sent():
    """Every form of option delta and length, token, type and payload survives the wire."""
    for message in _samples():
        assert _parts(decode(encode(message))) == _parts(message)


def test_options_are_sent_by_number_and_equal_numbers_keep_their_order():
    """The segments of a path stay in order however the options are handed in."""
    options = (
        [(60, b"z")] + coap.path_options("/r/7/m") + [(12, b"\x3c"), (coap.URI_PATH, b"last"), (3, b"h")]
    )
    got = decode(encode(Message(coap.CON, coap.GET, 9, b"", options))).options
    assert got == [(3, b"h"), (11, b"r"), (11, b"7"), (11, b"m"), (11, b"last"), (12, b"\x3c"), (60, b"z")]


def test_a_datagram_cut_at_any_length_is_a_message_or_malformed():
    """A cut in payload or between options leaves a shorter message; every other cut is refused, none crashes."""
    for message in _samples():
        whole = encode(message)
        for size in range(len(whole)):
            code = _code_of(decode, whole[:size])
            assert code in (None, MALFORMED)
            assert code is not None or encode(decode(whole[:size])) == whole[:size]
        for size in range(min(len(whole), 4 + len(message.token))):
            assert _code_of(decode, whole[:size]) == MALFORMED


def test_each_rule_of_the_format_is_enforced():
    """One datagram for each thing that RFC 7252 forbids, with the reject code it must get."""
    for text, code in (
        ("", MALFORMED),
        ("400100", MALFORMED),  # shorter than a header
        ("00010000", VERSION),
        ("80010000", VERSION),
        ("c0010000", VERSION),
        ("49010000000000000000000000", MALFORMED),  # token length 9
        ("4f01000000000000000000000000000000000000", MALFORMED),
        ("4401000001", MALFORMED),  # token cut off
        ("4000000001", MALFORMED),  # empty message that is not
        ("4100000000", MALFORMED),
        ("40200000", MALFORMED),  # reserved classes 1, 6, 7
        ("40c00000", MALFORMED),
        ("40e10000", MALFORMED),
        ("40010000ff", MALFORMED),  # payload marker without payload
        ("40010000b1", MALFORMED),  # option cut off
        ("40010000d1", MALFORMED),  # extended delta cut off
        ("40010000e100", MALFORMED),
        ("400100001d", MALFORMED),  # extended length cut off
        ("400100001e00", MALFORMED),
        ("40010000f100", MALFORMED),  # reserved nibble 15 in delta
        ("400100001f00", MALFORMED),  # and in length
        ("40010000e0ffff", MALFORMED),  # option number 65804
        ("40010000e0fef210", MALFORMED),  # 65535, then 65536
        ("40010000" + "10" * 33, TOO_LARGE),  # 33 options
        ("40010000ff" + "00" * 1148, TOO_LARGE),  # 1153 bytes
    ):
        assert _code_of(decode, unhexlify(text)) == code, text
    for text in ("40010000e0fef2", "40010000" + "10" * 32, "40010000ff" + "00" * 1147):
        assert _code_of(decode, unhexlify(text)) is None, text


def test_any_bytes_give_a_message_or_a_protocol_error():
    """Five thousand strings of a fixed generator, most with a sound header: nothing but a value or ProtocolError."""
    state = 1
    accepted = 0
    for n in range(5000):
        raw = bytearray()
        for _ in range(n % 40):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            raw.append(state >> 16 & 0xFF)
        if n % 4 and len(raw) > 4:
            raw[0] = 0x40 | raw[0] & 0x31
            raw[1] = 0x45
        try:
            message = decode(bytes(raw))
        except ProtocolError:
            continue
        accepted += 1
        assert encode(message) == bytes(raw)
    assert accepted > 100


def test_unsigned_options_have_one_shortest_form():
    """Zero is no bytes; reading accepts leading zeros, as RFC 7252 section 3.2 demands, and at most four bytes."""
    for n, value in ((0, b""), (1, b"\x01"), (255, b"\xff"), (256, b"\x01\x00"), (0xFFFFFFFF, b"\xff" * 4)):
        assert coap.uint_value(n) == value and coap.read_uint(value) == n
    assert coap.read_uint(b"\x00\x00\x05") == 5
    assert _code_of(coap.read_uint, bytes(5)) == MALFORMED


def test_max_age_is_a_minute_unless_said():
    """RFC 7252 section 5.10.5: 60 s by default, zero only when written."""
    assert coap.max_age_s([]) == 60
    assert coap.max_age_s([(coap.MAX_AGE, b"")]) == 0
    assert coap.max_age_s([(coap.MAX_AGE, b"\x01\x00")]) == 256


def test_codes_read_as_people_write_them():
    """Class, point, two digits."""
    assert coap.code_text(coap.CHANGED) == "2.04" and coap.code_text(coap.SERVICE_UNAVAILABLE) == "5.03"
    assert coap.code_text(coap.CONTINUE) == "2.31"


def test_block_options_say_number_more_and_size():
    """RFC 7959: worked values, all sizes both ways, and the two forbidden forms."""
    assert encode_block(0, False, 16) == b"" and encode_block(0, True, 64) == b"\x0a"
    assert encode_block(1, False, 128) == b"\x13" and encode_block(1048575, True, 1024) == b"\xff\xff\xfe"
    for number in (0, 1, 15, 16, 4095, 4096, 1048575):
        for size in (16, 32, 64, 128, 256, 512, 1024):
            for is_more in (False, True):
                assert decode_block(encode_block(number, is_more, size)) == (number, is_more, size)
    assert _code_of(decode_block, b"\x07") == MALFORMED
    assert _code_of(decode_block, b"\x00\x00\x00\x00") == MALFORMED
