"""The store: what was acknowledged is there, whatever the disk does."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess

import pytest

from gateway.errors import StoreFailed, StoreFull, TooManyForks
from gateway.store import DUPLICATE, FORKED, HEARTBEATS_PER_DEVICE_MAX, STORED
from gateway.store_file import connect
from protocol.diagnostic import DiagnosticError
from protocol.messages import parse_heartbeat, parse_receipt
from protocol.segment import parse_segment
from tests.gateway.site import TestClock, device_id, heartbeat, new_store, receipt, segment


def with_store(folder, body, **options):
    """Run an async body(store) and close the store after it."""

    async def main():
        store = new_store(folder, **options)
        try:
            return await body(store)
        finally:
            await store.close()

    return asyncio.run(main())


async def add(store, number, **fields):
    return await store.add_segment(parse_segment(segment(number, **fields)))


async def waiting(store):
    return [raw for _, raw in (await store.next_batch(512, 256)).segments]


async def tell(store, outcome, receipts=(), wants=()):
    """Answer everything that waits with one outcome."""
    batch = await store.next_batch(512, 256)
    rows = [(row, outcome) for row, _ in batch.segments]
    return await store.settle(
        rows, [row for row, _ in batch.heartbeats], [parse_receipt(raw) for raw in receipts], list(wants)
    )


def test_concurrent_segments_share_commits(tmp_path):
    """Segments that arrive while one commit runs share the next: far fewer commits than segments."""

    async def body(store):
        kinds = await asyncio.gather(*(add(store, number) for number in range(200)))

        assert kinds == [STORED] * 200
        assert store.commits.operations == 200
        assert store.commits.batches < 20

    with_store(tmp_path, body)


def test_same_digest_again_is_a_duplicate_and_changes_nothing(tmp_path):
    """A segment that comes twice is one row and is forwarded once."""

    async def body(store):
        assert [await add(store, 0), await add(store, 0)] == [STORED, DUPLICATE]
        assert await waiting(store) == [segment(0)]

    with_store(tmp_path, body)


def test_other_digest_for_a_number_is_kept_beside_the_first(tmp_path):
    """Both digests of a fork are kept and both wait for the office."""

    async def body(store):
        kinds = [await add(store, 0), await add(store, 0, text=b"another")]

        assert kinds == [STORED, FORKED]
        assert await waiting(store) == [segment(0), segment(0, text=b"another")]

    with_store(tmp_path, body)


def test_fork_is_known_after_the_first_was_released(tmp_path):
    """The receipt's digest still tells a fork from a duplicate when the first segment's bytes are gone."""

    async def body(store):
        await add(store, 0)
        await tell(store, 0, [receipt(0, segment(0))])

        assert await add(store, 0) == DUPLICATE
        assert await add(store, 0, text=b"another") == FORKED

    with_store(tmp_path, body)


def test_digests_of_one_number_are_bounded(tmp_path):
    """A device that sends one number in ever new forms cannot fill the disk."""

    async def body(store):
        for n in range(8):
            await add(store, 0, text=b"%d" % n)
        with pytest.raises(TooManyForks):
            await add(store, 0, text=b"one more")

        assert len(await waiting(store)) == 8

    with_store(tmp_path, body)


def test_critical_lane_goes_first_then_the_oldest(tmp_path):
    """The outbox gives the critical lane before the routine one, each in the order of arrival."""

    async def body(store):
        await add(store, 1)
        await add(store, 0)
        await add(store, 5, lane=0)

        assert await waiting(store) == [segment(5, lane=0), segment(1), segment(0)]

    with_store(tmp_path, body)


def test_segment_leaves_only_when_told_and_receipted(tmp_path):
    """An outcome alone releases nothing, a receipt alone releases nothing, both together do."""

    async def body(store):
        for number in range(3):
            await add(store, number)
        assert (await tell(store, 0)).released == 0
        await add(store, 3)
        rows = store.commits
        assert (await store.settle([], [], [parse_receipt(receipt(3, segment(3)))], [])).released == 3
        assert await waiting(store) == [segment(3)]
        assert rows is store.commits

        assert (await tell(store, 1)).released == 1
        assert await count(store, "segments") == 0

    with_store(tmp_path, body)


async def count(store, table):
    def query(connection):
        return connection.execute({"segments": "SELECT count(*) FROM segments"}[table]).fetchone()[0]

    return await store.read(query)


def test_receipt_with_another_digest_does_not_release_ours(tmp_path):
    """A receipt whose digest contradicts the only copy we have leaves that copy alone."""

    async def body(store):
        await add(store, 0)
        settlement = await tell(store, 0, [receipt(0, segment(0, text=b"another"))])

        assert settlement.released == 0
        assert await count(store, "segments") == 1

    with_store(tmp_path, body)


def test_evidence_in_the_office_releases_the_bytes_and_keeps_the_digest(tmp_path):
    """Quarantine and fork free the bytes; the digest still makes the same segment a duplicate."""

    async def body(store):
        await add(store, 0)
        assert (await tell(store, 16 + 5)).released == 1

        assert await add(store, 0) == DUPLICATE
        assert await waiting(store) == []

    with_store(tmp_path, body)


def test_office_asks_again_for_what_is_held_and_for_what_is_not(tmp_path):
    """What the office lacks and we hold goes out again, a few times; the rest is for the devices."""

    async def body(store):
        await add(store, 0)
        await add(store, 2)
        want = (device_id(), 1, 0, 0, 4)

        for _ in range(2):
            settlement = await tell(store, 0, wants=[want])
            assert settlement.missing == [(device_id(), 1, 0, 1, 2), (device_id(), 1, 0, 3, 4)]
            assert await waiting(store) == [segment(0), segment(2)]
        await tell(store, 0, wants=[want])
        assert await waiting(store) == []

    with_store(tmp_path, body)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_receipted_segment_that_the_office_lost_is_taken_again(tmp_path, number):
    """An office restored from an older backup asks for what it had receipted, its newest included: it is stored and goes out."""

    async def body(store):
        for at in range(3):
            await add(store, at)
        await tell(store, 0, [receipt(2, segment(2))])
        assert await waiting(store) == []
        settlement = await tell(store, 0, wants=[(device_id(), 1, 0, number, number + 1)])
        assert settlement.missing == [(device_id(), 1, 0, number, number + 1)]

        await store.add_segment(parse_segment(segment(number)), is_wanted=True)
        assert await waiting(store) == [segment(number)]
        await tell(store, 0)
        assert await waiting(store) == []

    with_store(tmp_path, body)


def test_state_is_the_same_after_opening_again(tmp_path):
    """Custody, receipts and losses are read back as they were."""

    async def first(store):
        for number in (0, 1, 2, 5, 6, 9):
            await add(store, number)
        await store.add_segment(parse_segment(segment(12)), lost=[(7, 9), (10, 12)])
        await tell(store, 0, [receipt(1, segment(1))])
        return state(store)

    async def second(store):
        return state(store)

    before = with_store(tmp_path, first)

    assert with_store(tmp_path, second) == before
    assert before[device_id(), 1, 0] == ([(0, 2), (2, 3), (5, 13)], 2, 3)


def state(store):
    return {
        key: (
            [(0, lane.receipted), *_unreceipted(lane)],
            lane.receipted,
            lane.watermark(),
        )
        for key, lane in store.lanes.items()
    }


def _unreceipted(lane):
    settled = lane.settled()
    settled.remove(0, lane.receipted)
    return settled.pairs


def test_heartbeats_of_one_device_are_bounded(tmp_path):
    """Only the newest heartbeats of a device wait for the office; what was dropped is told."""

    async def body(store):
        extra = 3
        dropped = [
            await store.add_heartbeat(parse_heartbeat(heartbeat(counter=n)))
            for n in range(HEARTBEATS_PER_DEVICE_MAX + extra)
        ]
        kept = [raw for _, raw in (await store.next_batch(1, 256)).heartbeats]

        assert sum(dropped) == extra
        assert kept == [heartbeat(counter=n + extra) for n in range(HEARTBEATS_PER_DEVICE_MAX)]

    with_store(tmp_path, body)


def test_routine_lane_is_refused_before_the_critical_one(tmp_path):
    """Near the limit the routine lane is refused while the critical one is still taken; nothing taken is lost."""
    clock = TestClock()

    async def body(store):
        taken = {0: [], 1: []}
        refused = {0: None, 1: None}
        number = 0
        while refused[0] is None:
            for lane in (1, 0):
                if refused[lane] is None:
                    try:
                        await add(store, number, lane=lane, size=300)
                        taken[lane].append(segment(number, lane=lane, size=300))
                    except StoreFull:
                        refused[lane] = number
            number += 1
        held = [raw for _, raw in (await store.next_batch(10_000, 1)).segments]

        assert refused[1] < refused[0]
        assert held == taken[0] + taken[1]
        return refused

    with_store(tmp_path, body, bytes_max=1 << 20, clock=clock)


def pages(limit):
    """Return a way to connect whose database has at most limit pages: SQLite's own SQLITE_FULL."""

    def open_limited(path):
        connection = connect(path)
        connection.execute(f"PRAGMA max_page_count = {limit}")
        return connection

    return open_limited


