"""Boards that wait to become devices: their one-time secrets, in the keystore's file, from the making of a claim to its end.

A claim is made for one board, heard of when a gateway brings its announcement, and admitted or refused by a person. Admitted, it holds the
one admission that its secret seals, until the device is heard under its own keys; then, as when it is refused, the secret is erased.
Beside it stands which gateways heard the board, from when to when: for people, who are shown how long it waits and where it may hang.

Source: SPEC.md section 15.
"""

import sqlite3
from typing import NamedTuple

from office_ingest.receive.keystore import Keystore

MADE, ADMITTED, REFUSED, USED = "made", "admitted", "refused", "used"
# What is written when an announcement comes again: that a board is still there need not be known to the second.
_HEARD_EVERY_MS = 60_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (board BLOB PRIMARY KEY, state TEXT NOT NULL, secret BLOB, hardware TEXT NOT NULL,
    made_ms INTEGER NOT NULL, gateway TEXT, heard_ms INTEGER, site TEXT, sealed BLOB) STRICT;
CREATE TABLE IF NOT EXISTS hearings (board BLOB NOT NULL, gateway TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    PRIMARY KEY (board, gateway)) STRICT;
"""


class Claim(NamedTuple):
    """One row. secret: 16 bytes, None once it ended; gateway: by which it was heard last; site, sealed: of an admission."""

    board: bytes
    state: str
    secret: bytes | None
    hardware: str
    made_ms: int
    gateway: str | None
    heard_ms: int | None
    site: str | None
    sealed: bytes | None


class Hearing(NamedTuple):
    """One gateway that heard a board. first_ms, last_ms: office wall time; the last one to within a minute."""

    gateway: str
    first_ms: int
    last_ms: int


class Board(NamedTuple):
    """A claim as people see it, without any secret. hearings: the newest first."""

    board: bytes
    state: str
    hardware: str
    made_ms: int
    site: str | None
    hearings: list[Hearing]

    @property
    def waits(self) -> bool:
        """Return whether a gateway heard it and nobody has decided."""
        return self.state == MADE and bool(self.hearings)


def boards(connection: sqlite3.Connection) -> list[Board]:
    """Return every claim without its secret, those heard of last first. connection: of a keystore, which may be opened for reading alone."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE name IN ('claims', 'hearings')")
    held = {name for (name,) in tables}
    if "claims" not in held:
        return []
    hearings = _hearings(connection) if "hearings" in held else {}
    rows = connection.execute(
        "SELECT board, state, hardware, made_ms, site, gateway, heard_ms FROM claims"
        " ORDER BY heard_ms IS NULL, heard_ms DESC, board"
    )
    found = []
    for board, state, hardware, made_ms, site, gateway, heard_ms in rows:
        # What was heard by an older program has no hearing beside it.
        before = [Hearing(gateway, heard_ms, heard_ms)] if gateway else []
        found.append(Board(board, state, hardware, made_ms, site, hearings.get(board, before)))
    return found


def _hearings(connection: sqlite3.Connection) -> dict[bytes, list[Hearing]]:
    found: dict[bytes, list[Hearing]] = {}
    for board, *hearing in connection.execute(
        "SELECT board, gateway, first_ms, last_ms FROM hearings ORDER BY last_ms DESC, gateway"
    ):
        found.setdefault(board, []).append(Hearing(*hearing))
    return found


class Claims:
    """The table. keystore: opened to be written."""

    def __init__(self, keystore: Keystore):
        self._keystore = keystore
        self._connection = keystore.connection
        self._connection.executescript(_SCHEMA)

    def add(self, board: bytes, secret: bytes, hardware: str, now_ms: int) -> None:
        """Take a new claim. Raises sqlite3.IntegrityError if the board has one."""
        row = Claim(board, MADE, secret, hardware, now_ms, *[None] * 4)
        with self._keystore.writing():
            self._connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def find(self, board: bytes) -> Claim | None:
        """Return the claim of a board, None where it has none."""
        row = self._connection.execute("SELECT * FROM claims WHERE board = ?", (board,)).fetchone()
        return Claim(*row) if row else None

    def all(self) -> list[Claim]:
        """Return every claim, those heard of last first, those never heard of last."""
        rows = self._connection.execute(
            "SELECT * FROM claims ORDER BY heard_ms IS NULL, heard_ms DESC, board"
        )
        return [Claim(*row) for row in rows]

    def boards(self) -> list[Board]:
        """Return every claim as people see it."""
        return boards(self._connection)

    def note_heard(self, claim: Claim, gateway: str, now_ms: int) -> None:
        """Note by which gateway a board was heard, and when."""
        row = self._connection.execute(
            "SELECT last_ms FROM hearings WHERE board = ? AND gateway = ?", (claim.board, gateway)
        ).fetchone()
        if row is not None and 0 <= now_ms - row[0] < _HEARD_EVERY_MS:
            return
        with self._keystore.writing():
            self._connection.execute(
                "UPDATE claims SET gateway = ?, heard_ms = ? WHERE board = ?", (gateway, now_ms, claim.board)
            )
            self._connection.execute(
                "INSERT INTO hearings VALUES (?1, ?2, ?3, ?3)"
                " ON CONFLICT DO UPDATE SET last_ms = excluded.last_ms",
                (claim.board, gateway, now_ms),
            )

    def admit(self, board: bytes, site: str, sealed: bytes) -> bool:
        """Keep the one admission of a board; return whether it is the one: a claim that was decided about stays as it is."""
        return self._change("state = ?, site = ?, sealed = ?", (ADMITTED, site, sealed), board, MADE)

    def refuse(self, board: bytes) -> bool:
        """Erase the secret of a board that nobody admitted; return whether there was one."""
        return self._change("state = ?, secret = NULL", (REFUSED,), board, MADE)

    def end(self, board: bytes) -> bool:
        """Erase secret and admission: the device was heard under its own keys. Return whether there was an admission."""
        return self._change("state = ?, secret = NULL, sealed = NULL", (USED,), board, ADMITTED)

    def _change(self, what: str, values: tuple[object, ...], board: bytes, state: str) -> bool:
        with self._keystore.writing():
            changed = self._connection.execute(
                f"UPDATE claims SET {what} WHERE board = ? AND state = ?",  # noqa: S608 - names are ours
                (*values, board, state),
            )
        return changed.rowcount == 1
