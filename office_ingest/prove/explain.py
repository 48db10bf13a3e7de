"""Explains one decision: what the device saw, which rule, what it asked for, what the gate said, by which way it came."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from office_ingest.errors import KeyUnknown
from office_ingest.prove.origin import readings, releases_with, rule_text
from office_ingest.prove.replay import describe, read_decision
from office_ingest.prove.report import place_text
from office_ingest.prove.sealed import Opened, bundles
from office_ingest.receive.body import open_events
from office_ingest.receive.keystore import Keystore
from protocol.diagnostic import Diagnostic, DiagnosticError, suggest
from protocol.errors import ProtocolError
from protocol.event import DECISION
from protocol.keys import CLEAR, CRITICAL
from protocol.segment import parse_segment
from rules.engine import D_ACTS, D_AFTER, D_AGES, D_BEFORE, D_FLAGS, D_GOOD, D_INPUTS, D_MODE, D_NOW, D_RULE
from rules.guard import verdict_words
from rules.replay import step_replay

_MODES = ("off", "shadow", "on")
# What explanation_lines says in lines of its own.
_OWN_LINES = ("acts", "replay", "readings", "rule_text", "releases")
TRACE_BYTES = 16


def find_device(connection: sqlite3.Connection, name: str) -> bytes:
    """Return the device with this identity (16 hex digits) or name. Raises DiagnosticError."""
    found = connection.execute(
        "SELECT id FROM devices WHERE id = ? OR name = ?", (_identity(name), name)
    ).fetchone()
    if found is not None:
        return found[0]
    rows = connection.execute("SELECT id, name FROM devices").fetchall()
    near = suggest(name, [given for _, given in rows] + [device.hex() for device, _ in rows])
    fix = f"did you mean {near}?" if near else "outstation office devices lists all"
    raise DiagnosticError([Diagnostic("office-no-such-device", f"no device is called {name}", fix=fix)])


def _identity(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        return b""


def explain_decision(
    connection: sqlite3.Connection, keystore: Keystore, name: str, order: int | None
) -> dict[str, Any]:
    """Return all that is known about the decision at an order of a device, the newest held if order is None.

    Raises DiagnosticError if there is none.
    """
    device = find_device(connection, name)
    found = _find(connection, keystore, device, order)
    if found is None:
        raise DiagnosticError([_no_decision(name, order)])
    return {"device": device.hex(), **_explain(connection, device, found)}


def _find(
    connection: sqlite3.Connection, keystore: Keystore, device: bytes, order: int | None
) -> Opened | None:
    """Return the decision at an order, the newest for None, without opening more than a few segments: orders rise with numbers."""
    below = 1 << 62
    while True:
        (epoch,) = connection.execute(
            "SELECT max(epoch) FROM segments WHERE device = ? AND lane = ? AND epoch < ?",
            (device, CRITICAL, below),
        ).fetchone()
        if epoch is None:
            return None
        lane = _Lane(connection, keystore, device, epoch)
        found = lane.newest() if order is None else lane.at(order)
        if found is not None:
            return found
        below = epoch


class _Lane:
    """The critical lane of one epoch, opened here and there. What does not verify or open is as if it were not held."""

    def __init__(self, connection: sqlite3.Connection, keystore: Keystore, device: bytes, epoch: int):
        self._connection = connection
        self._keystore = keystore
        self._place = (device, CRITICAL, epoch)

    def newest(self) -> Opened | None:
        """Return the newest decision."""
        for _, events in self._downwards(1 << 62, 0):
            for opened in reversed(events):
                if opened.event[2] == DECISION:
                    return opened
        return None

    def at(self, order: int) -> Opened | None:
        """Return the decision at an order."""
        low, high = self._connection.execute(
            "SELECT min(number), max(number) FROM segments WHERE device = ? AND lane = ? AND epoch = ?",
            self._place,
        ).fetchone()
        while low is not None and low <= high:
            middle = (low + high) // 2
            number, events = next(self._downwards(middle, low), (0, []))
            if events and order < events[0].order:
                high = number - 1
            elif not events or order > events[-1].order:
                low = middle + 1
            else:
                return next((o for o in events if o.order == order and o.event[2] == DECISION), None)
        return None

    def _downwards(self, number: int, low: int) -> Iterator[tuple[int, list[Opened]]]:
        """Give number and events of each segment that opens, from a number down to low."""
        rows = self._connection.execute(
            "SELECT number, raw FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number BETWEEN ? AND ?"
            " ORDER BY number DESC",
            (*self._place, low, number),
        )
        for at, raw in rows:
            events = self._open(raw, at)
            if events:
                yield at, events

    def _open(self, raw: bytes, number: int) -> list[Opened]:
        try:
            segment = parse_segment(raw)
            header = segment.header
            segment.verify(self._keystore.tag_key(header.device, header.lane, header.generation))
            if header.key() != (*self._place, number) or header.view_class == CLEAR:
                return []
            key = self._keystore.view_key(header.device, header.view_class, header.period)
            boot, events = open_events(segment, key) if key is not None else (0, [])
        except (ProtocolError, KeyUnknown):
            return []
        where = place_text(*self._place, number)
        return [Opened(event[0], CRITICAL, where, segment.digest, boot, event) for event in events]


def _no_decision(name: str, order: int | None) -> Diagnostic:
    if order is None:
        fix = "wait: a device decides when its rules say so; outstation office devices counts decisions"
        return Diagnostic("office-no-such-decision", f"no decision of device {name} is held", fix=fix)
    fix = "leave ORDER out for the newest decision; outstation decode shows the orders of a segment"
    return Diagnostic("office-no-such-decision", f"device {name} took no decision at order {order}", fix=fix)


def _explain(connection: sqlite3.Connection, device: bytes, opened: Opened) -> dict[str, Any]:
    decision = read_decision(opened.order, opened.event[3])
    if decision is None:
        return {
            "order": opened.order,
            "held": opened.place,
            "replay": ["it is not of the shape of a decision"],
        }
    bundle = bundles(connection)(decision.bundle)
    made = decision.made
    differences = step_replay(bundle, made) if bundle else None
    acts = [
        {"action": action, "value": value, "verdict": verdict_words(verdict), "gate_last_tick": last}
        for action, value, verdict, last in made[D_ACTS]
    ]
    return {
        "order": opened.order,
        "tick_ms": opened.event[1],
        "boot": opened.boot,
        "rule": made[D_RULE],
        "mode": _MODES[made[D_MODE]],
        "rule_tick": made[D_NOW],
        "sample_order": decision.cause,
        "inputs": made[D_INPUTS],
        "ages": made[D_AGES],
        "good": made[D_GOOD],
        "flags": made[D_FLAGS],
        "registers_before": made[D_BEFORE],
        "registers_after": made[D_AFTER],
        "acts": acts,
        "readings": readings(connection, bundle, made[D_INPUTS], made[D_AGES], made[D_GOOD]),
        "rule_text": rule_text(connection, decision.bundle, made[D_RULE], {act["action"] for act in acts}),
        "bundle": decision.bundle.hex(),
        "bundle_version": bundle.version if bundle else None,
        "releases": releases_with(connection, decision.bundle),
        "held": opened.place,
        **_way(connection, device, opened),
        "trace": opened.digest[:TRACE_BYTES].hex(),
        "replay": ["the office does not hold its bundle"]
        if differences is None
        else [describe([d]) for d in differences],
    }


def _way(connection: sqlite3.Connection, device: bytes, opened: Opened) -> dict[str, Any]:
    row = connection.execute(
        "SELECT gateway, received_ms, committed_ms FROM segments WHERE device = ? AND lane = 0 AND digest = ?",
        (device, opened.digest),
    ).fetchone()
    return {
        "segment": opened.digest.hex(),
        **dict(zip(("gateway", "received_ms", "committed_ms"), row, strict=True)),
    }


def explanation_lines(explanation: dict[str, Any]) -> list[str]:
    """Return an explanation as lines for a terminal."""
    lines = [
        _line(name.replace("_", " "), value) for name, value in explanation.items() if name not in _OWN_LINES
    ]
    lines += [
        _line(
            "saw",
            f"{one['channel']} {one['value']} {one['unit']}".rstrip()
            + ("" if one["good"] else ", not good now"),
        )
        for one in explanation.get("readings", [])
    ]
    lines += [
        _line("asked for", f"action {act['action']} = {act['value']}: {act['verdict']}")
        for act in explanation.get("acts", [])
    ]
    lines += [_line("brought by", release_words(one)) for one in explanation.get("releases", [])]
    said = "; ".join(explanation["replay"]) or "the same decision again"
    text = explanation.get("rule_text", "")
    return [*lines, _line("replay", said), *(["", text] if text else [])]


def release_words(release: dict[str, Any]) -> str:
    """Return which release brought a bundle, who wrote it and which keys signed it."""
    keys = ", ".join(f"key {one['root'][:16]} leaf {one['leaf']}" for one in release["signers"])
    return f"release {release['number']} by {release['author']}, signed by {keys or 'nobody yet'}"


def _line(name: str, value: Any) -> str:
    return f"{name:18} {value}"
