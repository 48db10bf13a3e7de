"""Hosts only: what the commands `store encrypt`, `decrypt` and `rekey` of gateway and office do."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError
from protocol.passphrase import Source
from protocol.sqlite_recode import is_encrypted, left_plain, recode
from protocol.sqlite_settle import settle


class Changed(NamedTuple):
    """What a command did to one database. rows: how many were written anew; None: there was nothing to do.

    left_plain: files beside an encrypted one that hold what it held, and are not encrypted.
    """

    database: Path
    rows: int | None
    left_plain: list[Path]


def change(name: str, databases: Iterable[Path], source: Source | None) -> list[Changed]:
    """Encrypt, decrypt or rekey databases, one after the other; name: which. source: where the settings say the passphrase is.

    One that is as it should be stays. Raises DiagnosticError: the settings name no passphrase, or still one (exit 4), and as recode.
    """
    if name == "decrypt" and source is not None:
        raise DiagnosticError(_still_wanted(), NOT_ALLOWED)
    if name != "decrypt" and source is None:
        raise DiagnosticError(_no_passphrase(), NOT_ALLOWED)
    return [_changed(name, database, source) for database in databases]


def _changed(name: str, database: Path, source: Source | None) -> Changed:
    try:
        rows = recode(database, source) if _is_due(name, database, source) else None
    except (OSError, sqlite3.Error) as error:
        said = f"the database could not be written anew, and is as it was: {error}"
        fix = "see that its disk has room for a second one; if it is damaged, let it be repaired first"
        raise DiagnosticError(Diagnostic("file-unusable", said, str(database), fix=fix)) from None
    return Changed(database, rows, left_plain(database) if source else [])


def _is_due(name: str, database: Path, source: Source | None) -> bool:
    if name == "rekey":
        return True
    if not is_encrypted(database):
        return name == "encrypt"
    # An encrypted one that has another passphrase is told of.
    settle(database, source)
    return name == "decrypt"


def document(done: list[Changed]) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "databases": [
            {
                "database": str(one.database),
                "rows": one.rows,
                "left_plain": [str(at) for at in one.left_plain],
            }
            for one in done
        ]
    }


def lines(done: list[Changed], word: str) -> list[str]:
    """Return what a person is told. word: what happened to those that changed."""
    said = [
        f"{one.database}: {'nothing to do' if one.rows is None else f'{word}, {one.rows} rows'}"
        for one in done
    ]
    return said + [
        f"still in plain, remove it when it is not needed: {at}" for one in done for at in one.left_plain
    ]


def _still_wanted() -> Diagnostic:
    said = "the settings name a passphrase, so a plain database would be refused at the next start"
    fix = "remove passphrase_file and keyring from [store] first"
    return Diagnostic("store-wanted-encrypted", said, fix=fix)


def _no_passphrase() -> Diagnostic:
    fix = "write passphrase_file = FILE, or keyring = NAME, under [store], and run this again"
    return Diagnostic("store-no-passphrase", "the settings name no passphrase", fix=fix)
