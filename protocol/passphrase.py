"""Hosts only: where the passphrase of a database is: in a file of its owner alone, or in the system's keyring.

It is never an argument, in the environment or in a message. Bad input: DiagnosticError (exit 4).
"""

import os
import stat
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError

FILE = "file"
KEYRING = "keyring"
# The service under which the keyring keeps it; the setting names the entry.
SERVICE = "outstation"
# Shorter ones can be tried out by who has the file; a longer one is no passphrase but a mistake.
BYTES_MIN = 16
BYTES_MAX = 1024

EntryName = Annotated[
    str, Meta(min_length=1, max_length=64, description="name of the passphrase in the keyring")
]


class Source(NamedTuple):
    """Where a passphrase is. kind: FILE or KEYRING; name: absolute path, or the entry's name."""

    kind: str
    name: str

    def words(self) -> str:
        """Return it as people are told."""
        return self.name if self.kind == FILE else f"the keyring, entry {self.name} of {SERVICE}"


def source_of(passphrase_file: Path | None, keyring: str | None) -> Source | None:
    """Return where the settings say that the passphrase is; None: they name none. Not both."""
    if passphrase_file is not None:
        return Source(FILE, str(passphrase_file.absolute()))
    return None if keyring is None else Source(KEYRING, keyring)


def refuse_both(passphrase_file: Path | None, keyring: str | None) -> None:
    """Raise ValueError if settings name two places for one passphrase."""
    if passphrase_file is not None and keyring is not None:
        raise ValueError("passphrase_file and keyring are both named; name the one where the passphrase is")


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What settings say of the encryption of databases: with either, they are encrypted, with the passphrase that is there."""

    passphrase_file: Path | None = None
    keyring: EntryName | None = None

    def __post_init__(self) -> None:
        refuse_both(self.passphrase_file, self.keyring)

    def passphrase(self) -> Source | None:
        """Return where the passphrase is; None: the settings name none."""
        return source_of(self.passphrase_file, self.keyring)


def read_passphrase(source: Source) -> bytes:
    """Return the passphrase at source, without the line's end. Raises DiagnosticError (exit 4)."""
    said = _from_file(Path(source.name)) if source.kind == FILE else _from_keyring(source.name)
    passphrase = said.rstrip(b"\r\n")
    if not BYTES_MIN <= len(passphrase) <= BYTES_MAX or b"\n" in passphrase:
        raise _refused(
            source,
            f"it is not one line of {BYTES_MIN} to {BYTES_MAX} bytes",
            "make a new one before there is a database: (umask 077; openssl rand -base64 32 > FILE)",
        )
    return passphrase


def _from_file(path: Path) -> bytes:
    source = Source(FILE, str(path))
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            _refuse_others(source, found)
            return file.read(BYTES_MAX + 3)
    except OSError as error:
        fix = "check [store] passphrase_file, and that this user may read it; verify takes --passphrase-file"
        raise _refused(source, error.strerror or str(error), fix) from None


def _refuse_others(source: Source, found: os.stat_result) -> None:
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(found.st_mode)
        said = f"the file holds a secret and has mode {mode:04o}, so others can reach it"
        fix = f"chmod 600 {source.name}"
        raise DiagnosticError(Diagnostic("file-open-to-others", said, source.name, fix=fix), NOT_ALLOWED)
    if found.st_uid not in (os.geteuid(), 0):
        owner = f"it belongs to user {found.st_uid}, who could change it; this process runs as user {os.geteuid()}"
        raise _refused(source, owner, f"chown {os.geteuid()} {source.name}")


def _from_keyring(name: str) -> bytes:
    source = Source(KEYRING, name)
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        fix = "pip install 'outstation[cipher]'"
        missing = Diagnostic("store-cipher-missing", "the package keyring is not installed", fix=fix)
        raise DiagnosticError(missing, NOT_ALLOWED) from None
    fix = f"keyring set {SERVICE} {name}; a service without a session has no keyring: use passphrase_file"
    try:
        found = keyring.get_password(SERVICE, name)
    except KeyringError as error:
        # What a backend says may hold anything: its kind is enough.
        raise _refused(source, f"the keyring does not answer ({type(error).__name__})", fix) from None
    if found is None:
        raise _refused(source, "there is no such entry", fix)
    return found.encode()


def _refused(source: Source, reason: str, fix: str) -> DiagnosticError:
    message = f"the passphrase in {source.words()} cannot be used: {reason}"
    return DiagnosticError(Diagnostic("store-key-away", message, fix=fix), NOT_ALLOWED)
