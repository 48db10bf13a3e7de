"""The checkpoint: an event from which the device's state can be rebuilt without anything before it.

It is one deterministic CBOR map, cut into parts of at most 300 bytes that follow each other in the critical lane.
It counts only when it is whole: a power cut between two parts leaves the checkpoint before it in force.

Source: SPEC.md section 4.4; wire.cddl.
"""

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import (
    checkpoint_part_bytes_max,
    checkpoint_parts_max,
    setting_max,
    settings_max,
    uint32_max,
)
from protocol.shape import is_digest, is_int, is_natural, is_uint, list_of, row_of, upto

BOOT = 0
COUNT = 1
PERIOD = 2
PRUNE = 3
ADOPT = 4

_FORMAT = 1
_KEYS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)


class Checkpoint:
    """What a checkpoint says.

    reason: BOOT..ADOPT. now: rule tick. bundle: (version, digest). schema, agent: digests. semantics: of rules.
    engine: Engine.state(). positions: action -> value. period_start: rule tick at which the view period began.
    pending: (order of the decision or command, action, value), allowed before this checkpoint and not yet carried out.
    commands: highest number of a command taken, 0 for none. settings: number -> value of what commands have set.
    """

    __slots__ = (
        "agent",
        "bundle",
        "commands",
        "engine",
        "now",
        "pending",
        "period_start",
        "positions",
        "reason",
        "schema",
        "semantics",
        "settings",
    )

    def __init__(
        self,
        reason,
        now,
        bundle,
        schema,
        agent,
        semantics,
        engine,
        positions,
        period_start,
        pending=(),
        commands=0,
        settings=(),
    ):
        self.reason = reason
        self.now = now
        self.bundle = bundle
        self.schema = schema
        self.agent = agent
        self.semantics = semantics
        self.engine = engine
        self.positions = positions
        self.period_start = period_start
        self.pending = list(pending)
        self.commands = commands
        self.settings = dict(settings)


def encode_checkpoint(point: Checkpoint) -> bytes:
    """Return the bytes of a checkpoint, before they are cut."""
    positions = [[action, point.positions[action]] for action in sorted(point.positions)]
    items = {
        0: _FORMAT,
        1: point.reason,
        2: point.now,
        3: list(point.bundle),
        4: point.schema,
        5: point.agent,
        6: point.semantics,
        7: point.engine,
        8: positions,
        9: point.period_start,
    }
    if point.pending:
        items[10] = [list(act) for act in point.pending]
    if point.commands:
        items[11] = point.commands
    if point.settings:
        items[12] = point.settings
    return dumps(items)


def decode_checkpoint(data: bytes) -> Checkpoint:
    """Return the Checkpoint of a whole one. Raises ProtocolError(MALFORMED)."""
    items = loads(data)
    if not isinstance(items, dict) or items.get(0) != _FORMAT or items[0] is True:
        raise ProtocolError(MALFORMED, "not a checkpoint of format {}".format(_FORMAT))
    for key in _KEYS:
        if key not in items:
            raise ProtocolError(MALFORMED, "a checkpoint without item {}".format(key))
    for key, has_shape in _SHAPES.items():
        if key in items and not has_shape(items[key]):
            raise ProtocolError(MALFORMED, "item {} of a checkpoint has the wrong shape".format(key))
    return Checkpoint(
        items[1],
        items[2],
        tuple(items[3]),
        items[4],
        items[5],
        items[6],
        items[7],
        {row[0]: row[1] for row in items[8]},
        items[9],
        [tuple(row) for row in items.get(10, [])],
        items.get(11, 0),
        items.get(12, {}),
    )


def _is_pending(value) -> bool:
    return _ACTS(value) and len(value) > 0


def _is_settings(value) -> bool:
    return (
        isinstance(value, dict)
        and 1 <= len(value) <= settings_max
        and all([is_natural(key, setting_max) and is_uint(value[key]) for key in value])
    )


_ACTS = list_of(row_of(is_uint, is_uint, is_int))
# What each item must be, as wire.cddl says; of the engine's state only the rules know.
_SHAPES = {
    1: upto(ADOPT),
    2: is_uint,
    3: row_of(is_uint, is_digest),
    4: is_digest,
    5: is_digest,
    6: is_uint,
    8: list_of(row_of(is_uint, is_int)),
    9: is_uint,
    10: _is_pending,
    11: upto(uint32_max),
    12: _is_settings,
}


def cut_parts(data: bytes) -> list:
    """Return the fields (index, of, bytes) of each part. Raises ProtocolError(TOO_LARGE) beyond checkpoint_parts_max."""
    of = (len(data) + checkpoint_part_bytes_max - 1) // checkpoint_part_bytes_max
    if of > checkpoint_parts_max:
        raise ProtocolError(
            TOO_LARGE, "checkpoint of {} bytes exceeds {} parts".format(len(data), checkpoint_parts_max)
        )
    size = checkpoint_part_bytes_max
    return [(i, of, data[i * size : (i + 1) * size]) for i in range(of)]


class PartJoiner:
    """Puts parts together again, fed with the fields of one checkpoint event after the other, oldest first."""

    def __init__(self):
        self._parts = []

    def add(self, fields: tuple):
        """Return the whole bytes if this part completes them, else None. A part out of place starts nothing."""
        index, of, part = fields
        if index == 0:
            self._parts = []
        if index != len(self._parts):
            self._parts = []
            return None
        self._parts.append(part)
        if len(self._parts) < of:
            return None
        whole = b"".join(self._parts)
        self._parts = []
        return whole
