"""What a repair may touch and what it must carry over: another program's file stays, numbers are used once, no row is overlooked."""

import asyncio
import contextlib
import re
import sqlite3

import pytest

from gateway import store_repair
from gateway.errors import StoreFailed
from gateway.store_check import check_file
from gateway.store_file import SCHEMA_FOLDER, connect
from gateway.store_identity import APPLICATION_ID
from office_ingest.storage import replacement
from office_ingest.storage.sqlite import SqliteStore
from protocol import sqlite_file
from protocol.diagnostic import DiagnosticError
from protocol.segment import parse_segment
from tests.gateway.site import TestClock, device_id, new_store, segment
from tests.stores import rot

PAGE_BYTES = 4096
CONTEXT = b"context1"


def close(store):
    asyncio.run(store.close())


def edit(path, *statements):
    """Change a database with plain SQL, and leave it as one file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def ask(path, sql):
    """Return the rows of a query."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def fill(folder, count):
    """Leave a store with so many segments in folder; return its path."""

    async def take():
        store = new_store(folder)
        for number in range(count):
            await store.add_segment(parse_segment(segment(number, size=200)))
        await store.close()

    asyncio.run(take())
    return folder / "gateway.db"


def break_page(path, number):
    """Make one page of a database unreadable."""
    content = bytearray(path.read_bytes())
    content[(number - 1) * PAGE_BYTES] = 0xFF
    path.write_bytes(content)


# ---- whose file it is


def office_database(path):
    """Make what an office makes when it starts."""
    SqliteStore.create(path).close()


def cut_office_database(path):
    """Leave an office's database whose first start was cut before its tables."""
    edit(path, "PRAGMA application_id = 1330992211")


def half_replaced_office_database(path):
    """Leave an office's database beside the one that is to take its place."""
    office_database(path)
    office_database(sqlite_file.beside(path, ".repaired"))


def web_database(path):
    """Make a database as a web framework does: it lists its steps too, in its own way."""
    edit(
        path,
        "CREATE TABLE migrations (id INTEGER PRIMARY KEY, migration TEXT, batch INTEGER)",
        "INSERT INTO migrations (migration, batch) VALUES ('2014_create_users', 1)",
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, payload TEXT)",
        "CREATE TABLE segments (id INTEGER PRIMARY KEY)",
    )


def text(path):
    """Write no database at all."""
    path.write_bytes(b"my thesis, in the only copy\n" * 400)


STRANGERS = [office_database, cut_office_database, half_replaced_office_database, web_database, text]


@pytest.mark.parametrize("make", STRANGERS)
def test_file_of_another_program_is_refused_and_stays_as_it_is(tmp_path, make):
    """A database that settings name by mistake is said by name, and not a byte of it changes; nothing takes its place."""
    check_stranger(tmp_path, make)


def check_stranger(folder, make):
    """Name another program's file as the store; fail if that is not refused, or if it changes anything."""
    make(folder / "gateway.db")
    before = {file: file.read_bytes() for file in folder.iterdir()}
    said = None
    try:
        close(new_store(folder))
    except DiagnosticError as error:
        said = error.diagnostics[0]
    touched = [file.name for file, was in before.items() if not file.exists() or file.read_bytes() != was]

    assert not touched, f"touched: {touched}"
    assert not list(folder.glob("*damaged*"))
    assert said is not None
    assert "[gateway] database" in said.fix


def test_store_says_that_it_is_one(tmp_path):
    """A store has its own application_id, and one that lost it is repaired."""
    path = fill(tmp_path, 2)
    assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]

    edit(path, "PRAGMA application_id = 7")
    assert [damage.table for damage in check_file(path)] == ["database"]
    store = new_store(tmp_path)
    close(store)
    assert store.repaired == 1
    assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert ask(path, "SELECT count(*) FROM segments") == [(2,)]


def age(path, step):
    """Make a store what a gateway before a step left."""
    edit(
        path,
        "DROP TABLE revoked",
        "ALTER TABLE sessions DROP COLUMN turn",
        "DROP TABLE views",
        "DROP TABLE readings",
        "DROP TABLE links",
        "DROP TABLE link_set",
        "DROP TABLE usage",
        "DROP TABLE witness",
        "PRAGMA application_id = 0",
        f"DELETE FROM migrations WHERE name >= '{step}'",
    )
    if step <= "0003":
        edit(path, "ALTER TABLE sessions DROP COLUMN sum")


