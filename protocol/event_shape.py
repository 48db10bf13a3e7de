"""The fields that a row of each kind must have, as wire.cddl says: who unpacks an event can rely on it.

A shape is a tuple with one test for each field, in order. A kind that is not known has no shape: it is kept as it is.

Source: SPEC.md section 4.3; wire.cddl, rules epoch_start to attestation.
"""

from protocol.attestation import is_claims
from protocol.bins import is_bins
from protocol.command import is_demand
from protocol.errors import MALFORMED, ProtocolError
from protocol.limits import channels_max, checkpoint_part_bytes_max, checkpoint_parts_max, uint32_max
from protocol.shape import is_digest, is_int, is_uint, list_of, or_null, row_of, upto


def check_fields(kind: int, fields: list) -> None:
    """Check the fields of a row of a kind 1..12, 14, 15 or 17; any other kind passes. Raises ProtocolError(MALFORMED)."""
    shape = _SHAPES.get(kind)
    if shape is None:
        return
    if len(fields) != len(shape):
        raise ProtocolError(
            MALFORMED, "an event of kind {} has {} fields, not {}".format(kind, len(fields), len(shape))
        )
    for i in range(len(shape)):
        if not shape[i](fields[i]):
            raise ProtocolError(
                MALFORMED, "field {} of an event of kind {} has the wrong shape".format(i, kind)
            )


def _part(value) -> bool:
    return isinstance(value, bytes) and 1 <= len(value) <= checkpoint_part_bytes_max


def _acts(value) -> bool:
    return list_of(_ACT)(value) and len(value) > 0


def _counters(value) -> bool:
    return isinstance(value, dict) and all([key >= 0 and is_int(value[key]) for key in value])


def _outcome(value) -> bool:
    return value is None or is_uint(value) or _GATE_ANSWER(value) or _counters(value)


_UINT32 = upto(uint32_max)
_GATE_ANSWER = row_of(is_uint, or_null(is_uint))
_OLD_HEAD = or_null(row_of(_UINT32, is_digest, is_uint))
_ACT = row_of(is_uint, is_int, is_uint, or_null(is_uint))
_INTS = list_of(is_int)

_SHAPES = {
    1: (upto(3), or_null(_UINT32), _OLD_HEAD, _OLD_HEAD),
    2: (upto(3), is_uint),
    3: (upto(checkpoint_parts_max - 1), upto(checkpoint_parts_max, 1), _part),
    4: (
        is_uint,
        is_uint,
        upto(2, 1),
        is_digest,
        is_uint,
        _INTS,
        _INTS,
        upto(255),
        upto(3),
        _INTS,
        _INTS,
        _acts,
    ),
    5: (is_uint, is_uint, is_int, upto(2)),
    6: (is_uint, is_uint, is_int, is_uint),
    7: (is_uint, is_uint, is_uint),
    8: (upto(1), is_uint, upto(1)),
    9: (is_uint, is_uint),
    10: (_counters,),
    11: (upto(4), _UINT32, or_null(is_digest), _UINT32),
    12: (_UINT32, is_demand, upto(5), _outcome),
    14: (is_uint, upto(2), upto(1000), is_uint, upto(255, 1)),
    15: (upto(channels_max - 1), _UINT32, is_bins),
    17: (is_claims,),
}
