"""The store's file: durable settings, schema steps, and what it refuses to open."""

import sqlite3

import pytest

from office_ingest.errors import DatabaseDamaged, NotAnOfficeDatabase, OfficeError, StoreUnavailable
from office_ingest.prove.verify import verify_database
from office_ingest.storage import sqlite
from office_ingest.storage.rows import COLUMNS
from office_ingest.storage.sqlite import APPLICATION_ID, SqliteStore
from protocol.uplink import DUPLICATE, STORED
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk


def test_commit_waits_for_the_disk(desk):
    """WAL with synchronous=FULL: a commit that returned survives a power cut."""
    pragma = [
        desk.store.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]

    assert ["wal", 2] == pragma


def test_columns_are_those_of_the_schema(desk):
    """The row digest covers every column of every table but itself."""
    for table, columns in COLUMNS.items():
        found = [row[1] for row in desk.store.connection.execute(f"PRAGMA table_info({table})")]

        assert [*columns, "row_digest"] == found, table


def test_opening_again_changes_nothing(desk):
    """A file that has every schema step is opened as it is."""
    before = desk.store.connection.execute("PRAGMA schema_version").fetchone()
    again = SqliteStore.open(desk.folder / "office.db")
    again.close()

    assert before == desk.store.connection.execute("PRAGMA schema_version").fetchone()


def test_file_without_steps_is_brought_up_to_date(tmp_path):
    """An office database that lacks steps gets them when it is opened."""
    path = tmp_path / "office.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("CREATE TABLE spare (x)")
    connection.close()
    store = SqliteStore.open(path)
    names = {
        row[0] for row in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    store.close()

    assert set(COLUMNS) <= names


def test_newer_file_is_refused(desk):
    """A database of a later version is not guessed at."""
    desk.store.connection.execute("PRAGMA user_version = 999")
    with pytest.raises(NotAnOfficeDatabase, match="schema 999"):
        SqliteStore.open(desk.folder / "office.db")


def test_other_database_is_refused(tmp_path):
    """A database of something else is left alone."""
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(NotAnOfficeDatabase):
        SqliteStore.open(tmp_path / "other.db")


def test_failed_transaction_leaves_nothing(desk):
    """Whatever raises inside, nothing of it stays, and the next one works."""
    for error in (ValueError("ours"), sqlite3.OperationalError("disk I/O error")):
        expected = StoreUnavailable if isinstance(error, sqlite3.OperationalError) else ValueError
        with pytest.raises(expected), desk.store.transaction():
            desk.store.put_device(bytes(8), "x", "s", 1)
            raise error
    with desk.store.transaction():
        desk.store.put_device(bytes(8), "y", "s", 1)

    assert [("y",)] == desk.rows("devices", "name")


class _FailingConnection(sqlite3.Connection):
    """COMMIT says what SQLite says after a failed fsync. keeps: whether the frames had reached the disk all the same."""

    fails = False
    keeps = False

    def execute(self, sql, *parameters):
        if sql == "COMMIT" and self.fails:
            super().execute("COMMIT" if self.keeps else "ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


@pytest.mark.parametrize("keeps", [False, True])
def test_failed_fsync_is_answered_with_nothing_and_loses_nothing(tmp_path, keeps):
    """A batch whose commit failed gets no receipt, kept or not; brought again it is held once, and the database proves itself."""
    desk = OfficeDesk(tmp_path)
    device = DeviceModel()
    desk.add(device)
    desk.take(device.seal(0))
    failing = sqlite3.connect(tmp_path / "office.db", isolation_level=None, factory=_FailingConnection)
    desk.store.connection.close()
    desk.store.connection = failing
    raws = [device.seal(0) for _ in range(3)]
    failing.fails, failing.keeps = True, keeps
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        desk.take(*raws, heartbeats=[device.heartbeat()])
    failing.fails = False
    answer = desk.take(*raws)
    report = verify_database(desk.store.connection, desk.keystore)
    desk.close()

    assert [DUPLICATE if keeps else STORED] * 3 == answer.outcomes
    assert {(0, 0): 3} == desk.receipts(answer)
    assert [] == report.findings
    assert 4 == report.counts["segments_verified"]


def _error(code):
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (_error(sqlite3.SQLITE_CORRUPT), DatabaseDamaged),
        (_error(sqlite3.SQLITE_CORRUPT_INDEX), DatabaseDamaged),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text"), DatabaseDamaged),
        (_error(sqlite3.SQLITE_NOTADB), NotAnOfficeDatabase),
        (_error(sqlite3.SQLITE_ERROR), NotAnOfficeDatabase),
        (_error(sqlite3.SQLITE_FULL), StoreUnavailable),
        (_error(sqlite3.SQLITE_BUSY), StoreUnavailable),
        (_error(sqlite3.SQLITE_IOERR_READ), StoreUnavailable),
        (sqlite3.OperationalError("no write-ahead log can be used on this disk"), StoreUnavailable),
    ],
    ids=str,
)
def test_only_what_the_file_is_counts_against_it(desk, monkeypatch, error, refused):
    """A disk that is full, or another process that writes, says nothing of the database: it is to be tried again."""

    def migrate(connection):
        raise error

    monkeypatch.setattr(sqlite, "migrate", migrate)
    with pytest.raises(OfficeError) as caught:
        SqliteStore.open(desk.folder / "office.db")

    assert refused is type(caught.value)
