"""The auditor's walk names whatever was changed, deleted or swapped in what is stored, and nothing else."""

import hashlib
import shutil
import sqlite3

import pytest

from office_ingest.govern.acts import COMMAND_LINE, Acts
from office_ingest.govern.acts import DONE as ACT_DONE
from office_ingest.govern.attestation import register_image
from office_ingest.govern.commands import give_command
from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.rollout import roll_out
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.govern.tokens import Tokens
from office_ingest.govern.views import put_grant
from office_ingest.govern.witness import Witnesses
from office_ingest.overview import open_read_only
from office_ingest.permissions import BUILD_RELEASES
from office_ingest.prove.verify import verify_database
from office_ingest.receive.acceptance import acceptable
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.lanes import Lanes
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.receive.usages import Usages
from office_ingest.storage.attested import Image
from office_ingest.storage.downward import Traits
from office_ingest.storage.rows import COLUMNS, row_digest
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.storage.usage import UsageStore
from protocol.adoption import STAGED
from protocol.attestation import claims_of
from protocol.command import DONE, REPORT
from protocol.envelope import RELEASE
from protocol.event import ADOPTION, ATTESTATION, COMMAND
from protocol.keys import LANE_NAMES
from protocol.manifest import KIND
from protocol.segment import Header, parse_segment
from protocol.usage import DAY_MS, NO_LIFE, UDP
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle
from tests.support.deciding_device import BUNDLE, READINGS, DecidingDevice
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk

