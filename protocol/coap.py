"""CoAP messages: encode, and a strict decoder. Only the bytes: retransmission and matching live in `agent.coap_client`.

Options are a list of (number, value) with value as bytes, in the order of their numbers once decoded.

Source: RFC 7252 sections 3, 5.10 and 12; RFC 7959 (Block), RFC 8613 (OSCORE), RFC 9175 (Echo).
"""

from protocol._const import const
from protocol.errors import MALFORMED, TOO_LARGE, VERSION, ProtocolError

# Types of a message.
CON = 0
NON = 1
ACK = 2
RST = 3

# Codes: class in the upper three bits, detail in the lower five.
EMPTY = 0x00
GET = 0x01
POST = 0x02
FETCH = 0x05
CREATED = 0x41
CHANGED = 0x44
CONTENT = 0x45
CONTINUE = 0x5F
BAD_REQUEST = 0x80
UNAUTHORIZED = 0x81
BAD_OPTION = 0x82
FORBIDDEN = 0x83
NOT_FOUND = 0x84
METHOD_NOT_ALLOWED = 0x85
REQUEST_INCOMPLETE = 0x88
TOO_LARGE_ENTITY = 0x8D
INTERNAL_SERVER_ERROR = 0xA0
SERVICE_UNAVAILABLE = 0xA3

# Numbers of options.
URI_HOST = 3
ETAG = 4
OBSERVE = 6
URI_PORT = 7
OSCORE = 9
URI_PATH = 11
CONTENT_FORMAT = 12
MAX_AGE = 14
URI_QUERY = 15
BLOCK2 = 23
BLOCK1 = 27
SIZE2 = 28
PROXY_URI = 35
PROXY_SCHEME = 39
SIZE1 = 60
ECHO = 252

# Content-Format of application/cbor.
CBOR_FORMAT = 60

# What RFC 7252 section 4.6 lets a peer assume: 1024 bytes of payload and 128 for the rest fit an IPv6 packet.
datagram_bytes_max = 1152
# Far more than any message of ours has; bounds the work on a datagram that nobody verified yet.
options_max = 32
# Seconds that a response stays fresh when it does not say so: RFC 7252 section 5.10.5.
max_age_default_s = 60

_PAYLOAD_MARKER = const(0xFF)
_TOKEN_BYTES_MAX = const(8)
_NUMBER_MAX = const(0xFFFF)
# First length or delta that needs one, and two, further bytes.
_EXTENDED_1 = const(13)
_EXTENDED_2 = const(269)


class Message:
    """One CoAP message: type (CON..RST), code, message_id (16 bits), token, options, payload. Plain values, no checks."""

    __slots__ = ("code", "message_id", "options", "payload", "token", "type")

    def __init__(self, type, code, message_id, token=b"", options=(), payload=b""):  # noqa: A002
        self.type = type
        self.code = code
        self.message_id = message_id
        self.token = token
        self.options = options
        self.payload = payload


def encode(message: Message) -> bytes:
    """Return the datagram of a message. Options may stand in any order; equal numbers keep theirs."""
    assert len(message.token) <= _TOKEN_BYTES_MAX and 0 <= message.message_id <= 0xFFFF
    out = bytearray(
        (
            0x40 | message.type << 4 | len(message.token),
            message.code,
            message.message_id >> 8,
            message.message_id & 0xFF,
        )
    )
    out.extend(message.token)
    append_body(out, message.options, message.payload)
    return bytes(out)


def append_body(out: bytearray, options, payload: bytes) -> None:
    """Append options and payload to out: the tail of a message, and of the plaintext of OSCORE."""
    before = 0
    for number, value in sort_options(options):
        _append_option(out, number - before, value)
        before = number
    if payload:
        out.append(_PAYLOAD_MARKER)
        out.extend(payload)


def sort_options(options) -> list:
    """Return the options by rising number, equal ones in their given order.

    By insertion: MicroPython's sort is not stable, and a path must keep the order of its segments.
    """
    out: list = []
    for option in options:
        at = len(out)
        while at and out[at - 1][0] > option[0]:
            at -= 1
        out.insert(at, option)
    return out


def _append_option(out: bytearray, delta: int, value: bytes) -> None:
    length = len(value)
    out.append(_nibble(delta) << 4 | _nibble(length))
    _append_extended(out, delta)
    _append_extended(out, length)
    out.extend(value)


def _nibble(n: int) -> int:
    if n < _EXTENDED_1:
        return n
    return 13 if n < _EXTENDED_2 else 14


