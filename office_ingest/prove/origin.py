"""Where a decision comes from: the readings it saw by name and unit, its rule as text, and the release that brought its bundle."""

import sqlite3
from typing import Any

from office_ingest.govern.rollout import rules_digest
from office_ingest.govern.shelf import Shelf
from office_ingest.storage.sqlite import SqliteStore
from protocol.cbor import loads
from protocol.errors import ProtocolError
from rules.authoring.explain import explain as bundle_text
from rules.authoring.source import shown_number
from rules.bundle import Bundle

Rows = list[dict[str, Any]]


def channels_of(connection: sqlite3.Connection, prefix: bytes) -> list[tuple[str, str, int]]:
    """Return (name, unit, scale) of each channel of the schema whose digest starts so; [] if the office does not hold it."""
    row = connection.execute(
        "SELECT body FROM schemas WHERE digest >= ?1 AND substr(digest, 1, length(?1)) = ?1 LIMIT 1",
        (prefix,),
    ).fetchone()
    try:
        return [(name, unit, scale) for name, unit, scale, *_ in loads(row[0])[1]] if row else []
    except (ProtocolError, IndexError, TypeError, ValueError):
        return []


def readings(
    connection: sqlite3.Connection, bundle: Bundle | None, inputs: list[int], ages: list[int], good: int
) -> Rows:
    """Return what the device saw: for each channel its name, unit, value in that unit, age in rule ticks, and whether it was good."""
    known = channels_of(connection, bundle.schema) if bundle else []
    found = []
    for at, (raw, age) in enumerate(zip(inputs, ages, strict=True)):
        name, unit, scale = known[at] if at < len(known) else (f"channel {at}", "", 0)
        said = "never read" if age < 0 else shown_number(raw, scale)
        found.append(
            {
                "channel": name,
                "unit": unit,
                "raw": raw,
                "value": said,
                "age": age,
                "good": bool(good >> at & 1),
            }
        )
    return found


def rule_text(connection: sqlite3.Connection, digest: bytes, rule: int, actions: set[int]) -> str:
    """Return the rule and the gates of these actions as text, made from the bytes that the device ran; "" if they are not held."""
    row = connection.execute("SELECT body FROM bundles WHERE digest = ?", (digest,)).fetchone()
    try:
        text = bundle_text(row[0]) if row else ""
    except ProtocolError:
        return ""
    wanted = [f"Rule {rule} ", f"Rule {rule},", *(f"Guard of action {action}:" for action in sorted(actions))]
    parts = [part.strip("\n") for part in text.split("\n\n") if part.strip()]
    return "\n\n".join(part for start in wanted for part in parts if part.startswith(start))


def releases_with(connection: sqlite3.Connection, digest: bytes) -> Rows:
    """Return the releases whose rules part has this digest, the newest first; [] for a bundle that came by provisioning alone."""
    return [
        {
            "number": held.number,
            "state": held.state,
            "author": held.manifest.provenance[0],
            "signers": [
                {"root": one.root.hex(), "leaf": one.leaf, "signed_ms": one.signed_ms}
                for one in held.signatures
            ],
        }
        for held in Shelf(SqliteStore(connection)).all()
        if rules_digest(held.manifest) == digest
    ]