SCHEMA_DIGEST = hashlib.sha256(SCHEMA).digest()
LANE = "device = ? AND lane = ? AND epoch = ? AND number = ?"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The files of an office that holds two devices: decisions, a tombstone over a lost gap, an open gap, two epochs."""
    folder = tmp_path_factory.mktemp("kept")
    desk = OfficeDesk(folder)
    desk.registry.add_bundle(BUNDLE)
    device, other = DecidingDevice(1), DeviceModel(2)
    for made in (device, other):
        desk.add(made)
    device.start()
    device.live(READINGS[:30])
    desk.take(*(segment.raw for segment in device.all_segments()), heartbeats=[device.heartbeat()])
    for _ in range(6):
        other.seal(1)
    other.tombstone(1, 1, 2)
    first = [segment.raw for segment in other.all_segments() if segment.header.number not in (1, 2, 4)]
    old = other.heartbeat()
    other.new_epoch()
    other.seal(0)
    other.seal(1)
    desk.take(
        *first,
        *(lane.segments[0].raw for lane in other.lanes),
        heartbeats=[old, other.heartbeat(), other.heartbeat()],
    )
    desk.close()
    return folder


@pytest.fixture
def full(copy):
    """A copy in which every table has a row that came the way such rows come: a fork, a refused segment, a release tried, a command answered."""
    store, keystore = SqliteStore.open(copy.path), Keystore.open(copy.keystore)
    registry, cloned = Registry(store), DeviceModel(3)
    registry.add_schema(SCHEMA)
    registry.add_device(cloned.device, name="cloned", site="site-1", now_ms=1)
    cloned.enrol(keystore)
    cloned.bundle = (1, registry.add_bundle(bundle()))
    registry.put_traits(cloned.device, Traits("pump", "first", "unix", SCHEMA_DIGEST[:8], cloned.bundle[1]))
    ingest = Ingest(store, keystore, wall_ms=lambda: NOW_MS, takings=Takings(store, patience=60))
    number = _release(store, copy.path.parent / "key")
    given = give_command(
        store, keystore, cloned.device, [REPORT], author="somebody", now_ms=NOW_MS, lasts_ms=1000
    )
    other = cloned.seal_only(0, [cloned.sample([1, 1])])
    raw = cloned.seal(0)
    said = [
        cloned.seal(0, [cloned.row(ADOPTION, STAGED, number, bytes(32), 100)]),
        cloned.seal(0, [cloned.row(COMMAND, given.number, [REPORT], DONE, {0: 1})]),
        cloned.seal(
            0,
            [cloned.row(ATTESTATION, claims_of("unix", 0, 1, bytes(32), None, cloned.bundle[1], 1))],
        ),
    ]
    register_image(store, Image(bytes(32), "unix", True, "somebody", NOW_MS))
    ingest.take("gw-1", [raw, other, raw[:-1], *said], [cloned.heartbeat()])
    _accept_a_gap(store, ingest, cloned)
    for life in (NO_LIFE, b"life one"):
        moved = [(cloned.device, NOW_MS // DAY_MS, UDP, 1, 2, 3, 4)]
        Usages(store, keep_days=9, wall_ms=lambda: NOW_MS).take("gw-1", moved, life)
    with store.transaction():
        UsageStore(store).put_budget(cloned.device, 9, NOW_MS)
    with store.transaction():
        store.revoke_device(cloned.device, "somebody", "stolen", NOW_MS)
    _say_who(store)
    put_grant(store, "gw-1", 2, 1, "somebody", NOW_MS)
    store.close()
    keystore.close()
    return copy


def _say_who(store):
    """Make a token and write down that somebody did; who changes the file drops first what keeps acts as they are."""
    tokens = Tokens(store)
    _, made = tokens.create(label="a", role="viewer", sites=["site-1"], made_by="b", now_ms=NOW_MS, days=1)
    tokens.note_use(made.id, NOW_MS)
    tokens.revoke(made.id, NOW_MS)
    Acts(store).add(made.person(), COMMAND_LINE, BUILD_RELEASES, ACT_DONE, NOW_MS, "number=1")
    store.connection.executescript("DROP TRIGGER acts_stay; DROP TRIGGER acts_remain;")


def _accept_a_gap(store, ingest, device):
    """Let a device prune what never came, and a person accept it."""
    device.seal(1)
    raw = device.seal(1)
    device.lanes[1].kept_from = 1
    ingest.take("gw-1", [raw], [device.heartbeat()])
    ingest.accept(acceptable(Lanes(store), device.device), "somebody")


def _release(store, key):
    """Build, sign and roll out a release; return its number."""
    shelf = Shelf(store)
    public, _, envelope = make_key(key, now_ms=NOW_MS, **SMALL)
    shelf.add_root(public, envelope, NOW_MS)
    number = build_release(
        shelf, Request((KIND, "pump"), ["unix"], bundle(), bundle(), "somebody"), NOW_MS
    ).number
    with OpenSigner(key) as signer:
        sign_release(shelf, number, signer, NOW_MS)
        forgotten = signer.envelope(RELEASE, bytes(32), published=-1)
    Registry(store).note_ended([(bytes(32), "gw-1", NOW_MS)])
    # As an office that was put back hears of it.
    Witnesses(store).take("gw-1", [], [forgotten], NOW_MS)
    roll_out(store, number, "somebody", NOW_MS)
    return number


class Copy:
    """A copy of those files that a test may damage."""

    def __init__(self, kept, folder):
        self.path = folder / "office.db"
        source = sqlite3.connect(kept / "office.db")
        target = sqlite3.connect(self.path)
        source.backup(target)
        source.close()
        target.close()
        shutil.copy(kept / "keystore.db", folder / "keystore.db")
        self.keystore = folder / "keystore.db"

    def change(self, sql, *values):
        """Change the database behind the office's back."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute(sql, values)
        connection.close()

    def rows(self, sql, *values):
        """Read from it."""
        connection = sqlite3.connect(self.path)
        rows = connection.execute(sql, values).fetchall()
        connection.close()
        return rows

    def places(self):
        """Return the place of every segment held."""
        return self.rows("SELECT device, lane, epoch, number FROM segments ORDER BY 1, 2, 3, 4")

    def verify(self, *, keys=False):
        """Walk it and return the findings as (table, where, what)."""
        connection = open_read_only(self.path)
        keystore = Keystore.open(self.keystore, read_only=True) if keys else None
        try:
            return verify_database(connection, keystore).findings
        finally:
            connection.close()
            if keystore:
                keystore.close()


@pytest.fixture
def copy(kept, tmp_path):
    """A fresh copy."""
    return Copy(kept, tmp_path)


def _where(place):
    device, lane, epoch, number = place
    return f"device {device.hex()} {LANE_NAMES[lane]} epoch {epoch} number {number}"


def _flipped(value):
    if isinstance(value, bytes):
        return bytes([*value[:-1], value[-1] ^ 1]) if value else bytes(1)
    if isinstance(value, str):
        return chr(ord(value[0]) ^ 1) + value[1:]
    return value ^ 1 if value is not None else b"\x01"


@pytest.mark.parametrize("keys", [False, True])
def test_untouched_database_is_clean(copy, keys):
    """What the office wrote verifies at both levels; an open gap that is recorded is no finding."""
    assert [] == copy.verify(keys=keys)


