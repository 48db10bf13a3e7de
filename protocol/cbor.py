"""Deterministic CBOR: the only encoder for bytes that are hashed or sealed, and a strict decoder for bytes that nobody verified yet.

The subset: integers of -2**64 .. 2**64 - 1, byte strings, UTF-8 text, arrays, maps with integer keys, false, true,
null, and simple values 0..19 and 32..255 (the variables of rules). No tags, no floats, no indefinite lengths.
One value has one encoding: shortest heads, map keys rising and unequal; everything else is refused. So equal values
have equal digests, and decode followed by encode gives the same bytes.

Source: SPEC.md section 2; RFC 8949 sections 3 and 4.2.1.
"""

from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import cbor_depth_max

_FALSE = 0xF4
_TRUE = 0xF5
_NULL = 0xF6
_ABOVE_ALL = 1 << 64


class Simple:
    """A simple value of CBOR: in a bundle, a variable. Equal by number."""

    __slots__ = ("value",)

    def __init__(self, value: int):
        self.value = value

    def __eq__(self, other) -> bool:
        return isinstance(other, Simple) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return "simple({})".format(self.value)


def dumps(value) -> bytes:
    """Return the one deterministic encoding of value. A wrong type is our own mistake: TypeError or ValueError."""
    out = bytearray()
    _encode(out, value)
    return bytes(out)


def _head(out: bytearray, major: int, n: int) -> None:
    if n < 24:
        out.append(major | n)
    elif n < 0x100:
        out.append(major | 24)
        out.append(n)
    elif n < 0x10000:
        out.append(major | 25)
        out.extend(n.to_bytes(2, "big"))
    elif n < 0x100000000:
        out.append(major | 26)
        out.extend(n.to_bytes(4, "big"))
    elif n < 0x10000000000000000:
        out.append(major | 27)
        out.extend(n.to_bytes(8, "big"))
    else:
        raise ValueError("integer of more than 64 bits")


def _encode(out: bytearray, value) -> None:
    # What there is most of comes first, and a head of one byte is written here: half of all items end in these lines.
    kind = type(value)
    if kind is int:
        if 0 <= value < 24:
            out.append(value)
        elif value >= 0:
            _head(out, 0x00, value)
        else:
            _head(out, 0x20, -1 - value)
    elif kind is bytes:
        _head(out, 0x40, len(value))
        out.extend(value)
    elif kind is list or kind is tuple:
        _head(out, 0x80, len(value))
        for item in value:
            if type(item) is int and 0 <= item < 24:
                out.append(item)
            else:
                _encode(out, item)
    elif value is None:
        out.append(_NULL)
    elif kind is dict:
        _encode_map(out, value)
    else:
        _encode_rarer(out, value)


