"""Reads the journal of a flash image: heads, chains, tombstones of each lane and epoch. Bodies stay closed.

What a record says of itself is believed only as far as the chain carries it: a segment counts if the next one names its digest. The
newest has no next one; its seal is checked with the key that the image itself holds, as the device does at boot,
so that a torn program is not taken for a head. An image whose key sectors do not read is taken by its chains alone.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.errors import ProtocolError
from protocol.keys import LANE_NAMES, LANES, tag_key
from protocol.segment import Segment, check_follows, parse_segment
from tools.shim import install

_CELL_AND_KEYS = 4
_SECTOR_BYTES = 4096


class Head(NamedTuple):
    """The newest segment of a lane and epoch."""

    number: int
    digest: bytes
    next_sequence: int


@dataclass
class LaneImage:
    """One lane in one epoch, as the image holds it: segments by number, oldest to newest without a hole."""

    lane: int
    epoch: int
    segments: list[Segment] = field(default_factory=list)

    @property
    def head(self) -> Head:
        """The newest segment."""
        newest = self.segments[-1]
        return Head(newest.header.number, newest.digest, newest.header.next_sequence())

    @property
    def kept_from(self) -> int:
        """The lowest number still held."""
        return self.segments[0].header.number

    @property
    def tombstones(self) -> list[Segment]:
        """The segments that are tombstones."""
        return [segment for segment in self.segments if segment.tombstone is not None]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        pruned = [[s.tombstone.first, s.tombstone.last, s.tombstone.event_count] for s in self.tombstones]
        return {
            "lane": LANE_NAMES[self.lane],
            "epoch": self.epoch,
            "kept_from": self.kept_from,
            "number": self.head.number,
            "digest": self.head.digest.hex(),
            "next_sequence": self.head.next_sequence,
            "tombstones": pruned,
        }


@dataclass
class FlashImage:
    """All lanes of an image, oldest epoch first; torn: records that no chain goes through; faults: broken places."""

    device: bytes | None
    lanes: list[LaneImage]
    torn: int
    faults: list[str]

    def lane(self, lane: int, epoch: int | None = None) -> LaneImage | None:
        """Return a lane of an epoch, the newest epoch if none is given; None where the image holds nothing of it."""
        if epoch is None:
            epoch = max((held.epoch for held in self.lanes), default=0)
        return next((held for held in self.lanes if (held.lane, held.epoch) == (lane, epoch)), None)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "device": self.device.hex() if self.device else None,
            "lanes": [lane.as_json() for lane in self.lanes],
            "torn": self.torn,
            "faults": self.faults,
        }

    def lines(self) -> list[str]:
        """Return the image as people read it."""
        out = [f"device {self.device.hex() if self.device else 'unknown: no segment yet'}"]
        for lane in self.lanes:
            head = lane.head
            out.append(
                f"{LANE_NAMES[lane.lane]:8} epoch {lane.epoch}: segments {lane.kept_from}..{head.number}, "
                f"events 0..{head.next_sequence - 1}, head {head.digest.hex()[:16]}"
            )
            out += [
                f"  tombstone {s.header.number}: segments {s.tombstone.first}..{s.tombstone.last} pruned, "
                f"{s.tombstone.event_count} events"
                for s in lane.tombstones
                if s.tombstone
            ]
        out.append(f"{self.torn} torn records skipped")
        return out + [f"fault: {fault}" for fault in self.faults]


def read_image(path: Path) -> FlashImage:
    """Return what the journal window of an image holds. Raises DiagnosticError (exit 2) if it is no image."""
    try:
        content = path.read_bytes()
    except PermissionError:
        raise
    except OSError as error:
        reason = f"the flash image cannot be read: {error.strerror}"
        fix = "check the path and its rights"
        raise DiagnosticError(Diagnostic("file-unusable", reason, str(path), fix=fix)) from None
    return parse_image(_window_of_board(content), str(path))


def _window_of_board(content: bytes) -> bytes:
    """Return the agent's window of an emulated board's flash file; any other image as it is."""
    from tools.image.flashfile import find_window

    return find_window(content) or content


def parse_image(content: bytes, place: str) -> FlashImage:
    """Return what an image holds. place: where it came from, for people. Raises DiagnosticError (exit 2) if it is no image."""
    sectors = len(content) // _SECTOR_BYTES
    message = ""
    if content.startswith(b"SQLite format 3\0"):
        # A gateway's or office's database has whole sectors too, and segments inside.
        message = "this is a database, not a flash image"
    elif len(content) % _SECTOR_BYTES or sectors < _CELL_AND_KEYS + 4:
        message = f"{len(content)} bytes are no flash image: whole sectors of {_SECTOR_BYTES}, at least 8"
    if message:
        raise DiagnosticError(
            [Diagnostic("flash-image", message, place, fix="name a device's flash.bin")], USAGE
        )
    records = _records(bytearray(content), sectors)
    keys = _tag_keys(bytearray(content), sectors)
    good = [record for record in records if _is_good(record, keys)]
    return _assemble(good, len(records) - len(good))


def _tag_keys(content: bytearray, sectors: int) -> dict[int, tuple[int, bytes]]:
    """Return lane -> (generation, tag key) that the device would seal with now; nothing where they do not read."""
    from agent.flash import RamFlash
    from agent.keystore import KeyFault, Keystore

    keystore = Keystore(RamFlash(sectors, content))
    try:
        keystore.open()
    except KeyFault:
        return {}
    held = {lane: keystore.seal_key(lane) for lane in LANES}
    return {lane: (generation, tag_key(key)) for lane, (generation, key) in held.items()}


def _is_good(record: Segment, keys: dict[int, tuple[int, bytes]]) -> bool:
    """Say whether a record may count: not of a generation to come, and sealed where the key is still there."""
    generation, key = keys.get(record.header.lane, (None, b""))
    if generation is None or record.header.generation < generation:
        return True
    if record.header.generation > generation:
        return False
    try:
        record.verify(key)
    except ProtocolError:
        return False
    return True


def _records(content: bytearray, sectors: int) -> list[Segment]:
    """Return every record that parses, in the order of the flash; the device's own scan code finds them."""
    install()
    from agent.flash import RamFlash, Window
    from agent.layout import SLOTS_SECTORS
    from agent.ring import Ring
    from agent.slots import has_slots

    flash = RamFlash(sectors, content)
    # What lies in slots came over the link and is no record of the journal, whatever its bytes are.
    window = Window(flash, sectors - SLOTS_SECTORS) if has_slots(flash) else flash
    ring = Ring(window, _CELL_AND_KEYS, lambda name: None)
    found = []
    for index in range(window.sectors - _CELL_AND_KEYS):
        for _page, raw in ring.records(index):
            if raw is not None:
                try:
                    found.append(parse_segment(raw))
                except ProtocolError:
                    continue
    return found