def test_older_store_goes_on(tmp_path):
    """What a gateway left before stores said whose they are is taken as it is."""
    path = fill(tmp_path, 2)
    age(path, "0003")
    store = new_store(tmp_path)
    close(store)

    assert store.repaired == 0
    assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def check_mistaken_step(folder):
    """Add a schema step with a mistake; fail if a whole store is repaired for it."""
    (folder / "store").mkdir()
    path = fill(folder / "store", 2)
    steps = folder / "schema"
    steps.mkdir()
    for step in sorted(SCHEMA_FOLDER.glob("*.sql")):
        (steps / step.name).write_text(step.read_text())
    (steps / "9999_mistake.sql").write_text("CREATE TABLE segments (id INTEGER PRIMARY KEY);")
    before = ask(path, "SELECT * FROM segments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.store_file.SCHEMA_FOLDER", steps)
        with contextlib.suppress(DiagnosticError):
            close(new_store(folder / "store"))

    assert not list(path.parent.glob("*.damaged*"))
    assert not list(path.parent.glob("*.repair*"))
    assert ask(path, "SELECT * FROM segments") == before


def test_mistake_in_a_schema_step_repairs_nothing(tmp_path):
    """A step of ours that fails on a whole store is a mistake of the program: it ends the start and touches no store."""
    check_mistaken_step(tmp_path)


# ---- sessions


def test_sequence_is_not_given_out_again_after_a_repair(tmp_path):
    """A running gateway whose reserved sequence went back on the disk refuses to reserve more under that context."""
    check_no_sequence_twice(tmp_path)


def check_no_sequence_twice(folder):
    """Put a reserved sequence back under a running store and let it repair; fail if a number is given twice."""
    clock = TestClock()
    store = new_store(folder, clock=clock)
    given = [store.reserve_sequence(device_id(), CONTEXT, 64) for _ in range(3)]
    edit(folder / "gateway.db", f"UPDATE sessions SET reserved = {given[1]}")
    store.doubt("damaged")
    clock.now += 2
    with contextlib.suppress(StoreFailed):
        given.append(store.reserve_sequence(device_id(), CONTEXT, 64))
    with contextlib.suppress(StoreFailed):
        store.confirm_session(device_id(), CONTEXT)
    states = [row.state for row in store.session_rows()]
    close(store)

    assert store.repaired == 1
    assert len(given) == len(set(given)) == 3
    assert states == ["retired"]


@pytest.mark.parametrize("damage", ["", "sums", "reserved"])
def test_sessions_of_an_older_store_that_is_repaired_go_on(tmp_path, damage):
    """Rows of before the sums are taken as the schema step takes them, if they are rows at all; a sum that is wrong retires."""
    clock = TestClock()
    store = new_store(tmp_path, clock=clock)
    start = store.reserve_sequence(device_id(), CONTEXT, 64)
    store.confirm_session(device_id(), CONTEXT)
    close(store)
    path = tmp_path / "gateway.db"
    if damage == "sums":
        edit(path, "UPDATE sessions SET sum = x'00'")
    else:
        age(path, "0003")
    if damage == "reserved":
        edit(path, "UPDATE sessions SET reserved = 'much'")
    store_repair.repair_store(path, connect, 1)
    store = new_store(tmp_path, clock=clock)
    states = [row.state for row in store.session_rows()]

    assert states == ["retired" if damage else "current"]
    if not damage:
        assert store.reserve_sequence(device_id(), CONTEXT, 64) == start + 64
    close(store)


def test_query_that_names_what_is_not_there_is_not_passed_over(tmp_path):
    """A repair passes over what cannot be read, and never over a whole table because a column of it is named wrongly."""
    path = fill(tmp_path, 2)
    with contextlib.closing(sqlite3.connect(path)) as source, pytest.raises(sqlite3.OperationalError):
        list(sqlite_file.readable(source, "SELECT nothing FROM segments"))


# ---- segments between unreadable pages


@pytest.mark.parametrize("index", ["whole", "unreadable"])
def test_rows_between_unreadable_pages_are_carried_over(tmp_path, index):
    """However many segments the store ever held: what lies between pages that cannot be read is held on."""
    check_rows_between(tmp_path, index)


def check_rows_between(folder, index="unreadable"):
    """Break pages of a store whose ids are above all that are tried; fail if a row that can be read is gone."""
    path = fill(folder, 120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_repair, "PROBES_MAX", 1000)
        good = break_segments(path, index)
        close(new_store(folder))

    held = {raw for (raw,) in ask(path, "SELECT raw FROM segments")}
    assert held == good, f"{len(good - held)} rows that can be read are gone"


@pytest.mark.parametrize("index", ["whole", "unreadable"])
def test_rows_of_the_office_between_unreadable_pages_are_carried_over(tmp_path, index, monkeypatch):
    """The office's replacement, which shares the search, holds on to the same rows."""
    path, _ = rot.make_office_files(tmp_path, 40)
    monkeypatch.setattr(replacement, "PROBES_MAX", 1000)
    good = break_segments(path, index)
    replacement.replace_damaged(path, 1)

    assert {raw for (raw,) in ask(path, "SELECT raw FROM segments")} >= good


