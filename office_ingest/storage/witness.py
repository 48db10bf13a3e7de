"""The tables of what gateways witness of the leaves that sign: envelopes that they showed, and when each was heard.

Written only inside a store's transaction. Source: schema/0014_witness.sql; SPEC.md section 7 (Witness).
"""

from typing import NamedTuple

from office_ingest.storage.sqlite import SqliteStore


class Shown(NamedTuple):
    """An envelope that a gateway showed."""

    root: bytes
    leaf: int
    mark: bytes
    envelope: bytes
    gateway: str
    shown_ms: int


class WitnessStore:
    """Reads and writes those tables of one store."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def put_shown(self, shown: Shown) -> None:
        """Keep what a gateway showed."""
        self._store.put("witnessed", *shown)

    def put_heard(self, gateway: str, now_ms: int) -> None:
        """Keep that a gateway bore witness, with nothing left to show."""
        self._store.put("witnesses", gateway, now_ms)

    def newest(self, root: bytes) -> Shown | None:
        """Return what was shown of a root's highest leaf, or None."""
        row = self._store.connection.execute(
            "SELECT root, leaf, mark, envelope, gateway, shown_ms FROM witnessed WHERE root = ? ORDER BY leaf DESC LIMIT 1",
            (root,),
        ).fetchone()
        return None if row is None else Shown(*row)

    def of_leaf(self, root: bytes, leaf: int) -> list[bytes]:
        """Return every envelope of a leaf that was shown."""
        rows = self._store.connection.execute(
            "SELECT envelope FROM witnessed WHERE root = ? AND leaf = ? ORDER BY mark", (root, leaf)
        )
        return [row[0] for row in rows]

    def heard(self) -> dict[str, int]:
        """Return when each gateway was last heard, in milliseconds, of those that are there still."""
        rows = self._store.connection.execute(
            "SELECT w.gateway, w.heard_ms FROM witnesses w JOIN gateways g ON g.id = w.gateway"
        )
        return dict(rows.fetchall())