def test_full_disk_refuses_custody_and_loses_nothing(tmp_path):
    """When SQLite cannot grow, segments are refused, those acknowledged stay, and room freed by receipts is used again.

    The disk is SQLite's own page limit, which raises the true SQLITE_FULL.
    """

    async def body(store):
        await fill_and_drain(store)

    with_store(tmp_path, body, connect=pages(64))


async def fill_and_drain(store):
    number = 0
    while True:
        try:
            await add(store, number, size=300)
        except StoreFull:
            break
        number += 1
        assert number < 5000
    assert number > 50
    assert await waiting_all(store) == [segment(n, size=300) for n in range(number)]
    assert store.lane(device_id(), 1, 0).watermark() == number

    # A release needs a little room of its own in the WAL, or the disk could never be freed again.
    batch = await store.next_batch(5000, 1)
    given_up = await store.settle([(row, 0) for row, _ in batch.segments[:40]], [], [], [])
    last = segment(39, size=300)
    settlement = await store.settle([], [], [parse_receipt(receipt(39, last))], [])

    # Somebody was refused, so the office's word is enough, and the receipt has only rows left to release.
    assert (given_up.released, settlement.released) == (40, 0)
    assert await add(store, number, size=300) == STORED


@pytest.mark.parametrize("options", [{"bytes_max": 256 * 1024}, {"connect": pages(64)}])
def test_full_store_takes_what_closes_a_gap(tmp_path, options):
    """Full of what the office has stored and cannot receipt: that is given up, so that the missing segment finds room; nothing else is."""
    with_store(tmp_path, fill_behind_a_gap, **options)


