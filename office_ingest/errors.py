"""What can go wrong in the office's world: disk, database, keystore. Each says who must act.

What is wrong with bytes from outside is a ProtocolError; what a person wrote wrongly is a DiagnosticError.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.diagnostic import NOT_ALLOWED, TRY_AGAIN, Diagnostic, DiagnosticError


class OfficeError(Exception):
    """Root of the office's errors."""


class StoreUnavailable(OfficeError):
    """The database did not take what it was asked to; nothing of the batch was kept and nothing was acknowledged.

    Who must act: the gateway tries again by itself; a person, if it goes on: the disk is full or failing.
    """


class NotAnOfficeDatabase(OfficeError):
    """The file is no database of this office, or of a version that this code does not know.

    Who must act: the person who named the file.
    """


class DatabaseDamaged(NotAnOfficeDatabase):
    """The file is an office's, and its disk changed it or its repair was cut off: nothing may be written to it as it is.

    Who must act: a person, with `outstation office repair`.
    """


class BeyondRepair(NotAnOfficeDatabase):
    """A repair cannot read what it would carry over; the file is as it was. Who must act: a person, with a backup."""


class KeyUnknown(OfficeError):
    """The keystore holds nothing for this device. Who must act: whoever provisioned it, or restored an old keystore."""


def check_readable(path: Path) -> None:
    """Return if this user may read a file, or if there is none. Raises DiagnosticError (exit 4)."""
    if path.exists() and not os.access(path, os.R_OK):
        fix = "give this user the right to read it"
        said = Diagnostic("file-not-allowed", "this user may not read it", str(path), fix=fix)
        raise DiagnosticError(said, NOT_ALLOWED)


@contextmanager
def in_words() -> Iterator[None]:
    """Say in words what an office's file does not let us do. Raises DiagnosticError: exit 2 for the file, 75 for its disk."""
    try:
        yield
    except DatabaseDamaged as error:
        fix = "end the office and run: outstation office repair"
        raise DiagnosticError(Diagnostic("office-damaged", str(error), fix=fix)) from None
    except BeyondRepair as error:
        fix = "restore its backup; what came after it is asked for again"
        raise DiagnosticError(Diagnostic("office-damaged", str(error), fix=fix)) from None
    except NotAnOfficeDatabase as error:
        fix = (
            "name the office.db (or keystore.db, authority.db) of an office; a file from a newer version needs that version, "
            "and a copy of an encrypted one its passphrase: verify --passphrase-file"
        )
        raise DiagnosticError(Diagnostic("office-not-a-database", str(error), fix=fix)) from None
    except (StoreUnavailable, OSError) as error:
        fix = "see that its disk has room, that this user may write there and that nothing else holds it; then try again"
        raise DiagnosticError(Diagnostic("office-unavailable", str(error), fix=fix), TRY_AGAIN) from None
