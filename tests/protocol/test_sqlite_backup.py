"""Backups of stores that are in use: each is one moment of its store, encrypted as it is, whole or not there, and can be put back."""

import contextlib
import json
import sqlite3
import threading

import pytest

from office_ingest.storage.sqlite import SqliteStore
from protocol import sqlite_backup
from protocol.diagnostic import NOT_ALLOWED, OK, USAGE, DiagnosticError
from protocol.passphrase import FILE, Source
from protocol.sqlite_backup import back_up
from protocol.sqlite_door import MAKE, READ, WRITE, open_database
from protocol.sqlite_key import beside
from protocol.sqlite_settle import settle, show_passphrase
from tests.support.encrypted import forget, is_plain, passphrase_file
from tests.support.marks import files_below, of_text, search
from tools.cli import run

MARK = "what only this store says"
# So many that a copy takes a while beside who writes.
PAIRS = 200


def made(folder, *, is_encrypted=True):
    """Make a store in use: two tables that agree at each commit. Return its path and the passphrase's Source."""
    path, source = folder / "store.db", passphrase_file(folder / "passphrase")
    if is_encrypted:
        settle(path, source)
    with contextlib.closing(open_database(path, MAKE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE one (number INTEGER, text TEXT)")
        connection.execute("CREATE TABLE other (number INTEGER, text TEXT)")
        for number in range(PAIRS):
            _pair(connection, number)
    return path, source


def _pair(connection, number):
    connection.execute("BEGIN IMMEDIATE")
    for table in ("one", "other"):
        connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (number, f"{MARK} {number} " * 20))
    connection.execute("COMMIT")


@contextlib.contextmanager
def written_to(path):
    """Let pairs be written while inside; give what tells how many there are."""
    ended, counts = threading.Event(), [PAIRS]

    def write():
        with contextlib.closing(open_database(path, WRITE)) as connection:
            connection.execute("PRAGMA busy_timeout = 30000")
            while not ended.is_set():
                _pair(connection, counts[0])
                counts[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lambda: counts[0]
    finally:
        ended.set()
        thread.join()


def numbers(path):
    """Return the numbers in both tables."""
    with contextlib.closing(open_database(path, READ)) as connection:
        return [
            [row[0] for row in connection.execute(f"SELECT number FROM {table} ORDER BY number")]
            for table in ("one", "other")
        ]


def check_backup_is_one_moment(folder):
    path, source = made(folder)
    away = folder / "away"
    away.mkdir()
    with written_to(path) as count:
        for at in range(3):
            before = count()
            back_up(path, away / f"{at}.db")
            assert not is_plain(away / f"{at}.db"), "the copy is in plain"
            forget()
            show_passphrase(away / f"{at}.db", source)
            one, other = numbers(away / f"{at}.db")
            assert one == other == list(range(len(one))), "the copy is of no one moment"
            assert before <= len(one) <= count()
    found = sorted({str(one) for one in search({"mark": of_text(MARK)}, files_below(away))})
    assert found == [], f"in the open: {found}"
    assert ["0.db", "1.db", "2.db"] == sorted(one.name for one in away.iterdir())
    assert {0o600} == {one.stat().st_mode & 0o777 for one in away.iterdir()}


def test_backup_of_an_encrypted_store_in_use_is_one_moment_of_it(tmp_path):
    """While pairs are written, a copy has both of each; it is encrypted, with the same passphrase, and lies there alone."""
    check_backup_is_one_moment(tmp_path)


def test_what_is_searched_for_is_found_in_a_plain_backup(tmp_path):
    """The search can find it."""
    path, _ = made(tmp_path, is_encrypted=False)
    (tmp_path / "away").mkdir()
    back_up(path, tmp_path / "away" / "copy.db")

    assert is_plain(tmp_path / "away" / "copy.db")
    assert [] != search({"mark": of_text(MARK)}, files_below(tmp_path / "away"))


def check_cut_leaves_no_copy(folder, at):
    """Let a step fail, as a full disk or a cut does; no file has a copy's name, and the next backup is good."""
    path, source = made(folder)
    target = folder / "copy.db"

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_backup, at, fail)
        said = ""
        try:
            back_up(path, target)
        except DiagnosticError as error:
            said = error.diagnostics[0].code
    assert (said, sorted(folder.glob("copy.db*"))) == ("file-unusable", [])
    back_up(path, target)
    show_passphrase(target, source)

    assert numbers(target)[0] == list(range(PAIRS))


@pytest.mark.parametrize("at", ["_copy", "structure"])
def test_backup_that_was_cut_off_leaves_no_copy(tmp_path, at):
    """What has the name of a copy is one."""
    check_cut_leaves_no_copy(tmp_path, at)


def check_damage_is_not_copied(folder):
    path, _ = made(folder)
    # No log any more, so that the page is read from the file.
    with contextlib.closing(open_database(path, WRITE)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(64))
    code = ""
    try:
        back_up(path, folder / "copy.db")
    except DiagnosticError as error:
        code = error.diagnostics[0].code

    assert (code, (folder / "copy.db").exists()) == ("file-unusable", False)


def test_damaged_store_gives_no_backup(tmp_path):
    """A page that does not have its tag is told of, and not copied."""
    check_damage_is_not_copied(tmp_path)


def check_nothing_is_written_over(folder):
    path, _ = made(folder)
    target = folder / "copy.db"
    target.write_bytes(b"the only other copy")
    code = ""
    try:
        back_up(path, target)
    except DiagnosticError as error:
        code = error.diagnostics[0].code

    assert (code, target.read_bytes()) == ("store-copy-exists", b"the only other copy")


def test_backup_writes_over_no_other(tmp_path):
    """The one that is there may be the only good one."""
    check_nothing_is_written_over(tmp_path)


def test_command_backs_an_encrypted_office_up_and_it_can_be_put_back(tmp_path, capsys):
    """With the office's passphrase alone: an auditor finds nothing, and an office goes on from the copies."""
    folder, away = tmp_path / "office", tmp_path / "away"
    assert run(["office", "init", str(folder), "--port", "0"]) == OK
    settings = folder / "office.toml"
    passphrase_file(tmp_path / "one")
    with settings.open("a") as file:
        file.write(f'\n[store]\npassphrase_file = "{tmp_path / "one"}"\n')
    config = ["--config", str(settings)]
    assert run(["office", "store", "encrypt", *config]) == OK
    running = SqliteStore.open(folder / "office.db")
    capsys.readouterr()
    assert run(["office", "store", "backup", str(away), *config, "--json"]) == OK
    said = json.loads(capsys.readouterr().out)
    running.close()
    names = ("office.db", "keystore.db", "authority.db")
    words = ["verify", *(str(away / name) for name in names)]
    words[2:2], words[4:4] = ["--keystore"], ["--authority"]
    forget()

    assert [str(away / name) for name in names] == [one["copy"] for one in said["copies"]]
    assert [False] * 3 == [is_plain(away / name) for name in names]
    assert 0o700 == away.stat().st_mode & 0o777
    assert run([*words, "--passphrase-file", str(tmp_path / "one")]) == OK
    for name in names:
        (folder / name).unlink()
        beside(folder / name).unlink()
        (away / name).rename(folder / name)
    forget()
    # As a service does at its start: the settings name the passphrase, and what lay beside is made anew.
    for name in names:
        settle(folder / name, Source(FILE, str(tmp_path / "one")))
    assert run(["office", "acts", *config, "--json"]) == OK
    assert "back up" in capsys.readouterr().out


def test_plain_databases_are_not_copied_into_one_folder(tmp_path, capsys):
    """Who has database and keystore reads all bodies: the command wants two folders, and makes no copy else."""
    folder = tmp_path / "office"
    assert run(["office", "init", str(folder), "--port", "0"]) == OK
    config = ["--config", str(folder / "office.toml")]
    one, keys = tmp_path / "one", tmp_path / "keys"
    assert run(["office", "store", "backup", str(one), *config]) == USAGE
    assert "store-copies-together" in capsys.readouterr().err
    for same in (one, keys / ".." / "one"):
        assert run(["office", "store", "backup", str(one), "--keys", str(same), *config]) == USAGE
    assert not one.exists()
    assert run(["office", "store", "backup", str(one), "--keys", str(keys), *config]) == OK

    assert [["office.db"], ["authority.db", "keystore.db"]] == [
        sorted(path.name for path in at.iterdir()) for at in (one, keys)
    ]
    assert run(["office", "store", "backup", str(one), "--keys", str(keys), *config]) == USAGE


def test_backup_without_the_passphrase_is_refused(tmp_path):
    """And makes nothing."""
    path, source = made(tmp_path)
    forget()
    (tmp_path / "passphrase").write_text("some other passphrase\n")
    with pytest.raises(DiagnosticError) as refused:
        back_up(path, tmp_path / "copy.db")

    assert ("store-key-wrong", NOT_ALLOWED) == (refused.value.diagnostics[0].code, refused.value.exit_code)
    assert not (tmp_path / "copy.db").exists()
