"""One board whose power fails again and again within its flash operations, each time after as many of them as dice say.

The production image runs as it does for people. At a cut the processor stands still with the flash as the cut left it, the harness looks
at that, orders the next cut and gives power back: one emulator for hundreds of cuts. What is looked at after each:

    the chain of every lane has no fault, and every segment that was ever whole is there with the same bytes, or a receipt or a
    tombstone covers it (tests/agent/kept.py); counters and floors of the cell never go back; what the cell names as active is whole
    in its slot, files of an agent included.

What breaks a promise names a file with the flash as the cut left it: `outstation device journal` reads it.

Site: the device of tests/agent/desk.py, whose keys and gateway in memory are known here.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent.cell import Cell
from agent.flash import SECTOR_BYTES, RamFlash
from agent.incumbent import NO_SLOT, read_slot
from agent.layout import KEY_SECTOR, RING_SECTOR, SLOTS_SECTORS
from agent.rooms import ROOMS_SECTORS, Rooms
from agent.slots import Slots
from hil_tests.model_line import ModelLine
from hil_tests.qemu import BoardSilent, Qemu
from protocol.keys import LANES, seal_ahead, tag_key
from tests.agent.desk import BUNDLE, MPY, SCHEMA, SEAL_KEYS, Desk, Story
from tests.agent.kept import Kept
from tests.both.seeded_bytes import Dice
from tools.flashimage import FlashImage, parse_image
from tools.image.control import MODES, NO_CUT, Control
from tools.image.flashfile import SETTINGS_OFFSET, write_flash

ROOMS_OFFSET = 12 << 20
SECONDS_MAX = 150.0
_LOOK_SECONDS = 0.002
_ROWS = 400
# Operations between two cuts. A boot takes about eight, so that most cuts fall into recovery; one in long_every falls later, and each
# operation there takes a third of a boot.
_GAP_MAX = 8
_LONG_GAP_MAX = 20
# Each rest_every cuts there is power for so many requests: what was recorded is sent, and receipted.
_REST_REQUESTS = 15
_RISING = ("boot", "epoch", "command_floor", "version_floor", "order_reserved", "rejected")


@dataclass
class Tally:
    """What was cut: how often by mode, and by the place that was worked on."""

    cuts: int = 0
    modes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    places: dict[str, int] = field(default_factory=dict)

    def count(self, mode: str, place: str) -> None:
        """Count one cut."""
        self.cuts += 1
        self.modes[mode] += 1
        self.places[place] = self.places.get(place, 0) + 1


def recording() -> bytes:
    """Return the readings of the desk's sensor as the board's: leaks and hot hours come and go."""
    story = Story()
    rows = [story.read() for _ in range(_ROWS)]
    return "".join(
        ",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows
    ).encode()


def write_desk_flash(desk: Desk, path: Path, seed: bytes) -> None:
    """Write the flash file of a board that is the desk's device, as it is now."""
    files = {
        "device.json": json.dumps({**desk.settings, "flash_sectors": ring_sectors(desk)}).encode(),
        "schema.cbor": SCHEMA,
        "bundle.cbor": BUNDLE,
        "recording.csv": recording(),
    }
    write_flash(path, bytes(desk.flash.image), files, seed)
    with Control(path) as control:
        control.write(ROOMS_OFFSET, bytes(desk.rooms_image))


def ring_sectors(desk: Desk) -> int:
    """Return how many sectors the ring of a desk's flash has."""
    return desk.flash.sectors - SLOTS_SECTORS - RING_SECTOR


