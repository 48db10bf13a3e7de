"""What can go wrong in the office's world: disk, database, keystore. Each says who must act.

What is wrong with bytes from outside is a ProtocolError; what a person wrote wrongly is a DiagnosticError.
"""

import os
from pathlib import Path

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError


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


class KeyUnknown(OfficeError):
    """The keystore holds nothing for this device. Who must act: whoever provisioned it, or restored an old keystore."""


def check_readable(path: Path) -> None:
    """Return if this user may read a file, or if there is none. Raises DiagnosticError (exit 4)."""
    if path.exists() and not os.access(path, os.R_OK):
        fix = "give this user the right to read it"
        said = Diagnostic("file-not-allowed", "this user may not read it", str(path), fix=fix)
        raise DiagnosticError(said, NOT_ALLOWED)
