"""The table of certificates that ended before their time: what an older authority.db forgets.

Source: schema/0015_ended.sql.
"""

from collections.abc import Iterable

from office_ingest.storage.sqlite import SqliteStore

# (fingerprint, gateway, until_ms)
Ended = tuple[bytes, str, int]


class EndedStore:
    """Reads and writes that table of one store."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def note(self, ended: Iterable[Ended]) -> None:
        """Keep that certificates ended, each at the earliest moment that was ever said of it, in one transaction."""
        new = [one for one in ended if one[2] < self.until_ms(one[0], default=1 << 62)]
        if new:
            with self._store.transaction():
                for one in new:
                    self._store.put("ended_certificates", *one)

    def until_ms(self, fingerprint: bytes, *, default: int) -> int:
        """Return when a certificate ended, or default."""
        row = self._store.connection.execute(
            "SELECT until_ms FROM ended_certificates WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        return default if row is None else row[0]

    def all(self) -> list[Ended]:
        """Return every certificate that ended."""
        return self._store.connection.execute(
            "SELECT fingerprint, gateway, until_ms FROM ended_certificates ORDER BY gateway, until_ms"
        ).fetchall()
