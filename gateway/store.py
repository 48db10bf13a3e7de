"""The SQLite store: the gateway's only state.

WAL and synchronous=FULL: what a method returned is on the disk (2,924 simulated power cuts lost nothing; NORMAL loses
rows). Writers share transactions (`group_commit`). The connection is used by one thread at a time, under a lock.

When the disk fails (an fsync that fails may have dropped what it was asked to write, and the kernel then calls those pages
clean), nothing is acknowledged any more. The connection is closed, opened again, everything in the WAL is written anew
into the database by a checkpoint with its own fsync, and the file is checked; only then custody is given again. A store that
is damaged is repaired whenever it is opened (`store_check`, `store_repair`).

Opening the file: `store_file`; whose it is: `store_identity`. Read by others while the gateway runs: `store_view`. The way down: `store_down`. Contexts: `store_sessions`. What an answer of the office does: `store_answer`. No other module has SQL.
"""

import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from gateway import store_answer, store_sessions
from gateway.errors import GatewayError, StoreFailed, StoreFull, TooManyForks
from gateway.group_commit import GroupCommit
from gateway.reconcile import Lane
from gateway.store_file import LaneKey, connect, load_lanes, lock_store, unusable, used_bytes
from gateway.store_repair import file_of, open_whole
from gateway.store_segments import Arrival, insert_new, new_places
from gateway.store_sessions import SessionRow
from protocol.diagnostic import DiagnosticError
from protocol.keys import CRITICAL, ROUTINE
from protocol.messages import Message
from protocol.passphrase import Source
from protocol.segment import Segment
from protocol.sqlite_settle import settle
from protocol.uplink import FORK

# Above this share of bytes_max the routine lane is refused: what is left is for the critical one.
ROUTINE_SHARE = 0.9
# A row costs its bytes, its index entries and its share of a page.
ROW_BYTES_MAX = 1024
# The most that one operation takes: a heartbeat, in its two rows.
_OPERATION_BYTES_MAX = 2 * ROW_BYTES_MAX
# Digests kept for one number. Two are a fork; more say nothing new and must not fill the disk.
DIGESTS_PER_NUMBER_MAX = 8
# Heartbeats of one device that wait for the office; each newer one says more than the one before.
HEARTBEATS_PER_DEVICE_MAX = 16
# Forks listed for people; the segments themselves are forwarded whatever this says.
FORKS_LISTED_MAX = 10_000
# Seconds between two attempts to open a store that failed.
REOPEN_INTERVAL_S = 1.0
# A new context starts its sender sequence somewhere below: a gateway that lost its store does not meet the old numbers.
SEQUENCE_START_MAX = 1 << 38
# How far a process passes on at most where it first uses a context that the store knows: a store that was put back, or copied with its
# card, does not meet the numbers of the other. 2^40 of them are enough for 1,500 starts on average, and each boot of a device begins anew.
SEQUENCE_LEAP_MAX = 1 << 30

STORED = "stored"
DUPLICATE = "duplicate"
FORKED = "fork"

Connect = Callable[[str], sqlite3.Connection]


class Batch(NamedTuple):
    """What to send next: (id, raw) of segments, and of heartbeats."""

    segments: list[tuple[int, bytes]]
    heartbeats: list[tuple[int, bytes]]


class Settlement(NamedTuple):
    """What an answer of the office did here.

    released: segments whose bytes were given up. missing: (device, lane, epoch, start, stop) that the office lacks and we too.
    """

    released: int
    missing: list[tuple[bytes, int, int, int, int]]