def _assemble(records: list[Segment], torn: int) -> FlashImage:
    devices = [record.header.device for record in records]
    device = max(set(devices), key=devices.count) if devices else None
    places: dict[tuple[int, int], dict[int, list[Segment]]] = {}
    for record in records:
        if record.header.device == device:
            lane = places.setdefault((record.header.epoch, record.header.lane), {})
            lane.setdefault(record.header.number, []).append(record)
    lanes = []
    faults: list[str] = []
    for epoch, lane_number in sorted(places):
        lane_image = LaneImage(lane_number, epoch)
        faults += _follow_chain(lane_image, places[(epoch, lane_number)])
        lanes.append(lane_image)
    counted = sum(len(lane.segments) for lane in lanes)
    return FlashImage(device, lanes, torn + len(records) - counted, faults)


def _follow_chain(lane: LaneImage, numbers: dict[int, list[Segment]]) -> list[str]:
    """Fill a lane backwards from its newest number, along the digests; return what is broken on the way."""
    newest = max(numbers)
    current = numbers[newest][-1]
    chain = [current]
    for number in range(newest - 1, -1, -1):
        before = [s for s in numbers.get(number, []) if s.digest == current.header.previous]
        if not before:
            if numbers.get(number):
                lane.segments = chain[::-1]
                return [_broken(lane, number)]
            break
        check_follows(current.header, before[0].header, before[0].digest)
        current = before[0]
        chain.append(current)
    lane.segments = chain[::-1]
    return []


def _broken(lane: LaneImage, number: int) -> str:
    return f"{LANE_NAMES[lane.lane]} epoch {lane.epoch}: segment {number + 1} does not follow the {number} that is held"
