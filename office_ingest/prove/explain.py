"""Explains one decision: what the device saw, which rule, what it asked for, what the gate said, by which way it came."""

import sqlite3
from typing import Any

from office_ingest.prove.replay import describe, read_decision
from office_ingest.prove.report import Report
from office_ingest.prove.sealed import Opened, bundles, open_lane
from office_ingest.receive.keystore import Keystore
from protocol.diagnostic import Diagnostic, DiagnosticError, suggest
from protocol.event import DECISION
from protocol.keys import CRITICAL
from rules.engine import D_ACTS, D_AFTER, D_AGES, D_BEFORE, D_FLAGS, D_GOOD, D_INPUTS, D_MODE, D_NOW, D_RULE
from rules.guard import VERDICT_NAMES
from rules.replay import step_replay

_MODES = ("off", "shadow", "on")


def find_device(connection: sqlite3.Connection, name: str) -> bytes:
    """Return the device with this identity (16 hex digits) or name. Raises DiagnosticError."""
    rows = connection.execute("SELECT id, name FROM devices").fetchall()
    for device, given in rows:
        if name in (device.hex(), given):
            return device
    near = suggest(name, [given for _, given in rows] + [device.hex() for device, _ in rows])
    fix = f"did you mean {near}?" if near else "outstation office devices lists all"
    raise DiagnosticError([Diagnostic("office-no-such-device", f"no device is called {name}", fix=fix)])


def explain_decision(
    connection: sqlite3.Connection, keystore: Keystore, name: str, order: int | None
) -> dict[str, Any]:
    """Return all that is known about the decision at an order of a device, the newest held if order is None.

    Raises DiagnosticError if there is none.
    """
    device = find_device(connection, name)
    report = Report(has_keys=True)
    found = None
    for opened in open_lane(connection, keystore, device, CRITICAL, report):
        if opened.event[2] == DECISION and order in (None, opened.order):
            found = opened
    if found is None:
        raise DiagnosticError([_no_decision(name, order)])
    return {"device": device.hex(), **_explain(connection, device, found)}


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
        {"action": action, "value": value, "verdict": VERDICT_NAMES[verdict], "gate_last_tick": last}
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
        "bundle": decision.bundle.hex(),
        "held": opened.place,
        **_way(connection, device, opened),
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
        f"{name.replace('_', ' '):18} {value}"
        for name, value in explanation.items()
        if name not in ("acts", "replay")
    ]
    lines += [
        f"{'asked for':18} action {act['action']} = {act['value']}: {act['verdict']}"
        for act in explanation.get("acts", [])
    ]
    said = "; ".join(explanation["replay"]) or "the same decision again"
    return [*lines, f"{'replay':18} {said}"]
