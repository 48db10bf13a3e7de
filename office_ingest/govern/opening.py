"""What the commands of releases, rollouts and commands share: the office's files opened, or refused in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.diagnostic import NOT_ALLOWED, TRY_AGAIN, USAGE, Diagnostic, DiagnosticError

if TYPE_CHECKING:
    from office_ingest.govern.shelf import Shelf
    from office_ingest.receive.keystore import Keystore
    from office_ingest.storage.sqlite import SqliteStore


@contextmanager
def open_store(config: Path) -> Iterator["SqliteStore"]:
    """Give the office's database, the service may run meanwhile. Raises DiagnosticError for any other file."""
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.storage.sqlite import SqliteStore

    with in_words():
        store = SqliteStore.open(read_office(config).files.database)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def open_shelf(config: Path) -> Iterator["Shelf"]:
    """Give the office's releases. Raises as open_store."""
    from office_ingest.govern.shelf import Shelf

    with open_store(config) as store:
        yield Shelf(store)


@contextmanager
def open_keystore(config: Path, *, read_only: bool = True) -> Iterator["Keystore"]:
    """Give the office's keystore. Raises DiagnosticError for any other file."""
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.receive.keystore import Keystore

    with in_words():
        keystore = Keystore.open(read_office(config).files.keystore, read_only=read_only)
    try:
        yield keystore
    finally:
        keystore.close()


@contextmanager
def key_told() -> Iterator[None]:
    """Say what is wrong with a key, and what to do."""
    from office_ingest.govern.lms_key import KeyDamaged
    from office_ingest.govern.signer import KeyExposed, KeyRolledBack, KeyUsedUp, SignerRunning
    from office_ingest.govern.witness import Unwitnessed

    successor = "destroy this folder and go on with its successor: docs/operating/release.md"
    try:
        yield
    except SignerRunning as error:
        found = Diagnostic("release-key-busy", str(error), fix="wait until it is done, or end it")
        raise DiagnosticError([found], TRY_AGAIN) from None
    except KeyExposed as error:
        found = Diagnostic("file-open-to-others", str(error), fix="chmod 700 the folder and 600 its secret")
        raise DiagnosticError([found], NOT_ALLOWED) from None
    except KeyRolledBack as error:
        fix = f"{successor}; if no other copy of it ever signs: outstation release skip FOLDER"
        raise DiagnosticError(
            [Diagnostic("release-key-restored", str(error), fix=fix)], NOT_ALLOWED
        ) from None
    except Unwitnessed as error:
        fix = "start the office and wait for a gateway; --alone if nothing of this office was put back"
        raise DiagnosticError([Diagnostic("release-unwitnessed", str(error), fix=fix)], TRY_AGAIN) from None
    except KeyUsedUp as error:
        fix = "go on with its successor: docs/operating/release.md"
        raise DiagnosticError([Diagnostic("release-key-used-up", str(error), fix=fix)], NOT_ALLOWED) from None
    except KeyDamaged as error:
        raise DiagnosticError([Diagnostic("release-key-damaged", str(error), fix=successor)], USAGE) from None


def device_called(shelf: "Shelf", name: str) -> bytes:
    """Return the identity of the device of this name, or of these 16 hex digits. Raises DiagnosticError."""
    device = shelf.device_called(name)
    if device is None:
        fix = "see outstation office devices"
        raise DiagnosticError(Diagnostic("office-no-such-device", f"no device is called {name}", fix=fix))
    return device


def now_ms() -> int:
    """Return the office's wall clock."""
    from office_ingest.clock import SystemClock

    return SystemClock().wall_ms()


def user_name() -> str:
    """Return who gives this command, as the machine knows it."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
