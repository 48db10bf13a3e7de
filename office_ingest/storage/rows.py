"""The rows of the office's tables: their columns in order, and the digest that covers each row.

row_digest is no secret and proves nothing against who rewrites the file: seals do that. It names a column that changed
by itself, where no sealed byte repeats it (gateway, times, texts).
"""

import hashlib
import sqlite3
from typing import Any

from protocol.cbor import dumps
from protocol.errors import ProtocolError

ROW_DIGEST_BYTES = 8

COLUMNS: dict[str, tuple[str, ...]] = {
    "devices": ("id", "name", "site", "added_ms"),
    "gateways": ("id", "name", "site", "token_hash", "added_ms"),
    "segments": (
        *("device", "lane", "epoch", "number", "first_sequence", "count", "digest", "previous", "generation"),
        *("class", "period", "raw", "gateway", "received_ms", "committed_ms"),
    ),
    "forks": (
        *("digest", "device", "lane", "epoch", "number", "contested", "kind", "raw", "gateway"),
        "received_ms",
    ),
    "quarantine": ("digest", "device", "code", "text", "raw", "gateway", "received_ms", "times"),
    "heartbeats": (
        *("device", "boot", "counter", "generation", "epoch", "digest", "raw", "gateway"),
        "received_ms",
    ),
    "heads": ("device", "lane", "epoch", "kept_from", "number", "digest", "boot", "counter"),
    "receipts": ("device", "lane", "epoch", "number", "digest", "generation", "raw"),
    "gaps": ("device", "lane", "epoch", "state", "start", "stop", "pruned", "changed_ms"),
    "findings": ("device", "kind", "place", "text", "state", "first_ms", "last_ms", "times"),
    "tallies": ("device", "segments", "events", "decisions", "duplicates"),
    "device_traits": ("device", "kind", "cohort", "hardware", "schema", "bundle"),
    "rollouts": ("number", "state", "author", "started_ms", "changed_ms"),
    "reports": ("device", "boot", "counter", "version", "digest", "received_ms"),
    "adoptions": (
        *("device", "epoch", "event_order", "boot", "tick_ms", "number", "step", "digest", "detail"),
        "received_ms",
    ),
    "commands": (
        *("device", "number", "raw", "body", "author", "made_ms", "until_ms", "verdict", "answer"),
        *("event_order", "answered_ms"),
    ),
    "accepted_gaps": ("device", "lane", "epoch", "start", "stop", "author", "accepted_ms"),
    "revoked": ("device", "author", "reason", "revoked_ms"),
    "tokens": (
        *("id", "label", "role", "token_hash", "sites", "made_by", "made_ms", "expires_ms", "revoked_ms"),
        "used_ms",
    ),
    "view_grants": ("gateway", "past", "ahead", "author", "changed_ms"),
    "attestations": ("device", "epoch", "event_order", "boot", "tick_ms", "claims", "received_ms"),
    "images": ("digest", "hardware", "is_development", "author", "added_ms"),
    "link_usage": (
        *("device", "day", "link", "gateway", "received_bytes", "sent_bytes", "received_datagrams"),
        "sent_datagrams",
    ),
    "link_usage_lives": (
        *("device", "day", "link", "gateway", "life", "received_bytes", "sent_bytes", "received_datagrams"),
        "sent_datagrams",
    ),
    "link_budgets": ("device", "day_bytes", "said_ms"),
    "witnessed": ("root", "leaf", "mark", "envelope", "gateway", "shown_ms"),
    "witnesses": ("gateway", "heard_ms"),
    "ended_certificates": ("fingerprint", "gateway", "until_ms"),
    "acts": ("number", "at_ms", "who", "role", "way", "verb", "resource", "about", "outcome"),
}
# What names a row to a person.
KEYS: dict[str, tuple[str, ...]] = {
    "devices": ("id",),
    "gateways": ("id",),
    "segments": ("device", "lane", "epoch", "number"),
    "forks": ("digest", "lane"),
    "quarantine": ("digest",),
    "heartbeats": ("device", "epoch", "boot", "counter"),
    "heads": ("device", "lane", "epoch"),
    "receipts": ("device", "lane", "epoch"),
    "gaps": ("device", "lane", "epoch", "state", "start"),
    "findings": ("device", "kind", "place"),
    "tallies": ("device",),
    "device_traits": ("device",),
    "rollouts": ("number",),
    "reports": ("device",),
    "adoptions": ("device", "epoch", "event_order"),
    "commands": ("device", "number"),
    "accepted_gaps": ("device", "lane", "epoch", "start"),
    "revoked": ("device",),
    "tokens": ("id",),
    "view_grants": ("gateway",),
    "attestations": ("device",),
    "images": ("digest",),
    "link_usage": ("device", "day", "link", "gateway"),
    "link_usage_lives": ("device", "day", "link", "gateway", "life"),
    "link_budgets": ("device",),
    "witnessed": ("root", "leaf", "mark"),
    "witnesses": ("gateway",),
    "ended_certificates": ("fingerprint",),
    "acts": ("number",),
}


