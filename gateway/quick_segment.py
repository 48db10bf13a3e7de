"""Parses segments with cbor2's C code: what it takes is what `protocol.segment.parse_segment` takes, and nothing else.

A segment is taken here only if what was read, encoded again, gives the same bytes: then it is the one encoding of values that were
checked, and no reader could see it otherwise. Everything else goes to `parse_segment`, which also says what is wrong.
"""

import cbor2

from protocol.errors import ProtocolError
from protocol.keys import CLEAR
from protocol.limits import segment_bytes_max
from protocol.segment import ALG_A128CTR, MAC256, Segment, parse_segment, read_body, read_header


def parse_quickly(raw: bytes) -> Segment:
    """Return the segment that raw is, its grammar checked, nothing verified. Raises ProtocolError as parse_segment."""
    return _parse(raw) or parse_segment(raw)


def _parse(raw: bytes) -> Segment | None:
    if len(raw) > segment_bytes_max:
        return None
    try:
        _, _, payload, tag = cbor2.loads(raw)
        items, body = cbor2.loads(payload)
        header = read_header(items)
        if header.view_class == CLEAR or not isinstance(tag, bytes) or len(tag) != 32:
            return None
        iv, ciphertext = read_body(body)
        if cbor2.dumps([items, [b"", {1: ALG_A128CTR, 5: iv}, ciphertext]]) != payload:
            return None
        if cbor2.dumps([MAC256, {}, payload, tag]) != raw:
            return None
    except (
        ProtocolError,
        cbor2.CBORDecodeError,
        cbor2.CBOREncodeError,
        TypeError,
        ValueError,
        AttributeError,
    ):
        return None
    return Segment(raw, header, None, payload, iv, ciphertext, tag)