@pytest.mark.parametrize("column", [*COLUMNS["segments"], "row_digest"])
def test_a_changed_column_of_a_segment_is_named(copy, column):
    """One flipped bit in any column of a segment's row is found at that very segment."""
    place = copy.places()[12]
    (value,) = copy.rows(f"SELECT {column} FROM segments WHERE {LANE}", *place)[0]
    changed = place
    if column in ("device", "lane", "epoch", "number"):
        at = ("device", "lane", "epoch", "number").index(column)
        new = 999 if column == "number" else _flipped(value)
        changed = (*place[:at], new, *place[at + 1 :])
    else:
        new = _flipped(value)
    copy.change(f"UPDATE segments SET {column} = ? WHERE {LANE}", new, *place)
    found = copy.verify()

    assert _where(changed) in [finding.where for finding in found if finding.table == "segments"]
    if column in (
        "lane",
        "epoch",
        "number",
        "device",
        "count",
        "period",
        "class",
        "generation",
        "first_sequence",
    ):
        assert any(f"column {column} " in finding.what for finding in found)


@pytest.mark.parametrize("keys", [False, True])
def test_any_flipped_bit_of_sealed_bytes_is_named(copy, keys):
    """A flipped bit anywhere in a segment's bytes is found at that segment, and no other is blamed."""
    place = copy.places()[9]
    (raw,) = copy.rows(f"SELECT raw FROM segments WHERE {LANE}", *place)[0]
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 1 << at % 8
        copy.change(f"UPDATE segments SET raw = ? WHERE {LANE}", bytes(changed), *place)
        blamed = {finding.where for finding in copy.verify(keys=keys) if finding.table == "segments"}

        assert {_where(place)} == blamed, at


def test_each_deleted_segment_is_named(copy):
    """Whichever segment is deleted, the last of a lane included, is found by its number."""
    for place in copy.places():
        row = copy.rows(f"SELECT * FROM segments WHERE {LANE}", *place)[0]
        copy.change(f"DELETE FROM segments WHERE {LANE}", *place)
        named = [
            finding
            for finding in copy.verify()
            if _where(place) == finding.where and "missing" in finding.what
        ]
        copy.change(f"INSERT INTO segments VALUES ({', '.join('?' * len(row))})", *row)

        assert 1 == len(named), _where(place)
    assert [] == copy.verify()


@pytest.mark.parametrize("keys", [False, True])
def test_a_cut_tail_is_found_against_the_newest_head(copy, keys):
    """Rows cut off the end of a lane are named by the newest sealed head, with its receipt gone as well."""
    device, lane, epoch, last = max(place for place in copy.places() if place[1] == 0)
    copy.change("DELETE FROM receipts")
    copy.change(
        "DELETE FROM segments WHERE device = ? AND lane = 0 AND epoch = ? AND number > ?",
        device,
        epoch,
        last - 1,
    )
    found = copy.verify(keys=keys)

    assert _where((device, lane, epoch, last)) in [
        finding.where for finding in found if "missing" in finding.what
    ]


@pytest.mark.parametrize("columns", [("raw",), ("raw", "digest"), ("raw", "digest", "previous")])
def test_two_swapped_segments_are_both_named(copy, columns):
    """Bytes that change places are found at both, however many columns moved along."""
    one, two = copy.places()[3], copy.places()[6]
    names = ", ".join(columns)
    values = [copy.rows(f"SELECT {names} FROM segments WHERE {LANE}", *place)[0] for place in (one, two)]
    marks = ", ".join(f"{column} = ?" for column in columns)
    for place, row in ((one, values[1]), (two, values[0])):
        copy.change(f"UPDATE segments SET {marks} WHERE {LANE}", *row, *place)
    found = {finding.where for finding in copy.verify()}

    assert {_where(one), _where(two)} <= found


