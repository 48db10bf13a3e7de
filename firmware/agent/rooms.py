"""Where agents lie: a window of flash with one room for each slot of releases, and in it the files of an agent as they travelled.

The release in the slot names the agent's index, the index names the files. Nothing here says whether they are there: who reads them
compares their digests. Where they lie never changes, for the image reads what any later agent wrote.

Source: SPEC.md section 12.7.
"""

from agent.flash import SECTOR_BYTES
from agent.layout import SLOTS
from agent.pages import tail_page
from agent.slots import write_pages
from protocol.limits import agent_bytes_max, agent_files_max, block_bytes

# All files at their largest, each at a whole block.
ROOM_SECTORS = (agent_bytes_max + agent_files_max * block_bytes) // SECTOR_BYTES
ROOMS_SECTORS = SLOTS * ROOM_SECTORS


class Room:
    """The room of one slot."""

    size = ROOM_SECTORS * SECTOR_BYTES

    def __init__(self, flash, slot: int):
        self._flash = flash
        self._first = slot * ROOM_SECTORS

    def write(self, at: int, data: bytes) -> None:
        """Write the next bytes at a whole block. Raises FlashFault."""
        assert at + len(data) <= self.size
        write_pages(self._flash, self._first * SECTOR_BYTES + at, data)

    def read(self, at: int, size: int) -> bytes:
        """Return size bytes from place at on."""
        return self._flash.read(self._first * SECTOR_BYTES + at, size)

    def resume(self) -> int:
        """Return how much is whole; what may be torn is erased."""
        for index in range(ROOM_SECTORS - 1, -1, -1):
            if tail_page(self._flash, self._first + index):
                self._flash.erase(self._first + index)
                return index * SECTOR_BYTES
        return 0

    def clear(self) -> None:
        """Erase what is not blank."""
        for sector in range(self._first, self._first + ROOM_SECTORS):
            if tail_page(self._flash, sector):
                self._flash.erase(sector)


class Rooms:
    """Both rooms of a window of ROOMS_SECTORS sectors. mpy: what sys.implementation._mpy says here."""

    def __init__(self, flash, mpy: int):
        assert flash.sectors >= ROOMS_SECTORS
        self.mpy = mpy
        self._flash = flash

    def room(self, slot: int) -> Room:
        """Return the room of a slot."""
        return Room(self._flash, slot)
