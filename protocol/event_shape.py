"""The fields that a row of each kind must have, as wire.cddl says: who unpacks an event can rely on it.

A shape is a tuple with one test for each field, in order. A kind that is not known has no shape: it is kept as it is.

Source: SPEC.md section 4.3; wire.cddl, rules epoch_start to command_taken.
"""

from protocol.command import is_demand
from protocol.errors import MALFORMED, ProtocolError
from protocol.limits import checkpoint_part_bytes_max, checkpoint_parts_max, uint32_max


def check_fields(kind: int, fields: list) -> None:
    """Check the fields of a row of a kind 1..12; any other kind passes. Raises ProtocolError(MALFORMED)."""
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


def _int(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _uint(value) -> bool:
    return _int(value) and value >= 0


def _upto(high: int, low: int = 0):
    return lambda value: _int(value) and low <= value <= high


def _or_null(test):
    return lambda value: value is None or test(value)


def _digest(value) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _part(value) -> bool:
    return isinstance(value, bytes) and 1 <= len(value) <= checkpoint_part_bytes_max


def _list_of(test):
    return lambda value: isinstance(value, list) and all([test(item) for item in value])


def _items(*shape):
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(shape)
        and all([shape[i](value[i]) for i in range(len(shape))])
    )


def _acts(value) -> bool:
    return _list_of(_ACT)(value) and len(value) > 0


def _counters(value) -> bool:
    return isinstance(value, dict) and all([key >= 0 and _int(value[key]) for key in value])


def _outcome(value) -> bool:
    return value is None or _uint(value) or _GATE_ANSWER(value) or _counters(value)


_UINT32 = _upto(uint32_max)
_GATE_ANSWER = _items(_uint, _or_null(_uint))
_OLD_HEAD = _or_null(_items(_UINT32, _digest, _uint))
_ACT = _items(_uint, _int, _uint, _or_null(_uint))
_INTS = _list_of(_int)

_SHAPES = {
    1: (_upto(3), _or_null(_UINT32), _OLD_HEAD, _OLD_HEAD),
    2: (_upto(3), _uint),
    3: (_upto(checkpoint_parts_max - 1), _upto(checkpoint_parts_max, 1), _part),
    4: (_uint, _uint, _upto(2, 1), _digest, _uint, _INTS, _INTS, _upto(255), _upto(3), _INTS, _INTS, _acts),
    5: (_uint, _uint, _int, _upto(2)),
    6: (_uint, _uint, _int, _uint),
    7: (_uint, _uint, _uint),
    8: (_upto(1), _uint, _upto(1)),
    9: (_uint, _uint),
    10: (_counters,),
    11: (_upto(4), _UINT32, _or_null(_digest), _UINT32),
    12: (_UINT32, is_demand, _upto(5), _outcome),
}
