"""Faults planted in encrypted stores, by name: plant(put); put is pytest's monkeypatch.setattr.

Each is a mistake somebody could make in good faith. tests/canary/test_encrypted.py shows that the named test catches it.
"""

import contextlib
import json
import logging
import shutil

from protocol import sqlite_backup, sqlite_cipher, sqlite_key, sqlite_recode, sqlite_settle
from protocol.diagnostic import Diagnostic
from protocol.passphrase import read_passphrase
from protocol.sqlite_key import Key
from tests.planted.register import register

FAULTS, fault = register()


@fault
def believe_any_passphrase(put):
    """The key is tried on the file, where a wrong one looks like damage; and damage is repaired."""

    def unlock(database, entry, source=None):
        return sqlite_key.derive(read_passphrase(source or entry.source), entry.salt)[0]

    put(sqlite_key, "unlock", unlock)
    put(sqlite_settle, "unlock", unlock)


@fault
def use_a_plain_store(put):
    """The settings want it encrypted, it is not, and nobody minds."""
    put(sqlite_settle, "is_alike", lambda ours, begins: False)
    put(sqlite_settle, "_found", lambda database, begins, source: sqlite_key.new_entry(source)[0])


@fault
def leave_the_plain_file(put):
    """The plain file is put aside before it is encrypted, to be on the safe side, and stays there."""
    true_copy = sqlite_recode._copy

    def copy(connection, made, key):
        shutil.copy(made.with_suffix(""), made.with_suffix(".before"))
        return true_copy(connection, made, key)

    put(sqlite_recode, "_copy", copy)


@fault
def copy_without_the_key(put):
    """The new file has the name, and the same bytes."""
    true_copy = sqlite_recode._copy
    put(sqlite_recode, "_copy", lambda connection, made, key: true_copy(connection, made, None))


@fault
def spill_to_the_disk(put):
    """What a query sorts may be large, so it goes to temporary files, which SQLCipher does not encrypt."""
    put(
        sqlite_cipher,
        "_AFTER",
        tuple(sql.replace("temp_store = MEMORY", "temp_store = FILE") for sql in sqlite_cipher._AFTER),
    )


@fault
def quote_the_passphrase(put):
    """The error says which passphrase it was, so that a person sees the mistake."""
    true_wrong = sqlite_key.wrong_passphrase

    def wrong_passphrase(database, source):
        said = true_wrong(database, source)
        text = f"{said.message}: {read_passphrase(source).decode()}"
        return Diagnostic(said.code, text, said.file, fix=said.fix)

    put(sqlite_key, "wrong_passphrase", wrong_passphrase)


@fault
def log_statements(put):
    """Each statement of an opening is logged, the one with the key too."""
    true_pragma = Key.pragma

    def pragma(self):
        logging.getLogger("protocol.sqlite_cipher").debug("executes %s", true_pragma(self))
        return true_pragma(self)

    put(Key, "pragma", pragma)


@fault
def show_the_key_in_its_words(put):
    """A key is written as every tuple is."""
    put(Key, "__repr__", tuple.__repr__)


@fault
def keep_the_key_beside(put):
    """What was derived is kept beside the database, to derive it once only."""
    true_text = sqlite_key._text

    def text(entries):
        document = json.loads(true_text(entries))
        document["derived"] = [sqlite_key._shown[one.salt].key.hex() for one in entries]
        return json.dumps(document)

    put(sqlite_key, "_text", text)


def _first_note(put, change):
    """Let the first note of a change be another one: change(database, entries) gives it, or None for no note."""
    true_write, told = sqlite_recode.write_entries, set()

    def write_entries(database, entries):
        if database not in told:
            told.add(database)
            entries = change(entries)
        if entries is not None:
            true_write(database, entries)

    put(sqlite_recode, "write_entries", write_entries)


@fault
def tell_of_the_key_when_all_is_done(put):
    """A cut after the new file took the name leaves an encrypted one of which nothing lies beside it."""
    _first_note(put, lambda entries: None)


@fault
def forget_the_old_key_first(put):
    """A cut before the new file took the name leaves one with the old key, and a note of the new one."""
    _first_note(put, lambda entries: entries[-1:])


@fault
def write_over_the_old_file(put):
    """The old file goes first, for the room; a cut then leaves none."""
    true_copy = sqlite_recode._copy

    def copy(connection, made, key):
        rows = true_copy(connection, made, key)
        made.with_suffix("").unlink()
        made.with_suffix("").touch(0o600)
        return rows

    put(sqlite_recode, "_copy", copy)


@fault
def back_up_in_plain(put):
    """A copy is made as SQLCipher's own manual exports one: without a key."""

    def copy(database, made, key):
        with contextlib.closing(sqlite_backup.open_database(database, sqlite_backup.READ)) as connection:
            connection.execute("ATTACH DATABASE ? AS made KEY ''", (str(made),))
            connection.execute("SELECT sqlcipher_export('made')").fetchone()

    put(sqlite_backup, "_copy", copy)


@fault
def copy_the_file_as_it_lies(put):
    """The file is copied byte by byte: without its log, and while it is written."""
    put(sqlite_backup, "_copy", lambda database, made, key: shutil.copyfile(database, made))


@fault
def name_a_copy_at_once(put):
    """A copy has its name while it is made, and keeps it where it was not made whole."""
    put(sqlite_backup, "_SUFFIX", "")
    put(sqlite_backup, "_remove", lambda path: None)


@fault
def write_over_a_copy(put):
    """The copy of before goes first."""
    put(sqlite_backup, "_refuse_other", lambda target: target.unlink(missing_ok=True))


@fault
def look_into_the_file_each_time(put):
    """Opening a store again reads how it begins, and closing that file gives up the locks of this process."""

    class Forgetful(dict):
        """Knows nothing of what it was told."""

        def get(self, path, otherwise=None):
            """Find nothing."""
            return otherwise

    put(sqlite_key, "_known", Forgetful())
