"""Sixteen counts of what a channel read, over the range that its schema declares: a few bytes that show a drift.

Source: SPEC.md section 4.7.
"""

from protocol.columns import get_uvarint, put_uvarint
from protocol.errors import MALFORMED, ProtocolError
from protocol.limits import bins_count, uint32_max


def bin_of(value: int, low: int, high: int) -> int:
    """Return which of the counts a reading within low..high belongs to, 0..15."""
    return (value - low) * bins_count // (high - low + 1)


def encode_bins(counts: list) -> bytes:
    """Return sixteen counts, each 0..2**32 - 1, as bytes."""
    assert len(counts) == bins_count, "{} counts".format(len(counts))
    out = bytearray()
    for count in counts:
        put_uvarint(out, count)
    return bytes(out)


def decode_bins(raw: bytes) -> list:
    """Return the sixteen counts. Raises ProtocolError(MALFORMED)."""
    counts = []
    at = 0
    for _ in range(bins_count):
        count, at = get_uvarint(raw, at)
        if count > uint32_max:
            raise ProtocolError(MALFORMED, "a count of {} exceeds {}".format(count, uint32_max))
        counts.append(count)
    if at != len(raw):
        raise ProtocolError(MALFORMED, "{} bytes follow the last count".format(len(raw) - at))
    return counts


def is_bins(value) -> bool:
    """Say whether value is what encode_bins gives."""
    if not isinstance(value, bytes):
        return False
    try:
        decode_bins(value)
    except ProtocolError:
        return False
    return True
