"""Hosts only: which key a database of gateway or office has, judged before SQLite touches the file.

Beside an encrypted database lies FILE.cipher (JSON): where its passphrase is, and a salt and a check for it. No key is in it, and the
database can be read without it by who has the passphrase. A passphrase that the check refuses is said to be the wrong one and the
database is left alone: to SQLCipher a wrong key and a damaged file look alike, and only a damaged one may be repaired.

    scrypt(passphrase, salt) -> 64 bytes: the database's key (32) and the check (32)

The salt is how the database itself begins (SQLCipher keeps its salt there), so while a database is changed over to another key, and
FILE.cipher has both, its beginning says which one it has; and where FILE.cipher is lost it is made anew from the beginning.
A database that begins as SQLite's do is a plain one, whatever lies beside it: its encrypting was cut off.
"""

import functools
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from pathlib import Path
from typing import NamedTuple

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError
from protocol.passphrase import FILE, KEYRING, Source, read_passphrase

SUFFIX = ".cipher"
MAGIC = b"SQLite format 3\0"
SALT_BYTES = 16
# How many bytes of a beginning may be wrong in a damaged file.
DAMAGED_BYTES_MAX = 2
# 32 MiB and about a tenth of a second for each guess; once in the life of a process.
_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 1 << 26, "dklen": 64}
_FORMAT = 1
# Files that a repair, or the change of a key, makes of a database: they have its key.
_MADE_OF = re.compile(r"\.(repairing|repaired|recoding|damaged-[0-9]+)$")


class Key(NamedTuple):
    """The key of one database. key: 32 bytes; salt: the 16 bytes with which the file begins."""

    key: bytes
    salt: bytes

    def pragma(self) -> str:
        """Return what SQLCipher is told: a raw key with its salt, so that it stretches nothing itself."""
        return f"PRAGMA key = \"x'{self.key.hex()}{self.salt.hex()}'\""

    def __repr__(self) -> str:
        return f"Key(salt={self.salt.hex()})"


class Entry(NamedTuple):
    """What is known of one key without the passphrase. check: 32 bytes."""

    salt: bytes
    check: bytes
    source: Source


class Known(NamedTuple):
    """What this process found out about one file: its inode, what lay beside it, and its key or None."""

    inode: int
    beside: str
    key: Key | None


# salt -> key: what this process was shown once it need not be shown again, even where the passphrase is out of reach by then.
_shown: dict[bytes, Key] = {}
# A file is looked into once, before this process has a connection to it. Later would be wrong: whoever closes a file loses all locks
# that his process has on it (fcntl(2)), those of SQLite among them, and two could write at once.
_known: dict[Path, Known] = {}
_deciding = threading.Lock()


def key_of(path: Path, *, make: bool = False) -> Key | None:
    """Return the key of the database at path; None: it is a plain one. make: an encrypted one that is missing is made, empty.

    Raises DiagnosticError (exit 4): the passphrase is out of reach, or is another database's. Nothing was changed.
    """
    return key_of_real(path.resolve(), make=make)


def key_of_real(path: Path, *, make: bool = False) -> Key | None:
    """As key_of, of a path that is resolved already."""
    with _deciding:
        return _key_of(path, make)


def _key_of(path: Path, make: bool) -> Key | None:
    database = _owner_of_real(path)
    text, inode, known = _text_beside(database), _inode(path), _known.get(path)
    if known and known.inode == inode and text in (known.beside, None):
        return known.key
    if text is None:
        return None
    if inode is None and make:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        inode = _inode(path)
    key = _decide(path, database)
    if inode is not None:
        _known[path] = Known(inode, text, key)
    return key


def _decide(path: Path, database: Path) -> Key | None:
    begins = beginning(path)
    if not begins and path != database:
        return _key_of(database, make=False)
    if is_alike(MAGIC, begins):
        return None
    return unlock(database, nearest(read_entries(database), begins))


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def forget(database: Path) -> None:
    """Look into a file anew when it is opened next: it was made anew."""
    with _deciding:
        _known.pop(database, None)


def show(database: Path, key: Key) -> None:
    """Let this process open a database with a key, whatever lies beside it."""
    inode = _inode(database)
    with _deciding:
        if inode is not None:
            _known[database] = Known(inode, _text_beside(database) or "", key)


def owner(path: Path) -> Path:
    """Return the database of which the file at path was made: itself, if it is none of those."""
    return _owner_of_real(path.resolve())


