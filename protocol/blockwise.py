"""The value of the Block1 and Block2 options: block number, whether more follow, block size.

Source: RFC 7959 section 2.2.
"""

from protocol._const import const
from protocol.coap import uint_value
from protocol.errors import MALFORMED, ProtocolError

_NUMBER_MAX = const(0xFFFFF)
_SIZES = (16, 32, 64, 128, 256, 512, 1024)


def encode_block(number: int, is_more: bool, size: int) -> bytes:
    """Return the option value for block number (0..1048575) of size bytes: 16, 32, ... 1024."""
    assert 0 <= number <= _NUMBER_MAX
    return uint_value(number << 4 | (8 if is_more else 0) | _SIZES.index(size))


def decode_block(value: bytes):
    """Return (number, is_more, size in bytes). Raises ProtocolError(MALFORMED) on 4 bytes or more, or size code 7."""
    if len(value) > 3:
        raise ProtocolError(MALFORMED, "block option of {} bytes exceeds 3".format(len(value)))
    n = int.from_bytes(value, "big")
    if n & 7 == 7:
        raise ProtocolError(MALFORMED, "reserved block size code 7")
    return n >> 4, bool(n & 8), _SIZES[n & 7]