def _append_extended(out: bytearray, n: int) -> None:
    if n >= _EXTENDED_2:
        out.extend((n - _EXTENDED_2).to_bytes(2, "big"))
    elif n >= _EXTENDED_1:
        out.append(n - _EXTENDED_1)


def decode(datagram: bytes) -> Message:
    """Return the message of a datagram.

    Raises ProtocolError(MALFORMED), (TOO_LARGE) or (VERSION); never anything else, whatever the bytes.
    """
    size = len(datagram)
    if size > datagram_bytes_max:
        raise ProtocolError(TOO_LARGE, "datagram of {} bytes exceeds {}".format(size, datagram_bytes_max))
    if size < 4:
        raise ProtocolError(MALFORMED, "datagram of {} bytes is shorter than a CoAP header (4)".format(size))
    first = datagram[0]
    if first >> 6 != 1:
        raise ProtocolError(VERSION, "CoAP version {} is not 1".format(first >> 6))
    code = datagram[1]
    end = 4 + _token_length(first & 15, code, size)
    options, payload = decode_body(datagram, end)
    return Message(
        first >> 4 & 3, code, datagram[2] << 8 | datagram[3], bytes(datagram[4:end]), options, payload
    )


def _token_length(length: int, code: int, size: int) -> int:
    if length > _TOKEN_BYTES_MAX:
        raise ProtocolError(MALFORMED, "token length {} exceeds 8".format(length))
    if size < 4 + length:
        raise ProtocolError(MALFORMED, "token of {} bytes cut off".format(length))
    if code == EMPTY and size != 4:
        raise ProtocolError(MALFORMED, "empty message of {} bytes is not 4".format(size))
    if code >> 5 in (1, 6, 7):
        raise ProtocolError(MALFORMED, "code {} is of a reserved class".format(code_text(code)))
    return length


def decode_body(data: bytes, at: int):
    """Return (options, payload) of what stands in data from position at on. Raises as decode."""
    options = []
    number = 0
    end = len(data)
    while at < end:
        first = data[at]
        at += 1
        if first == _PAYLOAD_MARKER:
            if at == end:
                raise ProtocolError(MALFORMED, "payload marker without payload")
            return options, bytes(data[at:])
        delta, at = _extended(data, at, first >> 4)
        length, at = _extended(data, at, first & 15)
        number += delta
        if number > _NUMBER_MAX:
            raise ProtocolError(MALFORMED, "option number {} exceeds 65535".format(number))
        if at + length > end:
            raise ProtocolError(MALFORMED, "option {} of {} bytes cut off".format(number, length))
        if len(options) == options_max:
            raise ProtocolError(TOO_LARGE, "more than {} options".format(options_max))
        options.append((number, bytes(data[at : at + length])))
        at += length
    return options, b""


def _extended(data, at: int, nibble: int):
    if nibble < 13:
        return nibble, at
    if nibble == 15:
        raise ProtocolError(MALFORMED, "reserved option nibble 15 at byte {}".format(at - 1))
    end = at + nibble - 12
    if end > len(data):
        raise ProtocolError(MALFORMED, "option cut off at byte {}".format(at))
    if nibble == 13:
        return data[at] + _EXTENDED_1, end
    return (data[at] << 8 | data[at + 1]) + _EXTENDED_2, end


def option(options, number: int):
    """Return the value of the first option with that number, or None."""
    for found, value in options:
        if found == number:
            return value
    return None


def uint_value(n: int) -> bytes:
    """Return the shortest value of an unsigned option: nothing at all for 0."""
    size = 0
    while n >> 8 * size:
        size += 1
    return n.to_bytes(size, "big") if size else b""


def read_uint(value: bytes) -> int:
    """Return the number of an unsigned option of 0..4 bytes. Raises ProtocolError(MALFORMED) on a longer one."""
    if len(value) > 4:
        raise ProtocolError(MALFORMED, "unsigned option of {} bytes exceeds 4".format(len(value)))
    return int.from_bytes(value, "big")


def path_options(path: str) -> list:
    """Return one Uri-Path option for each segment of a path such as "s" or "r/7/manifest"."""
    return [(URI_PATH, segment.encode()) for segment in path.split("/") if segment]


def max_age_s(options) -> int:
    """Return for how many seconds a response holds; of a 5.03, after how many the request may be tried again."""
    value = option(options, MAX_AGE)
    return max_age_default_s if value is None else read_uint(value)


def code_text(code: int) -> str:
    """Return a code as people write it: 0x44 is "2.04"."""
    return "{}.{:02d}".format(code >> 5, code & 31)
