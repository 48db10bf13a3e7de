"""Makes an office's database agree with itself again after its disk changed it, and opens gaps for what must come again.

    pages that cannot be read       every row that can is carried over into a new file; the damaged one is kept
    a segment's row                 stays if its seal holds, its columns written anew from the sealed bytes; else its bytes go to
                                    quarantine and its number is missing, so that the gateway, or the device, is asked for it
    gaps, heads, receipts, tallies  follow from the rest, and are made anew
    all else                        stays as it is, and `outstation verify` goes on naming it: nothing here can tell what it said

All of a database's rows are mended in one transaction, which leaves a finding open; what that makes due, receipts, follows, and
then the finding is cleared: a repair that was cut off before is gone on with by the next.

Nothing whose seal holds is ever deleted. No service may run meanwhile.
"""

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from office_ingest.errors import BeyondRepair, DatabaseDamaged, KeyUnknown, NotAnOfficeDatabase
from office_ingest.prove.report import place_text
from office_ingest.receive.body import open_events
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.lanes import Lanes
from office_ingest.storage.damage import COUNTED_ANEW, Damage, find_damage, is_mended, is_row
from office_ingest.storage.interface import Arrival, Head, Place
from office_ingest.storage.replacement import replace_damaged
from office_ingest.storage.rows import COLUMNS
from office_ingest.storage.sqlite import SqliteStore, refusal
from office_ingest.watch.damage import KIND, add_findings, finding_place
from protocol import sqlite_file
from protocol.errors import SEAL, ProtocolError
from protocol.event import DECISION
from protocol.keys import CLEAR, LANE_NAMES, LANES
from protocol.messages import parse_heartbeat
from protocol.ranges import Ranges
from protocol.segment import Segment, parse_segment

_QUARANTINED = "damaged on the office's own disk: the seal does not hold any more; it is asked for again"


class Repaired(NamedTuple):
    """damages: what was found; rewritten: segments whose seal holds; wanted: (place, start, stop) that must come again.

    left: what is damaged still, because nothing here can tell what it said.
    """

    damages: list[Damage]
    rewritten: int
    wanted: list[tuple[Place, int, int]]
    left: list[Damage]

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "damages": [_document(damage) for damage in self.damages],
            "rewritten": self.rewritten,
            "wanted": [
                {
                    "device": device.hex(),
                    "lane": LANE_NAMES[lane],
                    "epoch": epoch,
                    "start": start,
                    "stop": stop,
                }
                for (device, lane, epoch), start, stop in self.wanted
            ],
            "left": [_document(damage) for damage in self.left],
        }

    def lines(self) -> list[str]:
        """Return what a person is told."""
        if not self.damages:
            return ["nothing is damaged"]
        lines = [f"damaged: {_line(damage)}" for damage in self.damages]
        lines += [f"cannot be repaired: {_line(damage)}" for damage in self.left]
        for (device_id, lane, epoch), start, stop in self.wanted:
            lines.append(f"asked for again: {place_text(device_id, lane, epoch, start)} to {stop - 1}")
        lines.append(
            f"{self.rewritten} segments whose seal holds were written anew; see outstation verify for what is left"
        )
        return lines


def _document(damage: Damage) -> dict[str, Any]:
    return {**damage._asdict(), "device": damage.device.hex()}


def _line(damage: Damage) -> str:
    device = f"device {damage.device.hex()}" if damage.device else ""
    where = " ".join(word for word in (damage.table, device, damage.place) if word)
    return f"{where}: {damage.text}"


def repair_database(path: Path, keystore: Keystore, *, now_ms: int) -> Repaired:
    """Repair the database at path if anything in it is damaged, and go on with a repair that was cut off.

    Raises NotAnOfficeDatabase for any other file, BeyondRepair if not even its beginning can be read, StoreUnavailable where the disk
    or another process does not let us.
    """
    sqlite_file.finish(path, now_ms)
    try:
        return _repaired(path, keystore, now_ms)
    except DatabaseDamaged as error:
        raise BeyondRepair(str(error)) from error
    except sqlite_file.READ_ERRORS as error:
        refused = refusal(path, error)
        if isinstance(refused, NotAnOfficeDatabase):
            raise BeyondRepair(f"{path} cannot be repaired: {error}") from error
        raise refused from error