@pytest.mark.parametrize("table", [name for name in COLUMNS if name != "segments"])
def test_a_changed_column_of_any_table_is_found(full, table):
    """Every column of every table is covered."""
    copy, told = full, full.verify()
    rows = copy.rows(f"SELECT rowid, {', '.join(COLUMNS[table])} FROM {table} LIMIT 1")
    for column, value in zip(COLUMNS[table], rows[0][1:], strict=True):
        new = 7 if column == "lane" else _flipped(value)
        copy.change(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", new, rows[0][0])
        found = copy.verify()
        copy.change(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", value, rows[0][0])

        assert any(finding.table == table for finding in found if finding not in told), column
    assert told == copy.verify()


@pytest.mark.parametrize("table", [*COLUMNS, "bundles", "schemas"])
def test_each_deleted_row_of_any_table_is_found(full, table):
    """No table can lose a row unnoticed, and the finding names the table; put back, all is well again."""
    copy, told = full, full.verify()
    rows = copy.rows(f"SELECT rowid, * FROM {table}")
    assert rows
    for row in rows[:12]:
        copy.change(f"DELETE FROM {table} WHERE rowid = ?", row[0])
        found = copy.verify()
        copy.change(f"INSERT INTO {table} VALUES ({', '.join('?' * (len(row) - 1))})", *row[1:])

        assert table in [finding.table for finding in found if finding not in told], row
    assert told == copy.verify()


def test_an_added_or_exchanged_row_is_found(full):
    """A row that nobody wrote is found though its own digest fits, beside the others or in the place of one."""
    made = (hashlib.sha256(b"raw").digest(), None, 4, "forged", b"raw", "gw-1", 1, 1)
    (first, *_) = full.rows("SELECT digest FROM quarantine")[0]
    full.change("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *made, row_digest(made))
    added = full.verify()
    full.change("DELETE FROM quarantine WHERE digest = ?", first)
    exchanged = full.verify()

    assert any(finding.table == "quarantine" and "added" in finding.what for finding in added)
    assert any(finding.table == "quarantine" and "exchanged" in finding.what for finding in exchanged)


def test_the_deleted_newest_heartbeat_is_found(copy):
    """The recorded heads name the heartbeat that said them."""
    copy.change("DELETE FROM heartbeats WHERE counter = (SELECT max(counter) FROM heartbeats)")

    assert "heartbeats" in [finding.table for finding in copy.verify()]


def test_a_damaged_bundle_is_found(copy):
    """Bundles are kept by their digest."""
    copy.change("UPDATE bundles SET body = zeroblob(8)")

    assert ["bundles"] == [finding.table for finding in copy.verify()]


def test_what_fits_without_keys_and_was_forged_is_found_with_them(copy, kept):
    """Who rewrites a row so that all columns fit cannot make its seal: the keystore shows it."""
    place = next(place for place in copy.places() if place[1] == 1 and place[2] == 1)
    (raw,) = copy.rows(f"SELECT raw FROM segments WHERE {LANE}", *place)[0]
    forger = DeviceModel(99)
    forger.device = place[0]
    h = parse_segment(raw).header
    forger.lanes[1].place = place[:3]
    forger.lanes[1].previous = h.previous
    forged = forger.seal_only(1, [forger.sample([6, 6])], generation=h.generation, period=h.period)
    desk_row = _row_of(forged, copy, place)
    copy.change(f"DELETE FROM segments WHERE {LANE}", *place)
    copy.change(f"INSERT INTO segments VALUES ({', '.join('?' * len(desk_row))})", *desk_row)
    copy.change("DELETE FROM receipts WHERE epoch = 1 AND lane = 1")
    copy.change("DELETE FROM heads WHERE epoch = 1 AND lane = 1")

    assert _where(place) not in [finding.where for finding in copy.verify() if finding.table == "segments"]
    assert any(
        (finding.where, "seal" in finding.what) == (_where(place), True) for finding in copy.verify(keys=True)
    )


def _row_of(raw, copy, place):
    segment = parse_segment(raw)
    h: Header = segment.header
    old = copy.rows(f"SELECT gateway, received_ms, committed_ms FROM segments WHERE {LANE}", *place)[0]
    values = (
        *(h.device, h.lane, h.epoch, h.number, h.first_sequence, h.count, segment.digest, h.previous),
        *(h.generation, h.view_class, h.period, raw, *old),
    )
    return (*values, row_digest(values))


def test_a_fork_is_told_and_its_missing_evidence_too(desk):
    """A fork is a finding of the walk; deleting its evidence is another."""
    device = DeviceModel()
    desk.add(device)
    other = device.seal_only(0, [device.sample([1, 1])])
    desk.take(device.seal(0), other)
    told = verify_database(desk.store.connection, desk.keystore)
    desk.store.connection.execute("DELETE FROM forks")
    deleted = verify_database(desk.store.connection, desk.keystore)

    assert ["forks"] == [finding.table for finding in told.findings]
    assert any("evidence is missing" in finding.what for finding in deleted.findings)


def test_a_device_without_keys_is_named(copy):
    """A keystore that lacks a device is said, and the others are still checked."""
    connection = sqlite3.connect(copy.keystore, isolation_level=None)
    connection.execute("DELETE FROM devices WHERE id = (SELECT min(id) FROM devices)")
    connection.close()

    assert {"keystore"} <= {finding.table for finding in copy.verify(keys=True)}


def test_nothing_is_written(copy):
    """Verifying leaves the files as they are, byte for byte."""
    before = copy.path.read_bytes(), copy.keystore.read_bytes()
    copy.verify(keys=True)

    assert before == (copy.path.read_bytes(), copy.keystore.read_bytes())
