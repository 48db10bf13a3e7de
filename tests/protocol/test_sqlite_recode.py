"""Encrypting, decrypting and rekeying a store: a cut at any step leaves one that opens and holds every row, and nothing lies about in plain."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from gateway.store_check import check_file
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.sqlite import SqliteStore
from protocol import sqlite_recode
from protocol.diagnostic import NOT_ALLOWED, TRY_AGAIN, DiagnosticError
from protocol.sqlite_change import change
from protocol.sqlite_door import READ, open_database
from protocol.sqlite_key import beside, read_entries
from protocol.sqlite_recode import is_encrypted, recode
from tests.gateway import test_store_repair
from tests.gateway.site import new_store
from tests.support.encrypted import encrypted, forget, is_plain, passphrase_file
from tools.cli import run

ROWS = 40
STEPS = ("told", "made", "named", "done")
CHANGES = ("encrypt", "rekey", "decrypt")


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM segments").fetchone(), flush=True)
sys.stdin.read()
"""


class Cut(Exception):
    """The power went."""


def segments(path):
    """Return every segment of a store, with its place."""
    with contextlib.closing(open_database(path, READ)) as connection:
        return connection.execute("SELECT rowid, * FROM segments ORDER BY rowid").fetchall()


def _whole(path):
    try:
        return segments(path)
    except (sqlite3.Error, DiagnosticError) as error:
        raise AssertionError(f"the store does not open after the cut: {error}") from None


def prepared(folder, name):
    """Leave a store to which a change of this name can be done; return its path and the passphrase that it is to have, or None."""
    new = passphrase_file(folder / "new", "the passphrase that is to come")
    if name == "encrypt":
        return test_store_repair.fill(folder, ROWS), new
    with encrypted(folder):
        path = test_store_repair.fill(folder, ROWS)
    return path, new if name == "rekey" else None


def check_cut(folder, name, at):
    """Cut a change at a step; fail unless the store opens with every row, and the change can be done again."""
    path, source = prepared(folder, name)
    before = segments(path)

    def cut(step):
        if step == at:
            raise Cut

    with pytest.raises(Cut):
        recode(path, source, cut)
    forget()
    assert before == _whole(path), "rows are gone after the cut"
    asyncio.run(new_store(folder).close())
    assert [] == check_file(path)

    recode(path, source)
    forget()
    assert before == segments(path)
    assert is_encrypted(path) == (source is not None)
    assert [] == [one.name for one in folder.iterdir() if "recoding" in one.name], "a copy was left behind"
    if source:
        assert 1 == len(read_entries(path))


@pytest.mark.parametrize("at", STEPS)
@pytest.mark.parametrize("name", CHANGES)
def test_change_that_was_cut_off_leaves_a_store_that_opens(tmp_path, name, at):
    """With the old key or the new one, and with every row; doing it again ends it."""
    check_cut(tmp_path, name, at)


def check_nothing_in_plain(folder):
    """Encrypt a store; fail if a file beside it still holds bytes that the store held."""
    path, source = prepared(folder, "encrypt")
    mark = segments(path)[0][-1]
    raw = next(value for value in segments(path)[0] if isinstance(value, bytes) and len(value) > 100)
    assert mark is not raw or raw
    assert any(raw[:100] in one.read_bytes() for one in folder.iterdir())
    recode(path, source)

    left = [one.name for one in folder.iterdir() if raw[:100] in one.read_bytes() or is_plain(one)]
    assert left == [], f"left in plain: {left}"


def test_nothing_of_an_encrypted_store_lies_in_plain(tmp_path):
    """Neither a copy, nor a log."""
    check_nothing_in_plain(tmp_path)


def test_rekeyed_store_opens_with_the_new_passphrase_alone(tmp_path):
    """The file of the old one may go."""
    path, source = prepared(tmp_path, "rekey")
    before = segments(path)
    recode(path, source)
    (tmp_path / "passphrase").unlink()
    forget()

    assert before == segments(path)


def test_damaged_file_of_an_encrypted_store_keeps_its_key(tmp_path):
    """What a repair put aside under the old key can be read as long as it is there; its entry goes with it."""
    path, source = prepared(tmp_path, "rekey")
    aside = tmp_path / "gateway.db.damaged-1"
    shutil.copy(path, aside)
    recode(path, source)
    forget()

    assert ROWS == len(segments(aside))
    aside.unlink()
    recode(path, source)
    assert 1 == len(read_entries(path))


def test_damaged_file_in_plain_is_told_of(tmp_path):
    """Nothing can encrypt what cannot be read: a person must remove it."""
    path, source = prepared(tmp_path, "encrypt")
    aside = tmp_path / "gateway.db.damaged-1"
    shutil.copy(path, aside)

    assert [[aside]] == [one.left_plain for one in change("encrypt", [path], source)]


def test_store_that_is_open_elsewhere_is_not_changed(tmp_path):
    """A reader holds its log: the change is refused, and can be done when it ended."""
    path, source = prepared(tmp_path, "encrypt")
    # Another process: locks are between processes.
    with subprocess.Popen([sys.executable, "-c", READER, path], stdin=-1, stdout=-1) as reader:
        assert reader.stdout.readline()
        with pytest.raises(DiagnosticError) as error:
            recode(path, source)
        assert (["store-in-use"], TRY_AGAIN) == (
            [one.code for one in error.value.diagnostics],
            error.value.exit_code,
        )
        reader.communicate()
    assert is_plain(path)
    recode(path, source)
    assert is_encrypted(path)


