"""What the office asks of a store, with the guarantees written out.

Everything between entering and leaving transaction() is durable together or not at all, power cuts included. Reads inside
it see its own writes. One writer at a time: the service has one worker thread, and a second process waits.
All methods raise StoreUnavailable when the world does not let them (disk full, I/O error); the transaction is then undone.
"""

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from protocol.messages import Heartbeat, Receipt
from protocol.segment import Segment

Place = tuple[bytes, int, int]  # device, lane, epoch


class Arrival(NamedTuple):
    """How something came: identity of the gateway, office wall time in ms since 1970 (for people, never for order)."""

    gateway: str
    received_ms: int


class Held(NamedTuple):
    """What neighbours need to know of a segment that is held."""

    number: int
    digest: bytes
    previous: bytes
    first_sequence: int
    events: int

    def next_sequence(self) -> int:
        """Return the first_sequence of the segment after this one."""
        return self.first_sequence + self.events


class Head(NamedTuple):
    """A sealed head of one lane and epoch, with boot and counter of the heartbeat of that epoch that said it."""

    kept_from: int
    number: int
    digest: bytes
    boot: int
    counter: int


class GapRow(NamedTuple):
    """A gap: state "open", "accepted" or "lost", half-open range, and whether the device says that it pruned it without tombstone."""

    state: str
    start: int
    stop: int
    pruned: bool


class HeldLane(NamedTuple):
    """What is read back of a lane and epoch at first touch.

    ranges: half-open ranges of the numbers held. tombstones: (number, raw) of each. contested: lowest number in doubt, or None.
    base: generation base, None while nothing is held; generation: highest held, -1 if none. gaps, filled: as recorded.
    accepted: half-open ranges that a person passed over.
    """

    ranges: list[tuple[int, int]]
    base: int | None
    generation: int
    tombstones: list[tuple[int, bytes]]
    contested: int | None
    head: Head | None
    gaps: list[GapRow]
    filled: list[tuple[int, int]]
    receipt: tuple[int, int, bytes] | None  # number, generation, raw
    accepted: list[tuple[int, int]]


class Tally(NamedTuple):
    """Counts of one device, to be added to those recorded."""

    segments: int = 0
    events: int = 0
    decisions: int = 0
    duplicates: int = 0


class Store(Protocol):
    """The office's database as ingest sees it."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything inside durable together; on any exception nothing of it happened."""

    def has_device(self, device: bytes) -> bool:
        """Say whether the device is registered."""

    def epochs(self, device: bytes, lane: int) -> list[int]:
        """Return the epochs of a lane of which anything is recorded, rising."""

    def lane(self, place: Place) -> HeldLane:
        """Return all that ingest keeps in memory about a lane and epoch."""

    def held(self, place: Place, numbers: list[int]) -> dict[int, Held]:
        """Return those of the numbers that are held."""

    def add_segment(self, segment: Segment, arrival: Arrival, committed_ms: int) -> None:
        """Keep a verified segment in its place, which must be free; it leaves quarantine if it was there."""

    def has_fork(self, digest: bytes, lane: int) -> bool:
        """Say whether these bytes are kept as evidence about this lane."""

    def is_revoked(self, device: bytes) -> bool:
        """Say whether a person called the device revoked."""

    def revoked_of_site(self, gateway: str) -> list[bytes]:
        """Return the revoked devices of a gateway's site, those of the newest revocations first, at most uplink_revoked_max."""

    def add_fork(
        self, place: Place, number: int, contested: int, kind: str, raw: bytes, arrival: Arrival
    ) -> None:
        """Keep verified bytes that contradict what is held, for good."""

    def add_quarantine(
        self, device: bytes | None, code: int, text: str, raw: bytes, arrival: Arrival
    ) -> None:
        """Keep refused bytes and why, or count them once more; bounded for each device (None: all unknown ones together)."""

    def newest_heartbeat(self, device: bytes) -> tuple[int, int, int] | None:
        """Return (epoch, boot, counter) of the newest heartbeat taken."""

    def heartbeat_digest(self, device: bytes, epoch: int, boot: int, counter: int) -> bytes | None:
        """Return the digest of a heartbeat that is still kept."""

    def heartbeat_raw(self, device: bytes, epoch: int, boot: int, counter: int) -> bytes | None:
        """Return the bytes of a heartbeat that is still kept."""

    def add_heartbeat(self, heartbeat: Heartbeat, raw: bytes, arrival: Arrival) -> None:
        """Keep a verified heartbeat, and forget the eldest beyond those kept for each device."""

    def put_head(self, place: Place, head: Head) -> None:
        """Keep the newest head of a lane and epoch."""

    def put_receipt(self, receipt: Receipt, raw: bytes) -> None:
        """Keep the newest receipt of a lane and epoch."""

    def receipts_of(self, device: bytes) -> list[tuple[Place, bytes]]:
        """Return the newest receipt of each lane and epoch of a device, sealed."""

    def first_epoch_heard(self, device: bytes, generation: int) -> int | None:
        """Return the lowest epoch of the heartbeats kept of a generation or above, None if there is none."""

    def epoch_begins(self, device: bytes, epochs: list[int]) -> list[bytes]:
        """Return segment 0 of the critical lane of these epochs, those that are held, in their order."""

    def put_gaps(
        self,
        place: Place,
        gone: set[GapRow],
        new: set[GapRow],
        filled: list[tuple[int, int]] | None,
        now_ms: int,
    ) -> None:
        """Replace gap rows; filled: all filled ranges of the lane and epoch, None if they did not change."""

    def add_accepted(self, place: Place, start: int, stop: int, author: str, now_ms: int) -> None:
        """Keep that a person passed over these numbers."""

    def accepted_mark(self) -> tuple[int, int]:
        """Return what changes whenever gaps were accepted, by whichever process."""

    def add_finding(self, device: bytes, kind: str, place: str, text: str, now_ms: int) -> None:
        """Record something for a person, or count it once more and open it again."""

    def clear_finding(self, device: bytes, kind: str, place: str, now_ms: int) -> None:
        """Mark an open finding as over. Nothing happens if there is none."""

    def open_places(self, device: bytes, kind: str) -> list[str]:
        """Return the places of a device's open findings of a kind."""

    def add_tally(self, device: bytes, tally: Tally) -> None:
        """Add to the counts of a device."""