def _repaired(path: Path, keystore: Keystore, now_ms: int) -> Repaired:
    damages = _damages(path)
    if any(damage.table == "database" for damage in damages):
        replace_damaged(path, now_ms)
    with contextlib.closing(SqliteStore.open(path)) as store:
        return _Repair(store, keystore, now_ms).run(damages)


def _damages(path: Path) -> list[Damage]:
    try:
        with contextlib.closing(SqliteStore.open(path)) as store:
            return find_damage(store.connection)
    except DatabaseDamaged as error:
        # An older version's file that cannot be brought up to this one's schema.
        return [Damage("database", b"", "", str(error))]


class _Repair:
    def __init__(self, store: SqliteStore, keystore: Keystore, now_ms: int):
        self._store = store
        self._rows = store.connection
        self._keystore = keystore
        self._now_ms = now_ms
        self._rewritten = 0

    def run(self, damages: list[Damage]) -> Repaired:
        if not damages and not self._open_findings():
            return Repaired([], 0, [], [])
        wanted = self._mend(damages) if damages else []
        ingest = Ingest(self._store, self._keystore, wall_ms=lambda: self._now_ms)
        ingest.refresh(self._places())
        left = find_damage(self._rows)
        self._tell(left)
        return Repaired(damages, self._rewritten, wanted, left)

    def _mend(self, damages: list[Damage]) -> list[tuple[Place, int, int]]:
        """Mend all rows, in one transaction; return what was not known to be missing before."""
        with self._store.transaction():
            # Open until all is done, so that a repair that is cut off from here on is not forgotten.
            add_findings(self._store, [one for one in damages if is_mended(one)], self._now_ms)
            for rowid, *row in self._damaged("segments"):
                self._segment(rowid, tuple(row))
            for table in ("gaps", "heads", "receipts"):
                for rowid, *_ in self._damaged(table):
                    self._rows.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
            self._heads()
            wanted = self._gaps()
            self._tallies()
            for table in COUNTED_ANEW:
                self._store.recount(table)
        return wanted

    def _open_findings(self) -> list[tuple[bytes, str]]:
        return self._rows.execute(
            "SELECT device, place FROM findings WHERE kind = ? AND state = 'open'", (KIND,)
        ).fetchall()

    def _tell(self, left: list[Damage]) -> None:
        """Clear the findings of what is mended, and say of the rest that it is not."""
        stay = {(damage.device, finding_place(damage)) for damage in left}
        with self._store.transaction():
            for device, place in self._open_findings():
                if (device, place) not in stay:
                    self._store.clear_finding(device, KIND, place, self._now_ms)
            add_findings(self._store, left, self._now_ms)

    def _damaged(self, table: str) -> list[tuple[Any, ...]]:
        names = ", ".join(COLUMNS[table])
        rows = self._rows.execute(f"SELECT rowid, {names}, row_digest FROM {table}")
        return [row for row in rows if not is_row(table, row[1:])]

    # segments

    def _segment(self, rowid: int, row: tuple[Any, ...]) -> None:
        values = dict(zip(COLUMNS["segments"], row, strict=False))
        arrival = Arrival(values["gateway"], values["received_ms"])
        self._rows.execute("DELETE FROM segments WHERE rowid = ?", (rowid,))
        segment = self._sealed(values["raw"])
        if segment is None and not values["raw"]:
            return
        if segment is None:
            device = values["device"] if self._store.has_device(values["device"]) else None
            self._store.add_quarantine(device, SEAL, _QUARANTINED, values["raw"], arrival)
            return
        header = segment.header
        if header.number not in self._store.held(header.key()[:3], [header.number]):
            self._store.add_segment(segment, arrival, values["committed_ms"])
        self._rewritten += 1

    def _sealed(self, raw: bytes) -> Segment | None:
        try:
            segment = parse_segment(raw)
            header = segment.header
            segment.verify(self._keystore.tag_key(header.device, header.lane, header.generation))
        except (ProtocolError, KeyUnknown):
            return None
        return segment

    # what follows from the rest

    def _places(self) -> list[Place]:
        return self._rows.execute(
            "SELECT device, lane, epoch FROM segments UNION SELECT device, lane, epoch FROM heads ORDER BY 1, 2, 3"
        ).fetchall()

    def _heads(self) -> None:
        """Give each lane its newest head again where it has none."""
        names = COLUMNS["heartbeats"]
        rows = self._rows.execute(
            f"SELECT {', '.join(names)}, row_digest FROM heartbeats ORDER BY boot, counter"
        )
        for row in [row for row in rows if is_row("heartbeats", row)]:
            with contextlib.suppress(ProtocolError):
                said = parse_heartbeat(row[names.index("raw")]).fields
                for lane in LANES:
                    head = said.head(lane)
                    place = (said.device, lane, said.epoch)
                    if head and self._is_newer(place, said.boot, said.counter):
                        kept_from, number, digest = head
                        newest = Head(kept_from, number, digest, said.boot, said.counter)
                        self._store.put_head(place, newest)

    def _is_newer(self, place: Place, boot: int, counter: int) -> bool:
        row = self._rows.execute(
            "SELECT boot, counter FROM heads WHERE device = ? AND lane = ? AND epoch = ?", place
        ).fetchone()
        return row is None or (boot, counter) > row

    def _gaps(self) -> list[tuple[Place, int, int]]:
        """Record what is missing now as gaps; return what was not recorded so before."""
        lanes = Lanes(self._store)
        wanted = []
        for place in self._places():
            lane = lanes.lane(place)
            rows = lane.gap_rows()
            known = Ranges([(gap.start, gap.stop) for gap in lane.gaps])
            for gap in sorted(rows):
                wanted += (
                    [(place, *pair) for pair in known.missing(gap.start, gap.stop)]
                    if gap.state == "open"
                    else []
                )
            filled = Ranges(lane.filled.pairs)
            for start, stop in lane.missing():
                filled.remove(start, stop)
            self._store.put_gaps(place, lane.gaps - rows, rows - lane.gaps, filled.pairs, self._now_ms)
        return wanted

    def _tallies(self) -> None:
        """Count again what is held of each device; how often it came again is told by nothing else."""
        damaged = {row[1] for row in self._damaged("tallies")}
        devices = [device for (device,) in self._rows.execute("SELECT id FROM devices")]
        # Where the disk changed whose tally it is, the row would stay beside the new one.
        for device in damaged - set(devices):
            self._rows.execute("DELETE FROM tallies WHERE device = ?", (device,))
        for device in devices:
            row = self._rows.execute(
                "SELECT segments, events, decisions, duplicates FROM tallies WHERE device = ?", (device,)
            ).fetchone()
            segments, events = self._rows.execute(
                "SELECT count(*), coalesce(sum(count), 0) FROM segments WHERE device = ?", (device,)
            ).fetchone()
            if row is None and not segments:
                continue
            if row is None or device in damaged or row[:2] != (segments, events):
                self._store.put(
                    "tallies", device, segments, events, self._decisions(device), row[3] if row else 0
                )

    def _decisions(self, device: bytes) -> int:
        return sum(event[2] == DECISION for event in self._events(device))

    def _events(self, device: bytes) -> Iterator[tuple[Any, ...]]:
        for (raw,) in self._rows.execute(
            "SELECT raw FROM segments WHERE device = ? AND class <> ?", (device, CLEAR)
        ):
            segment = parse_segment(raw)
            key = self._keystore.view_key(device, segment.header.view_class, segment.header.period)
            if key is not None:
                yield from open_events(segment, key)[1]