def _encode_rarer(out: bytearray, value) -> None:
    if value is True or value is False:
        out.append(_TRUE if value else _FALSE)
    elif isinstance(value, int):
        _encode(out, int(value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _head(out, 0x40, len(value))
        out.extend(value)
    elif isinstance(value, str):
        text = value.encode()
        _head(out, 0x60, len(text))
        out.extend(text)
    elif isinstance(value, (list, tuple)):
        _encode(out, list(value))
    elif isinstance(value, dict):
        _encode_map(out, value)
    elif isinstance(value, Simple):
        _encode_simple(out, value.value)
    else:
        raise TypeError("no CBOR for a value of type {}".format(type(value).__name__))


def _encode_map(out: bytearray, value: dict) -> None:
    _head(out, 0xA0, len(value))
    for key in _in_order(value):
        if type(key) is int and 0 <= key < 24:
            out.append(key)
        else:
            _encode(out, key)
        _encode(out, value[key])


def _in_order(value: dict):
    """Return the keys as their encodings rise; most maps are written down that way."""
    before = -1
    for key in value:
        if type(key) is not int or key <= before:
            return sorted(value, key=dumps)
        before = key
    return value


def _encode_simple(out: bytearray, n: int) -> None:
    if not (0 <= n <= 19 or 32 <= n <= 255):
        raise ValueError("simple value {} is not 0..19 or 32..255".format(n))
    if n < 24:
        out.append(0xE0 | n)
    else:
        out.append(0xF8)
        out.append(n)


def loads(data: bytes, depth_max: int = cbor_depth_max):
    """Return the value of data, which must be exactly one item in deterministic encoding.

    Arrays become lists, maps dicts. depth_max: how deep arrays and maps may nest.
    Raises ProtocolError(MALFORMED) or (TOO_LARGE); never anything else, whatever the bytes.
    """
    value, end = load_prefix(data, 0, depth_max)
    if end != len(data):
        raise ProtocolError(MALFORMED, "{} bytes after the end of the item".format(len(data) - end))
    return value


def load_prefix(data: bytes, start: int = 0, depth_max: int = cbor_depth_max):
    """Return (value, end) of the item that starts at start; bytes after end are not looked at. Raises as loads."""
    return _decode(data, start, depth_max)


def read_head(data: bytes, at: int):
    """Return (major, argument, end) of the head at position at. Raises ProtocolError(MALFORMED)."""
    if at >= len(data):
        raise ProtocolError(MALFORMED, "item cut off at byte {}".format(at))
    first = data[at]
    low = first & 31
    if low < 24:
        return first >> 5, low, at + 1
    if low > 27:
        raise ProtocolError(MALFORMED, "head byte 0x{:02x} at {} is not allowed".format(first, at))
    size = 1 << (low - 24)
    end = at + 1 + size
    if end > len(data):
        raise ProtocolError(MALFORMED, "head cut off at byte {}".format(at))
    n = int.from_bytes(data[at + 1 : end], "big")
    if first >> 5 != 7 and n < (24 if size == 1 else 1 << (4 * size)):
        raise ProtocolError(MALFORMED, "head at byte {} is longer than needed".format(at))
    return first >> 5, n, end


def _decode(data, at: int, depth: int):
    # The heads of one and two bytes are read here: nearly all are.
    first = data[at] if at < len(data) else 31
    major = first >> 5
    n = first & 31
    end = at + 1
    if n == 24 and end < len(data) and data[end] > 31:
        n = data[end]
        end += 1
    elif n >= 24:
        major, n, end = read_head(data, at)
    if major == 0:
        return n, end
    if major == 2:
        stop = end + n
        if stop > len(data):
            raise _cut_off(n, end)
        return bytes(data[end:stop]), stop
    if major == 4:
        return _array(data, n, end, depth)
    if major == 5:
        return _map(data, n, end, depth)
    if major == 7:
        return _simple(data, at, n, end)
    if major == 1:
        return -1 - n, end
    if major == 3:
        return _text(data, n, end)
    raise ProtocolError(MALFORMED, "tag at byte {}: tags are not allowed".format(at))


def _cut_off(n: int, at: int):
    return ProtocolError(MALFORMED, "string of {} bytes cut off at byte {}".format(n, at))


def _text(data, n: int, at: int):
    end = at + n
    if end > len(data):
        raise _cut_off(n, at)
    piece = bytes(data[at:end])
    try:
        text = piece.decode()
    except UnicodeError:
        text = None
    if text is None or not _is_strict(piece):
        raise ProtocolError(MALFORMED, "text at byte {} is not UTF-8".format(at))
    return text, end


def _is_strict(text) -> bool:
    """Return whether decodable text holds no overlong form, surrogate or code above U+10FFFF: MicroPython takes those."""
    for i in range(len(text)):
        lead = text[i]
        if lead < 0xC0:
            continue
        after = text[i + 1]
        if lead < 0xC2 or lead > 0xF4 or (lead == 0xE0 and after < 0xA0) or (lead == 0xED and after > 0x9F):
            return False
        if (lead == 0xF0 and after < 0x90) or (lead == 0xF4 and after > 0x8F):
            return False
    return True


def _no_room(data, n: int, at: int, depth: int):
    if depth <= 0:
        return ProtocolError(TOO_LARGE, "nested deeper than allowed at byte {}".format(at))
    return ProtocolError(
        MALFORMED, "{} items announced at byte {}, {} bytes left".format(n, at, len(data) - at)
    )


def _array(data, n: int, at: int, depth: int):
    size = len(data)
    if depth <= 0 or n > size - at:
        raise _no_room(data, n, at, depth)
    items = []
    depth -= 1
    for _ in range(n):
        if at < size and data[at] < 24:
            items.append(data[at])
            at += 1
        else:
            item, at = _decode(data, at, depth)
            items.append(item)
    return items, at


def _map(data, n: int, at: int, depth: int):
    size = len(data)
    if depth <= 0 or n > size - at:
        raise _no_room(data, n, at, depth)
    items = {}
    before = -1
    depth -= 1
    for _ in range(n):
        start = at
        if at < size and data[at] < 24:
            major = 0
            key = data[at]
            at += 1
        else:
            major, key, at = read_head(data, at)
        if major > 1:
            raise ProtocolError(MALFORMED, "map key at byte {} is not an integer".format(start))
        # Heads are the shortest, so their bytes rise as their major type does, then their argument.
        place = key + _ABOVE_ALL if major else key
        if place <= before:
            raise ProtocolError(MALFORMED, "map key at byte {} is not above the one before".format(start))
        before = place
        if major:
            key = -1 - key
        items[key], at = _decode(data, at, depth)
    return items, at


def _simple(data, at: int, n: int, end: int):
    first = data[at]
    if first == _FALSE:
        return False, end
    if first == _TRUE:
        return True, end
    if first == _NULL:
        return None, end
    if first < 0xF4 or (first == 0xF8 and n >= 32):
        return Simple(n), end
    raise ProtocolError(
        MALFORMED, "float or simple value 0x{:02x} at byte {} is not allowed".format(first, at)
    )