async def fill_behind_a_gap(store):
    number = 1
    with contextlib.suppress(StoreFull):
        while number < 5000:
            await add(store, number, size=300, lane=0)
            number += 1
    assert 30 < number < 5000
    told = [row for row, _ in (await store.next_batch(5000, 1)).segments][:-1]
    settlement = await store.settle([(row, 0) for row in told], [], [], [])

    assert settlement.released == len(told)
    # What the office has not told of is there; so is the place of what was given up.
    assert await waiting_all(store) == [segment(number - 1, size=300, lane=0)]
    assert await add(store, 2, size=300, lane=0) == DUPLICATE
    assert await add(store, 0, size=300, lane=0) == STORED


async def waiting_all(store):
    return [raw for _, raw in (await store.next_batch(5000, 1)).segments]


def test_full_filesystem_refuses_custody_and_loses_nothing(tmp_path):
    """The same on a real file system of one megabyte that is full (needs root for the mount)."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    try:

        async def body(store):
            number = 0
            while True:
                try:
                    await add(store, number, size=300)
                except StoreFull:
                    break
                number += 1
            held = await waiting_all(store)
            assert held == [segment(n, size=300) for n in range(number)]
            (tmp_path / "ballast").unlink()
            assert await add(store, number, size=300) == STORED

        (tmp_path / "ballast").write_bytes(bytes(200_000))
        with_store(tmp_path, body)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


class FailingDisk:
    """Makes connections whose COMMIT fails while `fails` is set: SQLite's own words for a failed fsync.

    `loses` says whether the failed commit left its frames in the WAL; both happen after a real failure.
    """

    def __init__(self):
        self.fails = False
        self.loses = True
        self.opened = 0
        self.statements = []

    def __call__(self, path):
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql, *parameters):
                disk.statements.append(sql)
                if sql == "COMMIT" and disk.fails:
                    super().execute("ROLLBACK" if disk.loses else "COMMIT")
                    error = sqlite3.OperationalError("disk I/O error")
                    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                    raise error
                return super().execute(sql, *parameters)

        self.opened += 1
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)


@pytest.mark.parametrize("loses", [True, False])
def test_failed_fsync_refuses_custody_until_the_store_was_checked(tmp_path, loses):
    """After a failed fsync nothing is acknowledged before the store was opened again, written anew and checked.

    The failure is injected at the connection's COMMIT; the test below injects it into the system call.
    """
    disk = FailingDisk()
    clock = TestClock()

    async def body(store):
        await add(store, 0)
        disk.fails, disk.loses = True, loses
        with pytest.raises(StoreFailed, match="disk I/O error"):
            await add(store, 1)
        disk.fails = False
        with pytest.raises(StoreFailed):
            await add(store, 2)
        assert store.fault()
        assert store.lane(device_id(), 1, 0).watermark() == 1

        clock.now += 2
        disk.statements.clear()
        kinds = [await add(store, number) for number in (1, 2)]

        assert kinds == [STORED if loses else DUPLICATE, STORED]
        assert store.fault() == ""
        assert disk.opened == 2
        checked = disk.statements.index("PRAGMA quick_check(1)")
        assert disk.statements.index("PRAGMA wal_checkpoint(TRUNCATE)") < checked
        assert checked < disk.statements.index("BEGIN IMMEDIATE")
        assert await waiting(store) == [segment(n) for n in range(3)]

    with_store(tmp_path, body, connect=disk, clock=clock)


def test_second_gateway_on_one_store_is_refused(tmp_path):
    """Two processes never give custody out of one store without knowing of each other."""

    async def body(store):
        with pytest.raises(DiagnosticError, match="another gateway runs"):
            new_store(tmp_path)

    with_store(tmp_path, body)


def test_store_of_a_newer_version_is_refused(tmp_path):
    """Migrations only go forward: a newer schema is not touched."""

    async def body(store):
        store._connection.execute("INSERT INTO migrations VALUES ('0099_later', 0)")

    with_store(tmp_path, body)
    with pytest.raises(DiagnosticError, match="newer gateway"):
        new_store(tmp_path)


def test_store_is_closed_to_others_and_leaves_no_old_bytes(tmp_path):
    """The store belongs to its owner, and SQLite overwrites what is deleted."""

    async def body(store):
        assert store._connection.execute("PRAGMA secure_delete").fetchone() == (1,)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert os.stat(tmp_path / "gateway.db").st_mode & 0o077 == 0

    with_store(tmp_path, body)


def test_released_bytes_are_gone_from_the_files(tmp_path):
    """After a release and an orderly stop, nothing of the segment lies in the store's files, although others looked in."""
    raw = segment(0, size=300)

    async def body(store):
        await store.add_segment(parse_segment(raw))
        files = [file.read_bytes() for file in tmp_path.iterdir()]
        assert any(raw[-32:] in content for content in files)
        await tell(store, 0, [receipt(0, raw)])

    reader = None
    try:
        with_store(tmp_path, body)
        reader = sqlite3.connect(tmp_path / "gateway.db")
        reader.execute("SELECT count(*) FROM segments").fetchone()
        with_store(tmp_path, no_more)
    finally:
        if reader is not None:
            reader.close()

    assert not [file.name for file in tmp_path.iterdir() if raw[-32:] in file.read_bytes()]


async def no_more(store):
    """Open and close only."""


def test_file_that_is_no_database_is_named(tmp_path):
    """A wrong file is said in one sentence, not as an exception of SQLite."""
    (tmp_path / "gateway.db").write_bytes(b"this is not a database" * 100)

    with pytest.raises(DiagnosticError, match="not a database"):
        new_store(tmp_path)
