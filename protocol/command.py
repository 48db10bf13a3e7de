"""Commands: an order of the office to one device, sealed, numbered, carried out once.

Source: SPEC.md section 5.4.
"""

from protocol.errors import MALFORMED, ProtocolError
from protocol.keys import OFFICE, SITE
from protocol.limits import setting_max, uint32_max, uint64_max
from protocol.messages import Message, open_frame, seal_frame
from protocol.shape import is_int, is_natural, is_within

COMMAND = b"outstation command v1"

# What a demand asks for: its first item.
SET_ACTUATOR = 0
SET_SETTING = 1
REPORT = 2
# 3 stands for an unknown kind in vectors of version 1.
REKEY = 4
ROOT = 5
RELINK = 6
DEMAND_NAMES = ("set actuator", "change setting", "report")

# Settings that a command can change: name, lowest, highest value.
HEARTBEAT_MS = 0
SAMPLE_MS = 1
ROUTINE_SEAL_MS = 2
LINK_DAY_BYTES = 3
BULK_UNTIL_S = 4
ROUTINE_CLASS = 5
SETTINGS = (
    ("heartbeat_ms", 1000, 3600000),
    ("sample_ms", 100, 86400000),
    ("routine_seal_ms", 1000, 86400000),
    ("link_day_bytes", 0, uint32_max),
    ("bulk_until_s", 0, uint32_max),
    ("routine_class", SITE, OFFICE),
)

# Verdicts of a command event.
DONE = 0
GUARDED = 1
LATE = 2
TIMELESS = 3
UNKNOWN = 4
OUT_OF_RANGE = 5
VERDICT_NAMES = ("done", "refused by the gate", "late", "no trusted time", "unknown", "out of range")

_LATER_ITEMS_MAX = 5
# Of a rekey: kind, generation, period, the two halves of what is random.
_REKEY_MOST = (REKEY, uint32_max, uint32_max, uint64_max, uint64_max)
# Of a root: kind, the digest of its replacement in four numbers of eight bytes.
_ROOT_MOST = (ROOT, uint64_max, uint64_max, uint64_max, uint64_max)
_NUMBER_BYTES = 8


class Command:
    """Fields of a command. number: 1..2**32 - 1; until_ms: wall time after which it is too late; demand: a list."""

    __slots__ = ("device", "number", "until_ms", "demand")

    def __init__(self, device, number, until_ms, demand):
        self.device = device
        self.number = number
        self.until_ms = until_ms
        self.demand = demand


def seal_command(command: Command, key: bytes) -> bytes:
    """Return a sealed command. key: `keys.downlink_key(downlink, "command")`."""
    c = command
    return seal_frame(COMMAND, [1, c.device, c.number, c.until_ms, list(c.demand)], key)


def parse_command(raw: bytes) -> Message:
    """Return a Message whose fields are a Command. Raises ProtocolError, never anything else."""
    items, payload, tag = open_frame(raw, "command")
    shaped = len(items) == 5 and isinstance(items[1], bytes) and len(items[1]) == 8
    if not shaped or not is_within(items[2], 1, uint32_max) or not is_natural(items[3]):
        raise ProtocolError(MALFORMED, "command is not the five items of version 1")
    if not is_demand(items[4]):
        raise ProtocolError(MALFORMED, "the demand of a command is none that can be")
    return Message(raw, COMMAND, Command(*items[1:]), payload, tag)


def is_demand(value) -> bool:
    """Say whether value is a demand as wire.cddl has it, known to this code or not."""
    if not isinstance(value, list) or not value or not all([is_int(item) for item in value]):
        return False
    if not 0 <= value[0] <= setting_max or len(value) > _LATER_ITEMS_MAX:
        return False
    if value[0] == SET_ACTUATOR:
        return len(value) == 3 and value[1] >= 0
    if value[0] == SET_SETTING:
        return len(value) == 3 and 0 <= value[1] <= setting_max and value[2] >= 0
    if value[0] == REKEY:
        return len(value) == 5 and all([0 <= value[at] <= _REKEY_MOST[at] for at in range(1, 5)])
    if value[0] == ROOT:
        return len(value) == 5 and all([0 <= value[at] <= _ROOT_MOST[at] for at in range(1, 5)])
    if value[0] == RELINK:
        return len(value) == 3 and all([0 <= half <= uint64_max for half in value[1:]])
    return value[0] != REPORT or len(value) == 1


def root_demand(digest: bytes) -> list:
    """Return the demand that orders the replacement of a root with this SHA-256."""
    numbers = [int.from_bytes(digest[at : at + _NUMBER_BYTES], "big") for at in range(0, 32, _NUMBER_BYTES)]
    return [ROOT] + numbers


def root_digest(demand: list) -> bytes:
    """Return the SHA-256 that a demand of kind ROOT names."""
    return b"".join([number.to_bytes(_NUMBER_BYTES, "big") for number in demand[1:]])
