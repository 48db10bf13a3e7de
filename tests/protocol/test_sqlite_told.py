"""No passphrase and no key of an encrypted store is told: not in a log, an error, an answer of a command, nor in a file beside the store."""

import asyncio
import contextlib
import io
import logging
import traceback

from gateway.store_check import check_file
from protocol import sqlite_key
from protocol.diagnostic import NOT_ALLOWED, OK, DiagnosticError
from protocol.sqlite_key import beside, key_of
from tests.gateway import test_store_repair
from tests.gateway.site import new_store
from tests.support.encrypted import forget, passphrase_file
from tests.support.marks import files_below, of_bytes, of_text, search
from tools.cli import run

PASSPHRASES = {
    "one": "the first passphrase of the site",
    "two": "the one that came afterwards",
    "other": "and one of some other store",
}
SETTINGS = (
    '[gateway]\nsite = "s"\nname = "g"\n[uplink]\nurl = "https://office"\n[store]\npassphrase_file = "{}"\n'
)
ROWS = 40


class Life:
    """A store that is encrypted, opened, refused, rekeyed, damaged and repaired; and all that was said of it meanwhile."""

    def __init__(self, folder):
        forget()
        self.folder = folder
        self.path = test_store_repair.fill(folder, ROWS)
        self.marks = {}
        for name, text in PASSPHRASES.items():
            passphrase_file(folder / name, text)
            self.marks[f"passphrase {name}"] = of_text(text)
        self.errors = 0

    def command(self, word, name, code=OK):
        """Give a command with the settings naming one passphrase."""
        settings = self.folder / "gateway.toml"
        settings.write_text(SETTINGS.format(name))
        assert code == run(["gateway", "store", word, "--config", str(settings)])
        self.note_keys()

    def note_keys(self):
        """Mark every key that this process has, and show each of them as a log would."""
        for key in sqlite_key._shown.values():
            self.marks[f"key of {key.salt.hex()}"] = [*of_bytes(key.key), repr(key.key)[2:-1].encode()]
            logging.getLogger("tests").warning("opened with %s, %r", key, {"key": key})

    def refused(self, call, *arguments):
        """Let something be refused, with the whole traceback on standard error."""
        try:
            call(*arguments)
        except DiagnosticError:
            self.errors += 1
            traceback.print_exc()

    def live(self):
        """Do all of it."""
        self.command("encrypt", "one")
        forget()
        asyncio.run(new_store(self.folder).close())
        self.command("rekey", "two")
        self._name_another()
        self._lose_what_lies_beside()
        test_store_repair.break_page(self.path, self.path.stat().st_size // test_store_repair.PAGE_BYTES)
        asyncio.run(new_store(self.folder).close())
        assert [] == check_file(self.path)
        self.note_keys()

    def _name_another(self):
        forget()
        passphrase_file(self.folder / "two", PASSPHRASES["other"])
        self.refused(new_store, self.folder)
        forget()
        self.command("encrypt", "other", NOT_ALLOWED)
        passphrase_file(self.folder / "two", PASSPHRASES["two"])

    def _lose_what_lies_beside(self):
        kept = beside(self.path).read_bytes()
        beside(self.path).write_text(kept.decode().replace("salt", "sugar"))
        forget()
        self.refused(key_of, self.path)
        beside(self.path).write_bytes(kept)


def check_nothing_is_told(folder):
    """Fail if anything that was said, or lies in the folder, has a passphrase or a key in it."""
    life, told = Life(folder), io.StringIO()
    handler = logging.StreamHandler(told)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            life.live()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    files = {name: path for name, path in files_below(folder).items() if name not in PASSPHRASES}
    found = search(life.marks, {"what was said": told.getvalue().encode(), **files})

    assert [] == sorted(map(str, found)), "a passphrase or a key was told"
    assert 2 == life.errors
    assert 2 == sum(name.startswith("key of") for name in life.marks)
    for said in ("store-key-wrong", "file-unusable", "has another key", "opened with Key(salt="):
        assert said in told.getvalue(), f"nothing was said of {said}, so nothing was searched"


def test_no_passphrase_and_no_key_is_told(tmp_path):
    """Commands, logs of every level, tracebacks, the file beside the store and what a repair puts aside."""
    check_nothing_is_told(tmp_path)
