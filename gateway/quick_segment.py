"""Reads segments by a pattern: what it takes is what `protocol.segment.parse_segment` takes, and nothing else.

All of a sealed segment but its bodies has one form, so the pattern is the grammar of SPEC.md section 3 for the classes SITE and OFFICE,
and each number in it has the shortest head: what fits is the one encoding of its values, and no reader could see it otherwise. Lengths
and what a form does not bound are looked at afterwards. Everything else goes to `parse_segment`, which also says what is wrong.
"""

import re

from protocol.keys import OFFICE, SITE
from protocol.limits import natural_max, segment_bytes_max, segment_events_max
from protocol.segment import MAC256, Header, Segment, parse_segment

# The shortest heads of an unsigned number, by the bytes that follow: none, 1, 2, 4, 8.
_FORMS = (
    rb"[\x00-\x17]",
    rb"\x18[\x18-\xff]",
    rb"\x19[\x01-\xff].",
    rb"\x1a(?!\x00\x00).{4}",
    rb"\x1b(?!\x00{4}).{8}",
)


def _uint(forms: int) -> bytes:
    return b"(" + b"|".join(_FORMS[:forms]) + b")"


_UINT16, _UINT32, _UINT64 = _uint(3), _uint(4), _uint(5)
# Length of a byte string of 24 bytes and more; of any.
_LONG = rb"(?:\x58([\x18-\xff])|\x59([\x01-\xff].))"
_ANY = rb"(?:([\x40-\x57])|\x58([\x18-\xff])|\x59([\x01-\xff].))"
# [MAC256, {}, payload ...], and in the payload [header, [h'', {1: A128CTR, 5: iv}, ciphertext ...]].
_SEGMENT = re.compile(
    rb"\x84\x43" + re.escape(MAC256) + rb"\xa0" + _LONG
    # version, device, lane, epoch, number, first sequence, count
    + rb"\x82\x8b\x01\x48(.{8})([\x00\x01])" + _UINT32 + _UINT32 + _UINT64 + _UINT16
    # previous, generation, class, period
    + rb"\x58\x20(.{32})" + _UINT32 + b"([" + re.escape(bytes((SITE, OFFICE))) + b"])" + _UINT32
    + rb"\x83\x40\xa2\x01\x39\xff\xfd\x05\x50(.{16})" + _ANY,
    re.DOTALL,
)  # fmt: skip
_TAG_HEAD = b"\x58\x20"
_TAG_BYTES = 32
_SHORT = 0x40


def parse_quickly(raw: bytes) -> Segment:
    """Return the segment that raw is, its grammar checked, nothing verified. Raises ProtocolError as parse_segment."""
    return _parse(raw) or parse_segment(raw)


def _parse(raw: bytes) -> Segment | None:
    found = _SEGMENT.match(raw)
    if found is None or len(raw) > segment_bytes_max:
        return None
    # Where the payload and the ciphertext end: one and the same place, before the tag.
    end = len(raw) - _TAG_BYTES - len(_TAG_HEAD)
    (
        size, wide_size, device, lane, epoch, number, first_sequence, count, previous, generation, view_class, period,
        iv, short_text, text, wide_text,
    ) = found.groups()  # fmt: skip
    start = found.end(1) if size else found.end(2)
    at = found.end()
    if raw[end : end + 2] != _TAG_HEAD or start + _length(size or wide_size) != end:
        return None
    if at + (short_text[0] - _SHORT if short_text else _length(text or wide_text)) != end:
        return None
    header = Header(
        device,
        lane[0],
        _number(epoch),
        _number(number),
        _number(first_sequence),
        _number(count),
        previous,
        _number(generation),
        view_class[0],
        _number(period),
    )
    if not 1 <= header.count <= segment_events_max or header.first_sequence > natural_max:
        return None
    return Segment(raw, header, None, raw[start:end], iv, raw[at:end], raw[end + 2 :])


def _length(after: bytes) -> int:
    return int.from_bytes(after, "big")


def _number(encoded: bytes) -> int:
    """Return the number of a head and what follows it."""
    return encoded[0] if len(encoded) == 1 else int.from_bytes(encoded[1:], "big")
