"""The store's file: its lock, its schema, and what is read from it when it is opened."""

import fcntl
import os
import sqlite3
from pathlib import Path

from gateway.reconcile import Lane
from gateway.store_check import session_sum
from gateway.store_identity import NotAStore, table_names
from protocol.diagnostic import NOT_ALLOWED, TRY_AGAIN, Diagnostic, DiagnosticError
from protocol.sqlite_door import MAKE, open_database

SCHEMA_FOLDER = Path(__file__).parent / "schema"

# As sqlite_utils made it in every store so far.
_STEPS = 'CREATE TABLE IF NOT EXISTS "migrations" (\n   "name" TEXT PRIMARY KEY,\n   "applied_ms" INTEGER\n)'

LaneKey = tuple[bytes, int, int]


class StepFailed(sqlite3.DatabaseError):
    """A step of the schema failed on a store that is whole; nothing was changed. Who must act: who writes this program."""


def connect(path: str) -> sqlite3.Connection:
    """Return a connection whose transactions are ours to begin and end."""
    return open_database(Path(path), MAKE)


def prepare(connection: sqlite3.Connection) -> None:
    """Let every commit that returns survive a power cut, and what is deleted be overwritten.

    Raises sqlite3.OperationalError where the disk does not allow it.
    """
    connection.execute("PRAGMA secure_delete = ON")
    connection.create_function("session_sum", 4, session_sum, deterministic=True)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        # SQLite says no error here. It would go on with a journal whose end, a deletion, a power cut can undo.
        raise sqlite3.OperationalError(f"no write-ahead log can be used on this disk (journal mode {mode})")
    connection.execute("PRAGMA synchronous = FULL")


def migrate(connection: sqlite3.Connection, now_ms: int) -> None:
    """Bring the schema up to date: each file of schema/ once, in order, each in one transaction.

    Raises DiagnosticError (exit 4) if the database was written by a newer program: there is no way back but a backup;
    sqlite3.DatabaseError if it is damaged.
    """
    tables = table_names(connection)
    if tables and "migrations" not in tables:
        raise sqlite3.DatabaseError("the list of its schema steps is gone")
    _make_list_of_steps(connection)
    # By their order: the name of a column can be damaged too, which the check that follows finds.
    applied = {row[0] for row in connection.execute("SELECT * FROM migrations")}
    files = sorted(SCHEMA_FOLDER.glob("*.sql"))
    newer = applied - {file.stem for file in files}
    if newer and not (applied > newer and {file.stem for file in files} <= applied and None not in applied):
        # A newer program has taken every step of ours and some more.
        raise sqlite3.DatabaseError("the list of its schema steps is damaged")
    if newer:
        raise DiagnosticError(
            Diagnostic(
                "store-newer",
                f"the store was written by a newer gateway (it has {', '.join(sorted(map(str, newer)))})",
                fix="install that version again, or restore the backup made before it",
            ),
            NOT_ALLOWED,
        )
    for file in files:
        if file.stem not in applied:
            # One script, so that a cut leaves all of it or nothing.
            stamp = f"INSERT INTO migrations VALUES ('{file.stem}', {now_ms:d});"  # noqa: S608 - our own file's name
            connection.executescript(f"BEGIN IMMEDIATE;\n{file.read_text('utf-8')}\n{stamp}\nCOMMIT;")


def _make_list_of_steps(connection: sqlite3.Connection) -> None:
    # Whether it is there or not: a disk that lets nobody commit says so before anything is relied on.
    connection.execute("BEGIN")
    try:
        connection.execute(_STEPS)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def load_lanes(connection: sqlite3.Connection) -> dict[LaneKey, Lane]:
    """Return what is held, receipted and lost of every lane."""
    held: dict[LaneKey, list[tuple[int, int]]] = {}
    # Numbers that follow each other have one difference to their rank: each such island is one range.
    for device, lane, epoch, start, stop in connection.execute(
        "SELECT device, lane, epoch, min(number), max(number) + 1 FROM (SELECT device, lane, epoch, number, "
        "number - dense_rank() OVER (PARTITION BY device, lane, epoch ORDER BY number) AS island FROM segments) "
        "GROUP BY device, lane, epoch, island ORDER BY device, lane, epoch, min(number)"
    ):
        held.setdefault((device, lane, epoch), []).append((start, stop))
    lanes = {key: Lane(pairs) for key, pairs in held.items()}
    for device, lane, epoch, receipted, kept_from in connection.execute(
        "SELECT device, lane, epoch, receipted, kept_from FROM lanes"
    ):
        known = lanes.setdefault((device, lane, epoch), Lane())
        known.receipted, known.kept_from = receipted, kept_from
    for device, lane, epoch, start, stop in connection.execute(
        "SELECT device, lane, epoch, start, stop FROM lost"
    ):
        lanes.setdefault((device, lane, epoch), Lane()).lost.add(start, stop)
    return lanes


# In one statement: every transaction asks.
_USED = (
    "SELECT (pages.page_count - free.freelist_count) * size.page_size"
    " FROM pragma_page_count AS pages, pragma_freelist_count AS free, pragma_page_size AS size"
)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how many bytes of the database file hold something."""
    return connection.execute(_USED).fetchone()[0]


def lock_store(path: Path) -> int:
    """Return the descriptor of the lock that keeps a second gateway off this store. Raises DiagnosticError (exit 75)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DiagnosticError(unusable(path, error.strerror or str(error))) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DiagnosticError(
            Diagnostic(
                "store-in-use",
                "another gateway runs on this store",
                str(path),
                fix="stop it first, or give this one a database of its own",
            ),
            TRY_AGAIN,
        ) from None
    return descriptor


def unusable(path: Path, reason: object) -> Diagnostic:
    """Return what is said of a store that cannot be opened. reason: a text, or the error itself."""
    if isinstance(reason, NotAStore):
        fix = "check that [gateway] database names the store of a gateway, or move this file away"
    elif isinstance(reason, StepFailed):
        fix = "it is whole, and this version's schema step is wrong: install the version before it, and report this"
    else:
        fix = "make room on its disk" if "full" in str(reason) else "check the path, its rights and its disk"
    return Diagnostic("file-unusable", f"the store cannot be opened: {reason}", str(path), fix=fix)
