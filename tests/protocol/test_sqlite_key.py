"""The key of an encrypted store is judged before the store is touched: a wrong one is said to be wrong, and is never taken for damage."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys

import keyring
import pytest
from keyring.backend import KeyringBackend

from gateway.store_check import check_file
from office_ingest.storage.sqlite import SqliteStore
from protocol import sqlite_cipher, sqlite_key
from protocol.diagnostic import NOT_ALLOWED, DiagnosticError
from protocol.passphrase import BYTES_MIN, KEYRING, SERVICE, Source, read_passphrase
from protocol.sqlite_door import MAKE, READ, open_database
from protocol.sqlite_key import beside, key_of, read_entries
from protocol.sqlite_settle import settle
from tests.gateway.site import new_store
from tests.support.encrypted import PASSPHRASE, forget, passphrase_file

OTHER = "another horse, another staple"


@pytest.fixture
def source(tmp_path):
    """Where the passphrase is."""
    return passphrase_file(tmp_path / "passphrase")


@pytest.fixture
def store(tmp_path, source):
    """The path of a gateway's encrypted store, closed, in a process that knows no key."""
    path = tmp_path / "gateway.db"
    settle(path, source)
    asyncio.run(new_store(tmp_path).close())
    forget()
    return path


def files(folder):
    """Return name -> content of all that lies in a folder, but for locks."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.suffix != ".lock"}


def refused(code, call, *arguments):
    """Return what a call refuses; fail if it is not this code."""
    try:
        call(*arguments)
    except DiagnosticError as error:
        assert [code] == [one.code for one in error.diagnostics], str(error)
        assert error.exit_code == NOT_ALLOWED
        return error.diagnostics[0]
    raise AssertionError(f"nothing was refused where {code} should be")


def opened_and_closed(folder):
    """Do with the gateway's store what a start of the gateway does with it."""
    asyncio.run(new_store(folder).close())


def check_wrong_passphrase(store):
    """Name another passphrase, and fail unless the gateway refuses it by name and leaves every file as it is."""
    folder = store.parent
    passphrase_file(folder / "passphrase", OTHER)
    before = files(folder)

    try:
        said = refused("store-key-wrong", opened_and_closed, folder)
    finally:
        assert before == files(folder), "a wrong passphrase was taken for damage"
    assert str(store) == said.file
    assert OTHER not in said.text()
    assert "store rekey" in said.fix


def test_wrong_passphrase_is_said_and_changes_nothing(store):
    """No repair, no damaged file put aside, no fresh store; the error names the file and says what to do."""
    check_wrong_passphrase(store)


def test_wrong_passphrase_is_said_by_whoever_reads(store):
    """The check of a whole store says the same, and finds no damage."""
    passphrase_file(store.parent / "passphrase", OTHER)

    refused("store-key-wrong", check_file, store)


def test_office_says_a_wrong_passphrase(tmp_path, source):
    """As the gateway does: it is not called another program's file, nor damaged."""
    settle(tmp_path / "office.db", source)
    SqliteStore.create(tmp_path / "office.db").close()
    forget()
    passphrase_file(tmp_path / "passphrase", OTHER)

    refused("store-key-wrong", SqliteStore.open, tmp_path / "office.db")


def test_passphrase_out_of_reach_is_said(store):
    """A file that is gone is no reason to touch the store."""
    before = files(store.parent).keys() - {"passphrase"}
    (store.parent / "passphrase").unlink()

    said = refused("store-key-away", new_store, store.parent)
    assert "--passphrase-file" in said.fix
    assert before == files(store.parent).keys()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_passphrase_that_others_reach_is_refused(source, mode):
    """As every other file that holds a secret."""
    os.chmod(source.name, mode)

    assert "chmod 600" in refused("file-open-to-others", read_passphrase, source).fix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_passphrase_of_somebody_else_is_refused(source, monkeypatch):
    """Its owner could change it."""
    os.chown(source.name, 12345, 12345)

    assert "belongs to user 12345" in refused("store-key-away", read_passphrase, source).message


@pytest.mark.parametrize("text", ["", "x" * (BYTES_MIN - 1), "x" * 2000, "two lines of\nwords that are long"])
def test_what_is_no_passphrase_is_refused_and_not_shown(tmp_path, text):
    """Too short, too long, or several lines."""
    said = refused("store-key-away", read_passphrase, passphrase_file(tmp_path / "p", text))

    assert not text or text not in said.text()


def test_plain_store_is_refused_where_it_is_to_be_encrypted(tmp_path, source):
    """The settings are no wish: what they want encrypted is not used in plain."""
    asyncio.run(new_store(tmp_path).close())

    assert "store encrypt" in refused("store-plain", settle, tmp_path / "gateway.db", source).fix


def test_store_that_lost_what_lies_beside_it_is_opened_by_its_passphrase(store, source):
    """The database alone and its passphrase are enough: a backup needs nothing else."""
    before = read_entries(store)
    beside(store).unlink()

    passphrase_file(store.parent / "passphrase", OTHER)
    refused("store-key-wrong", settle, store, source)
    assert not beside(store).exists()

    passphrase_file(store.parent / "passphrase")
    settle(store, source)
    assert before == read_entries(store)
    assert [] == check_file(store)


def test_passphrase_may_be_put_elsewhere(store, tmp_path):
    """The settings name another file with the same passphrase: that is where it is from now on."""
    moved = passphrase_file(tmp_path / "moved")
    settle(store, moved)
    (tmp_path / "passphrase").unlink()
    forget()

    assert [] == check_file(store)


def test_running_process_needs_the_passphrase_once(store):
    """A medium that was taken away after the start stops nobody."""
    opened = new_store(store.parent)
    (store.parent / "passphrase").unlink()
    assert [] == check_file(store)
    asyncio.run(opened.close())


