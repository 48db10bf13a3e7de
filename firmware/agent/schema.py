"""The schema of a device: which channels it has, in which unit and scale, and which of their values can be.

Source: SPEC.md section 4.5.
"""

from protocol.cbor import loads
from protocol.errors import MALFORMED, VERSION, ProtocolError
from protocol.limits import channels_max
from protocol.shape import is_within

_VALUE_MAX = 0xFFFFFFFF
_STUCK_MAX = 0xFFFF


class Channel:
    """One channel: value x 10**scale is in unit; low..high is its range; stuck_after equal values in a row are a fault."""

    __slots__ = ("high", "low", "name", "scale", "stuck_after", "unit")

    def __init__(self, name, unit, scale, low, high, stuck_after):
        self.name = name
        self.unit = unit
        self.scale = scale
        self.low = low
        self.high = high
        self.stuck_after = stuck_after


def read_schema(data: bytes) -> list:
    """Return the Channels of a schema. Raises ProtocolError(MALFORMED) or (VERSION)."""
    items = loads(data)
    if not isinstance(items, list) or not items or not is_within(items[0], 0, _VALUE_MAX):
        raise ProtocolError(MALFORMED, "a schema is [version, channels]")
    if items[0] != 1:
        raise ProtocolError(VERSION, "schema version {} is not 1".format(items[0]))
    if len(items) != 2 or not isinstance(items[1], list) or not 1 <= len(items[1]) <= channels_max:
        raise ProtocolError(MALFORMED, "a schema has 1..{} channels".format(channels_max))
    return [_read_channel(row) for row in items[1]]


def _read_channel(row) -> Channel:
    shaped = (
        isinstance(row, list)
        and len(row) == 6
        and isinstance(row[0], str)
        and isinstance(row[1], str)
        and is_within(row[2], -18, 18)
        and is_within(row[3], -_VALUE_MAX, _VALUE_MAX)
        and is_within(row[4], -_VALUE_MAX, _VALUE_MAX)
        and is_within(row[5], 0, _STUCK_MAX)
    )
    if not shaped:
        raise ProtocolError(MALFORMED, "a channel is [name, unit, scale, low, high, stuck_after]")
    if row[3] > row[4]:
        raise ProtocolError(MALFORMED, "channel {}: low {} is above high {}".format(row[0], row[3], row[4]))
    return Channel(*row)