def row_digest(values: tuple[Any, ...]) -> bytes:
    """Return the 8 bytes that cover one row: SHA-256 over the deterministic CBOR of its columns in order."""
    return hashlib.sha256(dumps(values)).digest()[:ROW_DIGEST_BYTES]


def is_as_written(values: tuple[Any, ...], digest: Any) -> bool:
    """Return whether a row read back, its columns in order, has its digest; values of kinds that were never written do not."""
    try:
        return row_digest(values) == digest
    except (ProtocolError, TypeError, ValueError):
        return False


class RowSums:
    """What one transaction adds to and takes from each table: rows, and the XOR of their digests (of bundles and schemas: of the first 8 bytes of theirs)."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[int, int]] = {}

    def add(self, table: str, digest: bytes) -> None:
        """A row with this digest was written."""
        self._change(table, 1, digest)

    def remove(self, table: str, digest: bytes) -> None:
        """A row with this digest was deleted or overwritten."""
        self._change(table, -1, digest)

    def _change(self, table: str, rows: int, digest: bytes) -> None:
        known_rows, known_sum = self._changes.get(table, (0, 0))
        self._changes[table] = (
            known_rows + rows,
            known_sum ^ int.from_bytes(digest[:ROW_DIGEST_BYTES], "big"),
        )

    def store(self, connection: sqlite3.Connection) -> None:
        """Bring the table row_sums up to date inside the transaction, and begin anew."""
        for table, (rows, change) in self._changes.items():
            known_rows, known_sum = read_row_sum(connection, table)
            total = (known_sum ^ change).to_bytes(ROW_DIGEST_BYTES, "big")
            connection.execute(
                "INSERT OR REPLACE INTO row_sums VALUES (?, ?, ?)", (table, known_rows + rows, total)
            )
        self.forget()

    def recount(self, connection: sqlite3.Connection, table: str) -> None:
        """Write down what the table holds now, inside the transaction, whatever was written down before."""
        total, rows = 0, 0
        for (digest,) in connection.execute(f"SELECT row_digest FROM {table}"):  # noqa: S608 - names are ours
            total ^= int.from_bytes(digest[:ROW_DIGEST_BYTES], "big")
            rows += 1
        self._changes.pop(table, None)
        connection.execute(
            "INSERT OR REPLACE INTO row_sums VALUES (?, ?, ?)",
            (table, rows, total.to_bytes(ROW_DIGEST_BYTES, "big")),
        )

    def forget(self) -> None:
        """The transaction was undone."""
        self._changes.clear()


def read_row_sum(connection: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Return how many rows a table should have and the XOR of their digests."""
    row = connection.execute("SELECT rows, sum FROM row_sums WHERE name = ?", (table,)).fetchone()
    return (row[0], int.from_bytes(row[1], "big")) if row else (0, 0)


def put_statement(table: str) -> str:
    """Return the SQL that writes one whole row of a table, row_digest last, over one with the same key."""
    columns = (*COLUMNS[table], "row_digest")
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names are ours
