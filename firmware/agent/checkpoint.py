"""The checkpoint: an event from which the device's state can be rebuilt without anything before it.

It is one deterministic CBOR map, cut into parts of at most 300 bytes that follow each other in the critical lane.
It counts only when it is whole: a power cut between two parts leaves the checkpoint before it in force.

Source: SPEC.md section 4.4; wire.cddl.
"""

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import checkpoint_part_bytes_max, checkpoint_parts_max, settings_max

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
    if not isinstance(items, dict) or items.get(0) != _FORMAT:
        raise ProtocolError(MALFORMED, "not a checkpoint of format {}".format(_FORMAT))
    for key in _KEYS:
        if key not in items:
            raise ProtocolError(MALFORMED, "a checkpoint without item {}".format(key))
    shaped = isinstance(items[2], int) and isinstance(items[3], list) and len(items[3]) == 2
    if not shaped or not isinstance(items[8], list) or not isinstance(items[9], int):
        raise ProtocolError(MALFORMED, "a checkpoint's items have the wrong shape")
    positions = {}
    for row in items[8]:
        if not isinstance(row, list) or len(row) != 2:
            raise ProtocolError(MALFORMED, "a position of a checkpoint is not [action, value]")
        positions[row[0]] = row[1]
    return Checkpoint(
        items[1],
        items[2],
        tuple(items[3]),
        items[4],
        items[5],
        items[6],
        items[7],
        positions,
        items[9],
        _read_pending(items.get(10, [])),
        _read_commands(items.get(11, 0)),
        _read_settings(items.get(12, {})),
    )


def _read_pending(rows) -> list:
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, list) or len(row) != 3:
            raise ProtocolError(MALFORMED, "a pending act of a checkpoint is not [order, action, value]")
    return [tuple(row) for row in rows]


def _read_commands(value) -> int:
    if not _is_natural(value):
        raise ProtocolError(MALFORMED, "the highest command of a checkpoint is not a number")
    return value


def _read_settings(value) -> dict:
    shaped = isinstance(value, dict) and all([_is_natural(key) and _is_natural(value[key]) for key in value])
    if not shaped or len(value) > settings_max:
        raise ProtocolError(MALFORMED, "settings of a checkpoint are not a map of at most 8 numbers")
    return value


def _is_natural(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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
