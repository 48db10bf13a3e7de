"""Boards that wait to become devices: their one-time secrets, in the keystore's file, from the making of a claim to its end.

A claim is made for one board, heard of when a gateway brings its announcement, and admitted or refused by a person. Admitted, it holds the
one admission that its secret seals, until the device is heard under its own keys; then, as when it is refused, the secret is erased.

Source: SPEC.md section 15.
"""

from typing import NamedTuple

from office_ingest.receive.keystore import Keystore

MADE, ADMITTED, REFUSED, USED = "made", "admitted", "refused", "used"
# What is written when an announcement comes again: that a board is still there need not be known to the second.
_HEARD_EVERY_MS = 60_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (board BLOB PRIMARY KEY, state TEXT NOT NULL, secret BLOB, hardware TEXT NOT NULL,
    made_ms INTEGER NOT NULL, gateway TEXT, heard_ms INTEGER, site TEXT, sealed BLOB) STRICT;
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


class Claims:
    """The table. keystore: opened to be written."""

    def __init__(self, keystore: Keystore):
        self._keystore = keystore
        self._connection = keystore.connection
        self._connection.execute(_SCHEMA)

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

    def note_heard(self, claim: Claim, gateway: str, now_ms: int) -> None:
        """Note by which gateway a board was heard, and when."""
        before = claim.heard_ms
        if claim.gateway == gateway and before is not None and 0 <= now_ms - before < _HEARD_EVERY_MS:
            return
        with self._keystore.writing():
            self._connection.execute(
                "UPDATE claims SET gateway = ?, heard_ms = ? WHERE board = ?", (gateway, now_ms, claim.board)
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
