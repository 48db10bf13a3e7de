"""Which bundle decides: that of the slot on trial, of the active slot, or the one that the device was provisioned with.

At boot the cell names the slot, and the slot must hold what its pages say: the release by the digest of its manifest, the parts by
the digests in it. Signatures are not checked again: whoever can write this flash can read the keys beside it. Whatever is not as it
should be, something decides: a damaged trial gives way to the slot before it, a damaged slot to the provisioned bundle.

Source: SPEC.md section 12.6.
"""

import hashlib

from agent.board import WATCHDOG as BY_WATCHDOG
from agent.slots import digest_at, part_places
from protocol.adoption import DAMAGED, RESTARTS, ROLLED_BACK, WATCHDOG
from protocol.agent_index import check_mpy, parse_agent_index
from protocol.errors import PART, SCHEMA, ProtocolError
from protocol.manifest import AGENT, RULES, check_parts, parse_release
from rules.bundle import read_bundle
from rules.engine import Engine

# At the third start of one trial it is over.
starts_max = 3
NO_SLOT = -1
_KEEPER = "agent/relinker.mpy"


class Incumbent:
    """The bundle that decides. body: its bytes; digest: SHA-256 of them; bundle: as read; engine: made of it, at its first values.

    agent: digest of the index of the agent that its release brought, None: the image's.
    """

    __slots__ = ("agent", "body", "bundle", "digest", "engine")

    def __init__(self, body: bytes, schema_digest: bytes, channels: int):
        """Raises ProtocolError if the agent does not take the bundle: for another schema, or not a bundle at all."""
        self.agent = None
        self.body = body
        self.digest = hashlib.sha256(body).digest()
        self.bundle = read_bundle(body)
        if self.bundle.schema != schema_digest[:8] or self.bundle.channels != channels:
            raise ProtocolError(SCHEMA, "bundle {} is for another schema".format(self.bundle.version))
        self.engine = Engine(self.bundle)

    def safe_positions(self) -> dict:
        """Return action -> its safe position."""
        return {gate.action: gate.safe for gate in self.bundle.gates}


def read_slot(slots, slot: int, rooms=None):
    """Return (number, digest of the manifest, body of the rules, that of its agent's index or None) of a staged slot.

    None if it does not hold what it should. rooms: where the files of agents lie, None on a board without.
    """
    held = slots.held(slot)
    if held is None or held.size is None or held.digest is None:
        return None
    try:
        release = parse_release(slots.read_release(slot, held.size))
        parts = release.manifest.parts
        places = part_places([part[2] for part in parts])
        bodies = [slots.read_part(slot, places[i], parts[i][2]) for i in range(len(parts))]
        check_parts(release.manifest, bodies)
        check_kinds(release.manifest, rooms)
        index = bodies[1] if len(bodies) > 1 else None
        if index is not None:
            check_files(index, rooms, slot)
    except (ProtocolError, ValueError):
        # ValueError: a size that leads out of the window.
        return None
    if (release.digest, release.manifest.number) != (held.digest, held.number):
        return None
    return held.number, held.digest, bodies[0], index


def check_kinds(manifest, rooms=None) -> None:
    """Refuse a release that has no rules, or parts that this agent has no use for. Raises ProtocolError(PART)."""
    kinds = [part[0] for part in manifest.parts]
    if kinds != [RULES] and not (rooms is not None and kinds == [RULES, AGENT]):
        raise ProtocolError(
            PART, "release {} has parts of kinds {}, not rules alone".format(manifest.number, kinds)
        )


def check_files(index: bytes, rooms, slot: int) -> None:
    """Check that the agent that an index names lies whole in a slot's room. Raises ProtocolError: it does not, or it is not for here."""
    said = parse_agent_index(index)
    check_mpy(said, rooms.mpy)
    room = rooms.room(slot)
    for path, digest, place, size in file_places(said):
        if digest_at(room, place, size) != digest:
            raise ProtocolError(PART, "{} is not the file of the agent's index".format(path))


def keeps_notes(index) -> bool:
    """Say whether the agent that an index names keeps the notes of agent.key_notes: others zero what they do not know. None: the image's agent."""
    return index is None or _KEEPER in [file[0] for file in parse_agent_index(index).files]


def file_places(said) -> list:
    """Return [(path, digest, place in the room, size)] of the files of an AgentIndex."""
    places = part_places([file[2] for file in said.files])
    return [(path, digest, places[at], size) for at, (path, digest, size) in enumerate(said.files)]


def choose_at_boot(cell, slots, cause: int, take, rooms=None, is_counted: bool = False) -> tuple:
    """Return (what decides from this boot on, the fields of the cell that change with it).

    cell: loaded. cause: of this boot, as a boot event names it. take(body): makes an Incumbent; None: of the provisioned one.
    is_counted: the image has counted this start of a trial already (agent.starter). The changes go into one store together with
    the boot count.
    """
    _active, trial, starts, number = cell.release
    owed = list(cell.owed)
    rejected = cell.rejected
    chosen = None
    if trial != NO_SLOT:
        starts += not is_counted
        chosen = _take_slot(slots, trial, take, rooms)
        reason = _end_of_trial(cause, starts, chosen)
        if reason is not None:
            chosen = None
            owed.append([ROLLED_BACK, number, reason])
            rejected = reject(cell, number, reason)
            trial, starts, number = NO_SLOT, 0, 0
    settled, active, damage = take_active(cell, slots, take, rooms)
    changes = {"release": [active, trial, starts, number], "rejected": rejected, "owed": owed + damage}
    return chosen or settled or take(None), changes


def index_digest(index):
    """Return the digest of an agent's index, None of none."""
    return None if index is None else hashlib.sha256(index).digest()


def take_active(cell, slots, take, rooms=None) -> tuple:
    """Return (Incumbent of the active slot or None: the provisioned one decides, the active slot after that, steps owed for it)."""
    active = cell.release[0]
    if active == NO_SLOT:
        return None, NO_SLOT, []
    settled = _take_slot(slots, active, take, rooms)
    if settled is None:
        return None, NO_SLOT, [[ROLLED_BACK, cell.version_floor, DAMAGED]]
    return settled, active, []


def reject(cell, number: int, reason: int) -> int:
    """Return the highest number that is not tried again, after a roll back of this one. What was damaged may come once more."""
    return cell.rejected if reason == DAMAGED else max(cell.rejected, number)


def _end_of_trial(cause: int, starts: int, chosen):
    if cause == BY_WATCHDOG:
        return WATCHDOG
    if starts >= starts_max:
        return RESTARTS
    return DAMAGED if chosen is None else None


def _take_slot(slots, slot: int, take, rooms):
    held = read_slot(slots, slot, rooms)
    if held is None:
        return None
    try:
        chosen = take(held[2])
        chosen.agent = index_digest(held[3])
        return chosen
    except ProtocolError:
        # Staged by an agent that took it, met by one that does not: as good as damaged.
        return None