def _owner_of_real(path: Path) -> Path:
    name = _MADE_OF.sub("", path.name)
    return path if name == path.name else path.with_name(name)


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file, none if it is empty or missing. Raises OSError."""
    try:
        with path.open("rb") as file:
            return file.read(SALT_BYTES)
    except FileNotFoundError:
        return b""


def is_alike(ours: bytes, begins: bytes) -> bool:
    """Return whether a file begins like this, but for what damage may have changed."""
    alike = sum(one == other for one, other in zip(ours, begins, strict=False))
    return alike >= len(ours) - DAMAGED_BYTES_MAX


def begins_as_ours(path: Path) -> bool:
    """Return whether a file begins as a plain database does, or as one that FILE.cipher knows, but for what damage may have changed."""
    beginnings = [MAGIC, *(one.salt for one in read_entries(owner(path)))]
    return any(is_alike(one, beginning(path)) for one in beginnings)


def nearest(entries: list[Entry], begins: bytes) -> Entry:
    """Return the entry of the database that begins like this; the newest, where there is no database yet."""
    return max(reversed(entries), key=lambda one: sum(a == b for a, b in zip(one.salt, begins, strict=False)))


def unlock(database: Path, entry: Entry, source: Source | None = None) -> Key:
    """Return the key of an entry. source: where the passphrase is, if not where the entry says. Raises DiagnosticError (exit 4)."""
    if entry.salt in _shown and source is None:
        return _shown[entry.salt]
    where = source or entry.source
    key, check = derive(read_passphrase(where), entry.salt)
    if not hmac.compare_digest(check, entry.check):
        raise DiagnosticError(wrong_passphrase(database, where), NOT_ALLOWED)
    _shown[entry.salt] = key
    return key


def wrong_passphrase(database: Path, source: Source) -> Diagnostic:
    """Return what is said of a passphrase that is another database's."""
    return Diagnostic(
        "store-key-wrong",
        f"the passphrase in {source.words()} is not the one of this database, which is left as it is",
        str(database),
        fix="put its own passphrase there; to give it another one, name that in the settings and run: store rekey",
    )


def new_entry(source: Source) -> tuple[Entry, Key]:
    """Return a new key of the passphrase at source. Raises DiagnosticError (exit 4)."""
    key, check = derive(read_passphrase(source), secrets.token_bytes(SALT_BYTES))
    _shown[key.salt] = key
    return Entry(key.salt, check, source), key


@functools.lru_cache(maxsize=16)
def derive(passphrase: bytes, salt: bytes) -> tuple[Key, bytes]:
    """Return key and check of a passphrase. Source: RFC 7914."""
    made = hashlib.scrypt(passphrase, salt=salt, **_SCRYPT)
    return Key(made[:32], salt), made[32:]


# ---- the file beside it


def family(database: Path) -> list[Path]:
    """Return the files that were made of a database and lie beside it."""
    return [one for one in database.parent.glob(f"{database.name}.*") if _MADE_OF.search(one.name)]


def still_needed(database: Path, entries: list[Entry]) -> list[Entry]:
    """Return those of former keys that files beside the database still have: damaged ones that a repair kept."""
    return [
        entry for entry in entries if any(is_alike(entry.salt, beginning(one)) for one in family(database))
    ]


def beside(database: Path) -> Path:
    """Return the file that says that a database is encrypted."""
    return database.with_name(database.name + SUFFIX)


def read_entries(database: Path) -> list[Entry]:
    """Return the keys that a database has, or is about to have; none if it is not encrypted. Raises DiagnosticError (exit 4)."""
    text = _text_beside(database)
    if text is None:
        return []
    try:
        said = json.loads(text)
        if said["format"] != _FORMAT:
            raise ValueError(f"its format is {said['format']}, this version knows {_FORMAT}")
        return [_entry(**one) for one in said["keys"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DiagnosticError(_unreadable(beside(database), error), NOT_ALLOWED) from None


def _text_beside(database: Path) -> str | None:
    path = beside(database)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DiagnosticError(_unreadable(path, error), NOT_ALLOWED) from None


def _entry(salt: str, check: str, passphrase: dict) -> Entry:
    source = Source(**passphrase)
    if source.kind not in (FILE, KEYRING):
        raise ValueError(
            f"it names a passphrase of kind {source.kind}; this version knows {FILE} and {KEYRING}"
        )
    return Entry(bytes.fromhex(salt), bytes.fromhex(check), source)


def _unreadable(path: Path, error: Exception) -> Diagnostic:
    if isinstance(error, PermissionError):
        fix = "run as the user that owns the database"
        return Diagnostic("file-not-allowed", "this user may not read it", str(path), fix=fix)
    return Diagnostic(
        "file-unusable",
        f"what says how the database is encrypted cannot be read: {error}",
        str(path),
        fix="remove it, name the passphrase under [store] in the settings, and start: it is made anew",
    )


def write_entries(database: Path, entries: list[Entry]) -> None:
    """Say durably which keys a database may have; none: it is a plain one. Raises OSError."""
    path = beside(database)
    if not entries:
        path.unlink(missing_ok=True)
    else:
        made = path.with_name(path.name + ".new")
        made.unlink(missing_ok=True)
        with os.fdopen(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(_text(entries))
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _text(entries: list[Entry]) -> str:
    keys = [
        {"salt": one.salt.hex(), "check": one.check.hex(), "passphrase": one.source._asdict()}
        for one in entries
    ]
    return json.dumps({"format": _FORMAT, "keys": keys}, indent=1) + "\n"