def test_errors_of_the_cipher_are_errors_of_sqlite(store):
    """Whoever catches sqlite3's catches them, with their codes."""
    with contextlib.closing(open_database(store, MAKE)) as connection:
        for sql, error in (
            ("SELECT * FROM nothing", sqlite3.OperationalError),
            ("COMMIT", sqlite3.OperationalError),
        ):
            with pytest.raises(error) as caught:
                connection.execute(sql)
            assert caught.value.sqlite_errorcode == sqlite3.SQLITE_ERROR
        connection.execute("CREATE TEMP TABLE t (x PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT INTO t VALUES (1)")


def test_cipher_that_is_not_installed_is_said_with_how_to_install_it(tmp_path, source, monkeypatch):
    """Before anything is written."""
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)

    said = refused("store-cipher-missing", settle, tmp_path / "gateway.db", source)
    assert said.fix == "pip install 'outstation[cipher]'"
    assert ["passphrase"] == [one.name for one in tmp_path.iterdir()]


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self, entries):
        self.entries = entries

    def get_password(self, service, username):
        """Return an entry."""
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        """Keep an entry."""
        self.entries[service, username] = password


def test_passphrase_in_the_keyring_opens_the_store(tmp_path, monkeypatch):
    """By the entry that the settings name; one that is not there is said, with the command that makes it."""
    before = keyring.get_keyring()
    keyring.set_keyring(Ring({(SERVICE, "site-1"): PASSPHRASE}))
    try:
        path = tmp_path / "gateway.db"
        settle(path, Source(KEYRING, "site-1"))
        asyncio.run(new_store(tmp_path).close())
        forget()
        assert [] == check_file(path)
        forget()
        keyring.set_keyring(Ring({}))
        said = refused("store-key-away", check_file, path)
        assert "keyring set outstation site-1" in said.fix
    finally:
        keyring.set_keyring(before)


def test_keyring_of_a_machine_without_one_is_said(monkeypatch):
    """A service has no session that could open one."""
    before = keyring.get_keyring()
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())
    try:
        said = refused("store-key-away", read_passphrase, Source(KEYRING, "site-1"))
        assert "passphrase_file" in said.fix
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{"salt": 3}]}']
)
def test_damaged_file_beside_a_store_is_said(store, content):
    """And how it is made anew; the store stays as it is."""
    beside(store).write_text(content)

    assert "made anew" in refused("file-unusable", key_of, store).fix


def test_key_is_in_no_words_of_a_key(store):
    """A log that names a key does not show it."""
    key = key_of(store)

    assert key.key.hex() not in repr(key)
    assert key.key.hex() not in str(key)


def check_spill(store, folder):
    """Sort and index more than a page cache holds, with temporary files sent to folder; fail if anything came to lie there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SQLITE_TMPDIR", str(folder))
        with contextlib.closing(open_database(store, MAKE)) as connection:
            # Temporary tables have a page cache of their own.
            for name in ("main", "temp"):
                connection.execute(f"PRAGMA {name}.cache_size = 10")
            connection.execute("CREATE TEMP TABLE spilt (x)")
            rows = [(f"marked reading {7919 * n % 100_000:06d}",) for n in range(20_000)]
            connection.executemany("INSERT INTO spilt VALUES (?)", rows)
            connection.execute("SELECT count(*) FROM (SELECT x FROM spilt ORDER BY x)").fetchone()
            opened = [
                os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_link(fd)
            ]
    # SQLite asks the environment once in the life of a process: they may lie elsewhere, under the name that it gives them.
    spilt = [one for one in opened if str(folder) in one or "etilqs" in one]
    assert spilt == [], f"temporary files on the disk: {spilt}"


def _is_link(fd):
    return os.path.islink(f"/proc/self/fd/{fd}")


def test_what_a_query_spills_stays_in_memory(store, tmp_path):
    """SQLite's temporary files are not SQLCipher's to encrypt."""
    (tmp_path / "tmp").mkdir()
    check_spill(store, tmp_path / "tmp")


def test_version_of_the_cipher_is_one_that_authenticates_pages(store):
    """A changed page is known for certain, whatever it holds."""
    with contextlib.closing(open_database(store, READ)) as connection:
        (version,) = connection.execute("PRAGMA cipher_version").fetchone()

    assert int(version.split(".")[0]) >= 4
    assert sqlite_cipher.module().sqlite_version_info >= (3, 37)
    assert sqlite_key.SALT_BYTES == 16


TAKER = """
import sqlite3, sys
from pathlib import Path
from protocol.sqlite_door import WRITE, open_database
connection = open_database(Path(sys.argv[1]), WRITE)
connection.execute("PRAGMA busy_timeout = 0")
try:
    connection.execute("BEGIN IMMEDIATE")
    print("taken")
except sqlite3.OperationalError:
    print("refused")
"""


def check_locks(store):
    """Hold a write lock while the same process opens the store again; fail if another process can then write."""
    with contextlib.closing(open_database(store, MAKE)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("BEGIN IMMEDIATE")
        open_database(store, READ).close()
        said = subprocess.run(
            [sys.executable, "-c", TAKER, store], capture_output=True, text=True, check=True
        )
    assert said.stdout.strip() == "refused", "opening a store again lost the locks of this process"


def test_opening_a_store_again_keeps_the_locks_of_the_process(store):
    """Looking into a file and closing it would give up every lock on it: it is done once, before the first connection."""
    check_locks(store)


def test_locks_of_a_store_that_was_just_made_are_kept(tmp_path, source):
    """It too is not looked into again."""
    settle(tmp_path / "made.db", source)
    check_locks(tmp_path / "made.db")
