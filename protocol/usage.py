"""Hosts only: what each device moved over each link in a day, as a gateway counted it, to the office.

Totals and no differences: told twice they say the same, and what is told late says all of it.

Source: SPEC.md section 7.
"""

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import uint32_max, usage_count_max, usage_rows_max
from protocol.shape import is_bytes, is_natural

PATH = "/v1/usage"
# 16 hex digits: in which life of the gateway's counts the totals began. Without it: NO_LIFE.
LIFE_HEADER = "Outstation-Life"
LIFE_BYTES = 8
NO_LIFE = bytes(LIFE_BYTES)
# Kinds of links; a later one has the next number, and who does not know it passes it over.
UDP = 0
SERIAL = 1
BLE = 2
LINK_NAMES = ("udp", "serial", "ble")
DAY_MS = 86_400_000
_DEVICE_BYTES = 8
_ITEMS = 7
_LINK_MAX = 255
# An array of seven, a device, and numbers of at most nine bytes each.
REQUEST_BYTES_MAX = 3 + usage_rows_max * (1 + 9 + 5 + 2 + 4 * 9)


def encode_usage(rows: list) -> bytes:
    """Return the request's bytes.

    rows: (device, day, link, received_bytes, sent_bytes, received_datagrams, sent_datagrams) each, as the gateway sees them; day: whole
    days since 1970, UTC. Raises ProtocolError for what parse_usage would refuse.
    """
    items = [list(row) for row in rows]
    _check(items)
    return dumps(items)


def parse_usage(raw: bytes) -> list:
    """Return the rows, as tuples, that a gateway says. Raises ProtocolError, never anything else."""
    items = loads(raw)
    _check(items)
    return [tuple(row) for row in items]


def parse_life(said) -> bytes:
    """Return the life that a header says, NO_LIFE for None. Raises ProtocolError."""
    if said is None:
        return NO_LIFE
    if len(said) != 2 * LIFE_BYTES or not all([digit in "0123456789abcdef" for digit in said]):
        raise ProtocolError(MALFORMED, "a life of counts has {} hex digits".format(2 * LIFE_BYTES))
    return bytes.fromhex(said)


def _check(items) -> None:
    if not isinstance(items, list):
        raise ProtocolError(MALFORMED, "usage is not an array")
    if len(items) > usage_rows_max:
        raise ProtocolError(TOO_LARGE, "{} rows of usage exceed {}".format(len(items), usage_rows_max))
    if not all([_is_row(item) for item in items]):
        raise ProtocolError(MALFORMED, "a row of usage is not [device, day, link, four counts]")
    if len({tuple(item[:3]) for item in items}) < len(items):
        raise ProtocolError(MALFORMED, "usage names a device, day and link twice")


def _is_row(item) -> bool:
    if not isinstance(item, list) or len(item) != _ITEMS or not is_bytes(item[0], _DEVICE_BYTES):
        return False
    if not is_natural(item[1], uint32_max) or not is_natural(item[2], _LINK_MAX):
        return False
    return all([is_natural(count, usage_count_max) for count in item[3:]])