def break_segments(path, index):
    """Shift the ids of segments and break three of their pages, and the index; return the bytes of what can still be read."""
    edit(path, "UPDATE segments SET rowid = rowid + 2500")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        pages = leaf_pages(connection, path)
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_segments_1'"
        ).fetchone()
    rows = ask(path, "SELECT rowid, raw FROM segments")
    assert len(pages) > 6
    for page in (pages[0], pages[2], pages[-3], *([root] if index == "unreadable" else [])):
        break_page(path, page)
    good = {raw for row_id, raw in rows if reads(path, row_id)}
    assert 0 < len(good) < len(rows)
    return good


def reads(path, row_id):
    """Return whether plain SQLite reads a row by its id."""
    with contextlib.suppress(sqlite3.DatabaseError):
        return bool(ask(path, f"SELECT raw FROM segments WHERE rowid = {row_id}"))
    return False


def leaf_pages(connection, path):
    """Return the pages of the segments' rows in order."""
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'segments'").fetchone()
    content = path.read_bytes()
    at = (root - 1) * PAGE_BYTES
    assert content[at] == 5
    count = int.from_bytes(content[at + 3 : at + 5])
    cells = [int.from_bytes(content[at + 12 + 2 * n : at + 14 + 2 * n]) for n in range(count)]
    return [int.from_bytes(content[at + cell : at + cell + 4]) for cell in cells]


def test_column_whose_name_is_damaged_is_read_by_its_place(tmp_path):
    """The text of a schema can be damaged too: rows are carried over by the order of their columns."""
    path = fill(tmp_path, 4)
    content = path.read_bytes()
    names = re.search(rb"\n  raw BLOB,", content)
    path.write_bytes(content[: names.start()] + b"\n  raq BLOB," + content[names.end() :])
    store = new_store(tmp_path)
    close(store)

    assert store.repaired == 1
    assert ask(path, "SELECT raw FROM segments ORDER BY number") == [
        (segment(n, size=200),) for n in range(4)
    ]


@pytest.mark.parametrize("name", [b"migrations", b"sessions", b"segments"])
def test_table_whose_name_is_damaged_is_begun_anew(tmp_path, name):
    """A table that is not to be found by its name any more is begun anew; all others are carried over."""
    path = fill(tmp_path, 4)
    content = path.read_bytes()
    path.write_bytes(content.replace(name, name[:-1] + b"q"))
    store = new_store(tmp_path)
    close(store)

    assert store.repaired == 1
    assert ask(path, "SELECT count(*) FROM segments") == [(0 if name == b"segments" else 4,)]


def test_store_whose_schema_cannot_be_read_begins_empty(tmp_path):
    """Where not even the list of tables can be read, the damaged file is kept and all is asked of the devices again."""
    path = fill(tmp_path, 4)
    content = bytearray(path.read_bytes())
    content[47] ^= 2  # The format of the schema: SQLite knows no such one.
    path.write_bytes(content)
    store = new_store(tmp_path)
    close(store)

    assert store.repaired == 1
    assert ask(path, "SELECT count(*) FROM segments") == [(0,)]
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1


DAMAGED_TEXTS = (
    (b"  kept_from INTEGER", b"  kept_frqm INTEGER"),
    (b"  seen_ms INTEGER", b"  seen_mq INTEGER"),
    (b"  heard_ms INTEGER", b"  heard_mq INTEGER"),
    (b"CREATE TABLE segments (\n  id INTEGER PRIMARY", b"CREATE TABLE segments (\n  id INTEGEB PRIMARY"),
    (b"CREATE TABLE heartbeat_queue (\n  id INTEGER", b"CREATE TABLE heartbeat_queue (\n  id INTEGDR"),
    (b"CHECK (id = 1)", b"CHECK (it = 1)"),
)


@pytest.mark.parametrize(("written", "read"), DAMAGED_TEXTS)
def test_damaged_text_of_the_schema_costs_no_segment(tmp_path, written, read):
    """Wherever the text of the schema was hit, the store is repaired, and every segment that can be read is held on."""
    check_damaged_schema(tmp_path, written, read)


def check_damaged_schema(tmp_path, written, read):
    path = fill(tmp_path, 4)
    content = path.read_bytes()
    assert content.count(written) == 1
    path.write_bytes(content.replace(written, read))
    try:
        store = new_store(tmp_path)
    except DiagnosticError as error:
        raise AssertionError("no start repairs it") from error
    close(store)

    assert store.repaired == 1
    assert ask(path, "SELECT raw FROM segments ORDER BY number") == [
        (segment(n, size=200),) for n in range(4)
    ]