class Store:
    """Opened by open_store; see the module's docstring. `lanes`: what is held, always as durable.

    `reopened`: how often it was opened again; each time a repair may have retired contexts and given rows up.
    """

    def __init__(
        self,
        path: Path,
        *,
        bytes_max: int,
        clock: Any,
        rng: random.Random,
        point: Callable[[str], None],
        connect: Connect,
        passphrase: Source | None,
    ):
        self._path = path
        self._bytes_max = bytes_max
        # Whether anybody was refused for want of room since the office's newest answer.
        self._was_full = False
        self._clock = clock
        self._random = rng
        self._point = point
        self._connect = connect
        self._lock = threading.Lock()
        self._guard = lock_store(path)
        self._failed_at: float | None = None
        self._fault = ""
        self._file: tuple[int, int] | None = None
        self.lanes: dict[LaneKey, Lane] = {}
        self.reopened = 0
        self.repaired = 0
        self.down_bytes = 0
        try:
            settle(path, passphrase)
            self._open()
        except BaseException:
            # Whoever tries again, in this process too, must find the file free.
            os.close(self._guard)
            raise
        self.commits = GroupCommit(self._run_batch)

    # ---- opening, failing, opening again

    def _open(self) -> None:
        self._connection, damages = open_whole(self._path, self._connect, self._clock.wall_ms(), self._file)
        self._file = file_of(self._path)
        self.repaired += bool(damages)
        try:
            self.lanes = load_lanes(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def _reopen(self) -> None:
        """Open again after a failure, or raise StoreFailed. Runs before the first operation that follows one."""
        assert self._failed_at is not None
        if self._clock.monotonic() - self._failed_at < REOPEN_INTERVAL_S:
            raise StoreFailed(self._fault)
        try:
            self._connection.close()
            self._open()
            # Writes what the failed fsync may have lost a second time, into the database itself.
            busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # What was checked before it were the old pages with the log over them: these are the pages that were written since.
            verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            self._note_failure(error)
            raise StoreFailed(self._fault) from error
        if busy or verdict != "ok":
            self._note_failure(f"the check after the failure says {'busy' if busy else verdict}")
            raise StoreFailed(self._fault)
        self._failed_at = None
        self._fault = ""
        self.reopened += 1

    def _note_failure(self, error: object) -> None:
        self._failed_at = self._clock.monotonic()
        self._fault = f"the store failed: {error}"

    def doubt(self, damage: object) -> None:
        """Acknowledge nothing more until the store was opened again, checked and repaired: it was seen to be damaged."""
        with self._lock:
            if self._failed_at is None:
                self._note_failure(damage)

    def fault(self) -> str:
        """Return what is wrong with the store, or an empty text."""
        return self._fault

    async def close(self) -> None:
        """Finish what waits and close the file."""
        await self.commits.close()
        with self._lock:
            if self._failed_at is None:
                self._empty_log()
            self._connection.close()
        os.close(self._guard)

    def _empty_log(self) -> None:
        """Write the WAL into the database: what was released must not lie on in it while the gateway stands."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            # All that was acknowledged is in the WAL; the next start reads it from there.
            self._note_failure(error)

    # ---- transactions

    def _run_batch(self, operations: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        with self._lock:
            return self._transact(operations, self._point)

    def _transact(
        self, operations: list[Callable[[sqlite3.Connection], Any]], point: Callable[[str], None]
    ) -> list[Any]:
        if self._failed_at is not None:
            self._reopen()
        results: list[Any] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._room = self._free_bytes()
            taken = self._take_new(self._connection, operations)
            for at, operation in enumerate(operations):
                try:
                    results.append(taken[at] if at in taken else operation(self._connection))
                except GatewayError as refusal:
                    results.append(refusal)
            point("before_commit")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._give_up(error) from error
        except Exception as error:
            # A fault of ours: what the transaction holds is unknown, so it is thrown away with the connection.
            self._note_failure(error)
            raise
        point("after_commit")
        return results

    def _give_up(self, error: sqlite3.Error) -> GatewayError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._was_full = True
                return StoreFull(f"the disk of {self._path} is full")
            except sqlite3.Error as worse:
                error = worse
        self._note_failure(error)
        return StoreFailed(self._fault)

    def _free_bytes(self) -> int:
        # What goes down has a share of its own (store_down): it takes no room from custody.
        return self._bytes_max - max(0, used_bytes(self._connection) - self.down_bytes)

    def _take_room(self, size: int, *, reserve: int) -> None:
        """Raise StoreFull unless size bytes fit and leave reserve; a refusal writes nothing."""
        if self._room - size < reserve:
            self._was_full = True
            raise StoreFull(
                f"the store holds {self._bytes_max - self._room} of bytes_max ({self._bytes_max})"
            )
        self._room -= size

    # ---- what devices send

    async def add_segment(
        self,
        segment: Segment,
        *,
        lost: Iterable[tuple[int, int]] = (),
        is_wanted: bool = False,
    ) -> str:
        """Store a segment and put it in the outbox, in one transaction. Return STORED, DUPLICATE or FORKED.

        When this returns, the segment survives a power cut (synchronous=FULL, WAL). A segment already held with the same
        digest changes nothing; with another digest it is kept beside the first as a fork, and both are forwarded.

        lost: ranges that this segment, a tombstone, covers and we lack. is_wanted: the office asks for this number again.
        Raises StoreFull, StoreFailed or TooManyForks: nothing was written, the caller must refuse custody.
        """
        header = segment.header
        ranges = list(lost)
        arrival = Arrival(segment, self._clock.wall_ms(), ranges, is_wanted, self._take)
        kind: str = await self.commits.submit(arrival)
        lane = self.lane(header.device, header.lane, header.epoch)
        lane.held.add(header.number, header.number + 1)
        for start, stop in ranges:
            lane.lost.add(start, stop)
        return kind

    def _reserve_of(self, lane: int) -> int:
        return 0 if lane == CRITICAL else round(self._bytes_max * (1 - ROUTINE_SHARE))

    def _take_new(
        self, connection: sqlite3.Connection, operations: list[Callable[[sqlite3.Connection], Any]]
    ) -> dict[int, str]:
        """Store together what arrived under new places; return what each was, by its index. All else is for the operations themselves."""
        if self._room - _OPERATION_BYTES_MAX * len(operations) < self._reserve_of(ROUTINE):
            # Somebody may have to be refused: each by itself, in the order in which they came.
            return {}
        found = new_places(connection, operations)
        insert_new(connection, list(found.values()))
        self._room -= len(found) * ROW_BYTES_MAX
        return dict.fromkeys(found, STORED)

    def _take(self, connection: sqlite3.Connection, arrival: Arrival) -> str:
        header = arrival.segment.header
        kind = self._insert(
            connection,
            arrival.segment,
            arrival.received_ms,
            reserve=self._reserve_of(header.lane),
            is_wanted=arrival.is_wanted,
        )
        connection.executemany(
            "INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?, ?)",
            [(header.device, header.lane, header.epoch, start, stop) for start, stop in arrival.lost],
        )
        _heard(connection, header.device, arrival.received_ms)
        return kind

    def _insert(
        self, connection: sqlite3.Connection, segment: Segment, now_ms: int, *, reserve: int, is_wanted: bool
    ) -> str:
        place = segment.header.key()
        held = self._digests_at(connection, place)
        if segment.digest in held:
            if is_wanted:
                self._take_room(ROW_BYTES_MAX, reserve=reserve)
                # The row may be gone: of what was released, the newest receipt alone still says the digest.
                connection.execute(
                    "INSERT INTO segments (device, lane, epoch, number, digest, raw, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET raw = excluded.raw, outcome = NULL, times = times + 1 "
                    "WHERE raw IS NULL AND times < ?",
                    (*place, segment.digest, segment.raw, now_ms, store_answer.REQUEUE_TIMES_MAX),
                )
            return DUPLICATE
        if len(held) >= DIGESTS_PER_NUMBER_MAX:
            raise TooManyForks(f"segment {place[3]} came with more than {DIGESTS_PER_NUMBER_MAX} digests")
        self._take_room(ROW_BYTES_MAX, reserve=reserve)
        connection.execute(
            "INSERT INTO segments (device, lane, epoch, number, digest, raw, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*place, segment.digest, segment.raw, now_ms),
        )
        if not held:
            return STORED
        connection.execute(
            "INSERT OR IGNORE INTO forks SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM forks) < ?",
            (*place, segment.digest, now_ms, FORKS_LISTED_MAX),
        )
        return FORKED

    def _digests_at(self, connection: sqlite3.Connection, place: tuple[Any, ...]) -> set[bytes]:
        rows = connection.execute(
            "SELECT digest FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number = ?", place
        )
        held = {digest for (digest,) in rows}
        # The row of a receipted segment is gone; its receipt still says the digest of the newest one.
        rows = connection.execute(
            "SELECT digest FROM lanes WHERE device = ? AND lane = ? AND epoch = ? AND receipted = ? + 1",
            place,
        )
        return held | {digest for (digest,) in rows if digest is not None}

    async def add_heartbeat(self, heartbeat: Message) -> int:
        """Store a heartbeat as the device's newest and queue it for the office; return how many older ones were dropped.

        Raises StoreFull or StoreFailed: nothing was written.
        """
        fields = heartbeat.fields
        now_ms = self._clock.wall_ms()
        kept = [(lane, head[0]) for lane, head in enumerate((fields.critical, fields.routine)) if head]

        def insert(connection: sqlite3.Connection) -> int:
            self._take_room(_OPERATION_BYTES_MAX, reserve=0)
            connection.execute(
                "INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET "
                "heard_ms = excluded.heard_ms, boot = excluded.boot, counter = excluded.counter, epoch = excluded.epoch, "
                "heartbeat = excluded.heartbeat, heartbeat_ms = excluded.heartbeat_ms",
                (fields.device, now_ms, fields.boot, fields.counter, fields.epoch, heartbeat.raw, now_ms),
            )
            connection.execute(
                "INSERT INTO heartbeat_queue (device, raw) VALUES (?, ?)", (fields.device, heartbeat.raw)
            )
            connection.executemany(
                "INSERT INTO lanes (device, lane, epoch, kept_from) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "kept_from = max(kept_from, excluded.kept_from)",
                [(fields.device, lane, fields.epoch, kept_from) for lane, kept_from in kept],
            )
            return connection.execute(
                "DELETE FROM heartbeat_queue WHERE device = ? AND id NOT IN "
                "(SELECT id FROM heartbeat_queue WHERE device = ? ORDER BY id DESC LIMIT ?)",
                (fields.device, fields.device, HEARTBEATS_PER_DEVICE_MAX),
            ).rowcount

        dropped = await self.commits.submit(insert)
        for lane, kept_from in kept:
            known = self.lane(fields.device, lane, fields.epoch)
            known.kept_from = max(known.kept_from, kept_from)
        return dropped

    def lane(self, device: bytes, lane: int, epoch: int) -> Lane:
        """Return what is known of a lane; an empty one if nothing is."""
        known = self.lanes.get((device, lane, epoch))
        return self.lanes.setdefault((device, lane, epoch), Lane()) if known is None else known

    async def digests_of(self, device: bytes, lane: int, epoch: int, number: int) -> frozenset[bytes]:
        """Return the digests held for one number. Raises StoreFailed."""
        place = (device, lane, epoch, number)
        return frozenset(await self.read(lambda connection: self._digests_at(connection, place)))

    # ---- what the office takes

    async def next_batch(self, segments_max: int, heartbeats_max: int) -> Batch:
        """Return what waits for the office: critical lane before routine, oldest first. Raises StoreFailed."""
        return await self.read(
            lambda connection: Batch(
                connection.execute(
                    "SELECT id, raw FROM segments WHERE outcome IS NULL ORDER BY lane, id LIMIT ?",
                    (segments_max,),
                ).fetchall(),
                connection.execute(
                    "SELECT id, raw FROM heartbeat_queue ORDER BY id LIMIT ?", (heartbeats_max,)
                ).fetchall(),
            )
        )

    async def settle(
        self,
        outcomes: list[tuple[int, int]],
        heartbeats: list[int],
        receipts: list[Message],
        wants: list[tuple[bytes, int, int, int, int]],
    ) -> Settlement:
        """Carry out an answer of the office in one transaction: outcomes, receipts, what they release, what is wanted again.

        outcomes: (id, outcome) of segments; heartbeats: ids that were answered. A segment's bytes are given up when the
        office told an outcome for that very digest and a receipt covers its number, or when that outcome says that the
        evidence lies there. Where somebody was refused for want of room, the outcome is enough: behind a gap no receipt comes until the gap is closed, and
        what closes it must find room. Raises StoreFull or StoreFailed: nothing changed, the batch is sent again.
        """

        def settle(connection: sqlite3.Connection) -> Settlement:
            connection.executemany(
                "UPDATE segments SET outcome = ?1, raw = CASE WHEN ?1 >= ?3 THEN NULL ELSE raw END WHERE id = ?2",
                [(outcome, row, FORK) for row, outcome in outcomes],
            )
            connection.executemany("DELETE FROM heartbeat_queue WHERE id = ?", [(row,) for row in heartbeats])
            for receipt in receipts:
                store_answer.put_receipt(connection, receipt)
            given_up = sum(outcome >= FORK for _, outcome in outcomes)
            released = given_up + store_answer.release(connection)
            if self._was_full:
                released += store_answer.give_up_told(connection)
                self._was_full = False
            return Settlement(
                released, [hole for want in wants for hole in store_answer.requeue(connection, want)]
            )

        settlement = await self.commits.submit(settle)
        for receipt in receipts:
            fields = receipt.fields
            known = self.lane(fields.device, fields.lane, fields.epoch)
            known.receipted = max(known.receipted, fields.number + 1)
        return settlement

    async def receipts(self) -> list[bytes]:
        """Return the newest receipt of every lane, for the devices. Raises StoreFailed."""
        rows = await self.read(
            lambda connection: connection.execute(
                "SELECT receipt FROM lanes WHERE receipt IS NOT NULL"
            ).fetchall()
        )
        return [raw for (raw,) in rows]

    async def read(self, query: Callable[[sqlite3.Connection], Any]) -> Any:
        """Return what query gives, run between two transactions. Raises StoreFailed."""

        def work() -> Any:
            with self._lock:
                if self._failed_at is not None:
                    self._reopen()
                try:
                    return query(self._connection)
                except sqlite3.Error as error:
                    self._note_failure(error)
                    raise StoreFailed(self._fault) from error

        return await self.commits.run(work)

    # ---- OSCORE contexts: rare and needed at once, so they run in the caller's thread

    def session_rows(self, device: bytes | None = None) -> list[SessionRow]:
        """Return every context that a device, or all of them, ever used with this gateway. Raises StoreFailed."""
        rows: list[SessionRow] = self._at_once(
            lambda connection: store_sessions.session_rows(connection, device)
        )
        return rows

    def reserve_sequence(self, device: bytes, context: bytes, count: int, *, leaps: bool = False) -> int:
        """Return the first of count sender sequence numbers that nobody used or will use under these keys.

        leaps: pass over a random number of them first, for this file may be a copy of one that another process goes on with. They are reserved durably before this returns. Raises StoreFull or StoreFailed: also where the context is retired.
        """

        def reserve(connection: sqlite3.Connection) -> int:
            leap = self._random.randrange(SEQUENCE_LEAP_MAX) if leaps else 0
            return store_sessions.reserve(
                connection, device, context, count, first=self._first_sequence, leap=leap
            )

        start: int = self._at_once(reserve)
        return start

    def _first_sequence(self) -> int:
        return self._random.randrange(SEQUENCE_START_MAX)

    def confirm_session(self, device: bytes, context: bytes) -> None:
        """Make a context the device's current one; all its others are retired for good.

        Raises StoreFull or StoreFailed: also where this one was retired before.
        """
        self._at_once(lambda connection: store_sessions.confirm(connection, device, context))

    def revoked(self) -> set[bytes]:
        """Return the devices that the office called revoked. Raises StoreFailed."""
        found: set[bytes] = self._at_once(store_sessions.revoked)
        return found

    async def add_revoked(self, devices: list[bytes]) -> None:
        """Keep that these devices are revoked, for good. Raises StoreFull or StoreFailed."""
        await self.commits.submit(lambda connection: store_sessions.add_revoked(connection, devices))

    def _at_once(self, operation: Callable[[sqlite3.Connection], Any]) -> Any:
        # The lock is held for one commit by the writer; longer means it is opening a failed store again.
        if not self._lock.acquire(timeout=1.0):
            raise StoreFailed("the store is busy being opened again")
        try:
            result = self._transact([operation], _no_point)[0]
        finally:
            self._lock.release()
        if isinstance(result, GatewayError):
            raise result
        return result

    # ---- health

    async def save_health(self, body: str) -> None:
        """Keep what the gateway says of itself, for `status`. Raises StoreFull or StoreFailed."""
        row = (1, body, self._clock.wall_ms())
        await self.commits.submit(
            lambda connection: connection.execute("INSERT OR REPLACE INTO health VALUES (?, ?, ?)", row)
        )

    async def load_health(self) -> str | None:
        """Return what the gateway last said of itself."""
        row = await self.read(lambda connection: connection.execute("SELECT body FROM health").fetchone())
        return row[0] if row else None


def _no_point(name: str) -> None:
    """The kill points count transactions of the collector and the uplink only."""


def _heard(connection: sqlite3.Connection, device: bytes, now_ms: int) -> None:
    connection.execute(
        "INSERT INTO devices (device, heard_ms) VALUES (?, ?) ON CONFLICT DO UPDATE SET heard_ms = excluded.heard_ms",
        (device, now_ms),
    )


def open_store(
    path: Path,
    *,
    bytes_max: int,
    clock: Any,
    rng: random.Random,
    point: Callable[[str], None],
    connect: Connect = connect,
    passphrase: Source | None = None,
) -> Store:
    """Return the store at path, made if it is missing. passphrase: where that of an encrypted one is.

    Raises DiagnosticError: in use, newer, not a database of ours, not encrypted or not with this passphrase.
    """
    # The store holds journals of people's sites: nobody but the owner reads it.
    old = os.umask(0o077)
    try:
        return Store(
            path,
            bytes_max=bytes_max,
            clock=clock,
            rng=rng,
            point=point,
            connect=connect,
            passphrase=passphrase,
        )
    except (sqlite3.Error, OSError) as error:
        raise DiagnosticError(unusable(path, error)) from error
    finally:
        os.umask(old)