def test_new_file_that_differs_is_not_taken(tmp_path, monkeypatch):
    """It is compared row by row, from the disk, before it takes the name."""
    path, source = prepared(tmp_path, "encrypt")
    true_contents = sqlite_recode.contents

    def contents(connection, name):
        rows, digest = true_contents(connection, name)
        return (rows, digest) if name == "main" else (rows - 1, digest)

    monkeypatch.setattr(sqlite_recode, "contents", contents)
    with pytest.raises(DiagnosticError, match="is as it was"):
        change("encrypt", [path], source)
    assert is_plain(path)
    assert ROWS == len(segments(path))
    assert not list(tmp_path.glob("*.recoding*"))


# ---- the commands


def gateway(folder, store=""):
    """Write a gateway's settings."""
    settings = folder / "gateway.toml"
    settings.write_text(
        f'[gateway]\nsite = "s"\nname = "g"\n[uplink]\nurl = "https://office"\n[store]\n{store}\n'
    )
    return str(settings)


def test_commands_of_the_gateway_encrypt_rekey_and_decrypt(tmp_path, capsys):
    """As the settings say; each tells what it did."""
    path = test_store_repair.fill(tmp_path, ROWS)
    before = segments(path)
    passphrase_file(tmp_path / "one"), passphrase_file(tmp_path / "two", "the passphrase that is to come")

    def told(word, settings):
        assert 0 == run(["gateway", "store", word, "--config", gateway(tmp_path, settings), "--json"])
        forget()
        assert before == segments(path)
        return json.loads(capsys.readouterr().out)["databases"][0]["rows"]

    assert told("encrypt", 'passphrase_file = "one"') >= ROWS
    assert told("encrypt", 'passphrase_file = "one"') is None
    assert told("rekey", 'passphrase_file = "two"') >= ROWS
    (tmp_path / "one").unlink()
    assert not is_plain(path)
    assert told("decrypt", "") >= ROWS
    assert is_plain(path)
    assert not beside(path).exists()


@pytest.mark.parametrize(
    ("word", "settings", "code"),
    [
        ("encrypt", "", "store-no-passphrase"),
        ("rekey", "", "store-no-passphrase"),
        ("decrypt", 'passphrase_file = "one"', "store-wanted-encrypted"),
        ("encrypt", 'passphrase_file = "nowhere"', "store-key-away"),
    ],
)
def test_command_that_contradicts_the_settings_changes_nothing(tmp_path, capsys, word, settings, code):
    """What they say next start holds."""
    path = test_store_repair.fill(tmp_path, 1)
    passphrase_file(tmp_path / "one")

    assert NOT_ALLOWED == run(["gateway", "store", word, "--config", gateway(tmp_path, settings)])
    assert code in capsys.readouterr().err
    assert is_plain(path)


def test_settings_name_one_place_of_the_passphrase(tmp_path, capsys):
    """Not both."""
    settings = gateway(tmp_path, 'passphrase_file = "one"\nkeyring = "two"')

    assert 2 == run(["gateway", "store", "encrypt", "--config", settings])
    assert "both" in capsys.readouterr().err


def test_commands_of_the_office_change_all_its_databases(tmp_path, capsys):
    """Database, keystore and authority; and who gave the command stands in the log of acts."""
    folder = tmp_path / "office"
    assert 0 == run(["office", "init", str(folder), "--port", "0"])
    settings = folder / "office.toml"
    plain = settings.read_text()
    passphrase_file(tmp_path / "one")
    settings.write_text(f'{plain}\n[store]\npassphrase_file = "{tmp_path / "one"}"\n')
    stores = [folder / name for name in ("office.db", "keystore.db", "authority.db")]

    assert 0 == run(["office", "store", "encrypt", "--config", str(settings)])
    assert [False] * 3 == [is_plain(path) for path in stores]
    forget()
    SqliteStore.open(stores[0]).close()
    Keystore.open(stores[1]).close()
    assert 0 == run(["office", "store", "rekey", "--config", str(settings)])
    verify = ["verify", str(stores[0]), "--keystore", str(stores[1]), "--authority", str(stores[2])]
    assert 0 == run(verify)
    capsys.readouterr()
    assert 0 == run(["office", "acts", "--config", str(settings), "--json"])
    acts = json.loads(capsys.readouterr().out)
    assert 2 <= json.dumps(acts).count("stores")
    settings.write_text(plain)
    assert 0 == run(["office", "store", "decrypt", "--config", str(settings)])
    assert [True] * 3 == [is_plain(path) for path in stores]
    assert 0 == run(verify)


def test_verify_opens_an_encrypted_copy_with_its_passphrase(tmp_path, capsys):
    """The copy alone, on another machine; without the passphrase the error says how to name it."""
    (tmp_path / "office").mkdir()
    with encrypted(tmp_path / "office"):
        SqliteStore.create(tmp_path / "office/office.db").close()
        Keystore.create(tmp_path / "office/keystore.db").close()
    for name in ("office.db", "keystore.db"):
        shutil.copy(tmp_path / "office" / name, tmp_path / name)
    forget()
    words = ["verify", str(tmp_path / "office.db"), "--keystore", str(tmp_path / "keystore.db")]

    assert 2 == run(words)
    assert "verify --passphrase-file" in capsys.readouterr().err
    wrong = passphrase_file(tmp_path / "wrong", "some other passphrase of ours")
    assert NOT_ALLOWED == run([*words, "--passphrase-file", wrong.name])
    assert "store-key-wrong" in capsys.readouterr().err
    assert 0 == run([*words, "--passphrase-file", str(tmp_path / "office/passphrase")])
    assert not os.path.exists(beside(tmp_path / "office.db"))