class CutBoard:
    """The board of a desk. Use with `with`. seed: of the dice that say where the power fails; long_every, rest_every: see above.

    aims_at_the_cell: set, the next cuts take each boot's first operation, and something of it is done.
    """

    def __init__(
        self, elf: Path, desk: Desk, path: Path, seed: int, long_every: int = 10, rest_every: int = 20
    ):
        self.tally = Tally()
        self.aims_at_the_cell = False
        self.desk = desk
        self._path = path
        self._dice = Dice(seed)
        self._seed = seed
        self._long_every = long_every
        self._rest_every = rest_every
        self._kept = Kept(desk.gateway.receipted)
        self._floors: dict[str, int] = {}
        write_desk_flash(desk, path, bytes([seed]) * 32)
        self.control = Control(path)
        self.look()
        self._mode = self._order()
        self.board = Qemu(elf, path)
        self.line = ModelLine(self.board.line, desk.gateway)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.line.close()
        self.board.close()
        self.control.__exit__()

    def _order(self) -> str:
        dice = self._dice
        mode = MODES[dice.below(len(MODES))]
        gap = dice.below(_GAP_MAX if dice.below(self._long_every) else _LONG_GAP_MAX)
        if self.aims_at_the_cell:
            # The first thing that a boot writes. Where nothing of it is done, the next boot meets the same page again.
            mode, gap = MODES[1 + dice.below(2)], 0
        self.control.cut_after(gap, mode, dice.below(1 << 30), action="wait")
        return mode

    def cut(self) -> None:
        """Wait until the power fails, look at what that left, and give power back with the next cut ordered.

        Raises AssertionError where a promise is broken, BoardSilent where the board does no flash operation any more.
        """
        self._wait(lambda: self.control.counts().cuts > self.tally.cuts, SECONDS_MAX, _LOOK_SECONDS)
        self._take_cut()
        if self.tally.cuts % self._rest_every == 0:
            enough = len(self.desk.gateway.order) + _REST_REQUESTS
            self.control.power_on()
            self.run_on(lambda: len(self.desk.gateway.order) >= enough)
            self._mode = self._order()
            return
        self._mode = self._order()
        self.control.power_on()

    def _take_cut(self) -> None:
        kind, place = self.control.cut_place()
        self.tally.count(self._mode, f"{self.area(place)} {kind}")
        self.look()
        self.line.start_anew()

    def _wait(self, is_done: Callable[[], bool], seconds: float, look_seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_done():
            if self.line.failure is not None:
                raise self.line.failure
            if time.monotonic() > deadline:
                raise BoardSilent(f"nothing more after {self.tally.cuts} cuts: {self.board.tail()}")
            time.sleep(look_seconds)

    def run_on(self, is_done: Callable[[], bool], seconds: float = SECONDS_MAX) -> None:
        """Let the board live without a cut until something is so. Raises BoardSilent."""
        self.control.cut_after(NO_CUT)

        def is_over() -> bool:
            if self.control.counts().cuts > self.tally.cuts:
                # The cut that was ordered last came before this order.
                self._take_cut()
                self.control.cut_after(NO_CUT)
                self.control.power_on()
            return is_done()

        self._wait(is_over, seconds, _LOOK_SECONDS)

    def processor_s(self) -> float:
        """Return the processor time of the emulator so far: what this took, on a busy machine and on an idle one."""
        words = Path(f"/proc/{self.board.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")

    def area(self, offset: int) -> str:
        """Return what lies at a place of the flash."""
        sector = offset // SECTOR_BYTES
        if offset >= SETTINGS_OFFSET:
            return "rooms"
        if sector >= self.desk.flash.sectors - SLOTS_SECTORS:
            return "slots"
        return "cell" if sector < KEY_SECTOR else "keys" if sector < RING_SECTOR else "ring"

    # ---- promises

    def window(self) -> bytes:
        """Return the agent's window as it is now."""
        return self.control.read(0, self.desk.flash.sectors * SECTOR_BYTES)

    def look(self) -> FlashImage:
        """Look at the flash at rest. Raises AssertionError where a promise is broken."""
        window = self.window()
        image = parse_image(window, "the board's flash")
        try:
            assert image.faults == [], image.faults
            assert self.control.counts().violations == 0, "a byte was programmed over another"
            self._kept.look(image)
            self._check_cell(window)
        except AssertionError as broken:
            kept = self._path.with_suffix(".window")
            kept.write_bytes(window)
            name = f"after cut {self.tally.cuts} of seed {self._seed}"
            raise AssertionError(f"{name}: {broken}; the flash as it was: {kept}") from broken
        return image

    def _check_cell(self, window: bytes) -> None:
        flash = RamFlash(self.desk.flash.sectors, bytearray(window))
        cell = Cell(flash, 0)
        cell.load()
        for field_name in _RISING:
            value = getattr(cell, field_name)
            assert value >= self._floors.get(field_name, 0), f"{field_name} went back to {value}"
            self._floors[field_name] = value
        active = cell.release[0]
        if active != NO_SLOT:
            assert read_slot(Slots(flash), active, self.rooms()) is not None, f"slot {active} is not whole"

    def rooms(self) -> Rooms:
        """Return where agents lie, as the flash is now."""
        content = bytearray(self.control.read(ROOMS_OFFSET, ROOMS_SECTORS * SECTOR_BYTES))
        return Rooms(RamFlash(ROOMS_SECTORS, content), MPY)

    def cell(self) -> Cell:
        """Return the cell as the flash is now."""
        cell = Cell(RamFlash(self.desk.flash.sectors, bytearray(self.window())), 0)
        cell.load()
        return cell

    def check_seals(self) -> int:
        """Verify the seal of every segment on flash with the device's first keys, as the office does; return the highest generation.

        Raises ProtocolError.
        """
        highest = 0
        for lane in self.look().lanes:
            for segment in lane.segments:
                generation = segment.header.generation
                segment.verify(tag_key(seal_ahead(SEAL_KEYS[lane.lane], generation)))
                highest = max(highest, generation)
        return highest

    def check_keys_gone(self) -> None:
        """Check that no seal key before those in use can be read in the flash."""
        from agent.keystore import Keystore

        window = self.window()
        keystore = Keystore(RamFlash(self.desk.flash.sectors, bytearray(window)), KEY_SECTOR)
        keystore.open()
        for lane in LANES:
            generation, key = keystore.seal_key(lane)
            assert key == seal_ahead(SEAL_KEYS[lane], generation), f"key of lane {lane} is not of its chain"
            for earlier in range(generation):
                assert seal_ahead(SEAL_KEYS[lane], earlier) not in window, f"seal key {earlier} is on flash"
