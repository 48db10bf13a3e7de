"""Which agent runs: that of the slot on trial, of the active slot, or the one that the image was made with.

The image runs this before anything else of an agent, and what it was made with is always there: the safe one. An agent on trial may
fail before it can say so, so each of its starts is counted first. One that was confirmed may fail later, and always: of it the ends that
a watchdog or the device itself brought about are counted, never a loss of power, and a healthy minute forgets them.

Source: SPEC.md section 12.7.
"""

import sys

from agent.board import SOFTWARE, WATCHDOG
from agent.cell import OWED_MAX, Cell
from agent.incumbent import NO_SLOT, file_places, index_digest, read_slot, starts_max
from agent.layout import CELL_SECTOR
from agent.slots import Slots, digest_at
from protocol.adoption import RESTARTS, ROLLED_BACK
from protocol.agent_index import parse_agent_index

_PLACE = "/slot"
# A confirmed agent that failed so often in a row is given up. Restarts that an adoption asks for are among them, and those are few.
failed_max = 5


class Choice:
    """slot: whose agent runs, None: the image's. index: of its files, bytes. is_counted: this start of a trial is counted."""

    __slots__ = ("index", "is_counted", "slot")

    def __init__(self, slot=None, index=None, is_counted=False):
        self.slot = slot
        self.index = index
        self.is_counted = is_counted

    def digest(self):
        """Return the digest of the index, None: the image's agent."""
        return index_digest(self.index)

    def tell(self, board, rooms) -> None:
        """Say on a board (agent.board) which agent runs, and where others lie."""
        board.rooms = rooms
        board.agent = self.digest()
        board.is_counted = self.is_counted
        # Said by the image, of its own agent, to whichever agent runs: one of before says nothing.
        board.image_keeps_notes = True
        board.find_file = lambda digest: self.find(rooms, digest)

    def find(self, rooms, digest: bytes):
        """Return the file of the agent that runs with this digest, as it travelled, or None."""
        if self.slot is None:
            return None
        room = rooms.room(self.slot)
        for _path, named, place, size in file_places(parse_agent_index(self.index)):
            # Only the one that is asked for is hashed: an update asks for each of some sixty.
            if named == digest and digest_at(room, place, size) == digest:
                return room.read(place, size)
        return None


def choose_agent(flash, rooms, cause: int) -> Choice:
    """Return which agent is to run in this boot; a start of an agent on trial is counted in the cell before. cause: of this boot."""
    cell = Cell(flash, CELL_SECTOR)
    cell.load()
    slots = Slots(flash)
    active, trial, starts, number = cell.release
    # Whether a trial is over is for the agent to say: at its end the one before runs, and finds it so.
    if trial != NO_SLOT and cause != WATCHDOG and starts + 1 < starts_max:
        held = read_slot(slots, trial, rooms)
        if held is not None and held[3] is not None:
            cell.store(release=[active, trial, starts + 1, number])
            return Choice(trial, held[3], True)
        if held is not None:
            return Choice()
    held = None if active == NO_SLOT else read_slot(slots, active, rooms)
    if held is None or held[3] is None or _is_given_up(cell, trial, cause):
        return Choice()
    return Choice(active, held[3])


def _is_given_up(cell, trial: int, cause: int) -> bool:
    """Count how the start before this one ended; return whether the confirmed agent is not to run any more."""
    if cell.failed < failed_max and trial == NO_SLOT and cause in (WATCHDOG, SOFTWARE):
        failed = cell.failed + 1
        owed = cell.owed
        if failed == failed_max and len(owed) < OWED_MAX:
            owed = owed + [[ROLLED_BACK, cell.version_floor, RESTARTS]]
        cell.store(failed=failed, owed=owed)
    return cell.failed >= failed_max


def start_agent(choice: Choice, rooms, mount, rest: list) -> None:
    """Let `import agent` find the agent of a choice, and nothing else on flash. mount(view, place). rest: where the image's modules lie."""
    if choice.slot is None:
        sys.path[:] = rest
        return
    # Only MicroPython inflates with `deflate`; the choice above is made on CPython as well.
    from agent.file_view import FileView

    # The choice has compared every digest a moment ago.
    mount(FileView(rooms.room(choice.slot), file_places(parse_agent_index(choice.index))), _PLACE)
    for name in list(sys.modules):
        if name == "agent" or name.startswith("agent."):
            del sys.modules[name]
    sys.path[:] = [_PLACE] + rest
