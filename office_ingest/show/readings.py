"""The newest readings, decisions and actions of one device, decoded when somebody looks.

Only what was verified is in the database; here bodies are opened with the keystore, a few segments from the newest down, so that a
page costs the same however long a device has lived. Times are the device's: rule ticks, which never go back, and wall time only
where a time mark of the same boot vouches for it, with its error.

Source: SPEC.md sections 4.1 to 4.4.
"""

import sqlite3
from typing import Any, NamedTuple

from office_ingest.show.bodies import Bodies, Body, Event, Keys
from protocol.bins import decode_bins
from protocol.cbor import loads
from protocol.event import ACTION, BOOT, DECISION, INPUTS, SAMPLE, TIME_MARK
from protocol.keys import CRITICAL, ROUTINE

SAMPLES_MAX = 300
_SEGMENTS = {CRITICAL: 160, ROUTINE: 12}
RULE_TICK_MS = 100


class Channel(NamedTuple):
    """One channel of a schema: value x 10**scale is in unit; low..high is its range."""

    name: str
    unit: str
    scale: int
    low: int
    high: int


class Sample(NamedTuple):
    """One sample. at: rule tick; values: integers or None; qualities: one a channel."""

    at: int
    order: int
    values: list[int | None]
    qualities: list[int]


class Act(NamedTuple):
    """One decision or action on the axis. kind: DECISION or ACTION; value: what the actuator was asked or set to."""

    at: int
    order: int
    kind: int
    rule: int | None
    action: int
    value: int
    verdict: int


class Inputs(NamedTuple):
    """How often one channel read what, since the count before. counts: sixteen, of equal parts of its range; at: (tick_ms, boot)."""

    counts: list[int]
    not_good: int
    at: tuple[int, int]


class Recent(NamedTuple):
    """The newest of a device, oldest first. inputs: channel -> its newest count. newest: (tick_ms, boot) of the newest sample; wall: (wall_ms, error_ms) of it or None."""

    channels: list[Channel]
    samples: list[Sample]
    acts: list[Act]
    inputs: dict[int, Inputs]
    decisions: list[tuple[int, int, int, list[Any]]]
    newest: tuple[int, int] | None
    wall: tuple[int, int] | None
    unreadable: int


class Held(NamedTuple):
    """The newest bodies of one lane, the newest first. unreadable: how many could not be opened."""

    bodies: list[Body]
    unreadable: int


def read_recent(
    connection: sqlite3.Connection, bodies: Bodies, keys: Keys, device: bytes
) -> tuple[Held, Held]:
    """Return the newest bodies of both lanes, critical first, as many as a page looks at; none where nothing is held or its keys are gone."""
    return _held(connection, bodies, keys, device, CRITICAL), _held(connection, bodies, keys, device, ROUTINE)


def _held(connection: sqlite3.Connection, bodies: Bodies, keys: Keys, device: bytes, lane: int) -> Held:
    rows = connection.execute(
        "SELECT raw FROM segments WHERE device = ? AND lane = ? ORDER BY epoch DESC, number DESC LIMIT ?",
        (device, lane, _SEGMENTS[lane]),
    ).fetchall()
    found = [bodies.body(keys, device, raw) for (raw,) in rows]
    readable = [body for body in found if body is not None and body.events is not None]
    return Held(readable, len(found) - len(readable))


def recent_of(held_critical: Held, held_routine: Held, channels: list[Channel]) -> Recent:
    """Return what a page shows of what is held of a device."""
    critical, routine = _events(held_critical), _events(held_routine)
    bases, marks = _times(critical)
    samples: list[Sample] = []
    inputs: dict[int, Inputs] = {}
    newest = None
    for boot, (order, tick_ms, kind, fields) in routine:
        if kind == INPUTS:
            inputs[fields[0]] = Inputs(decode_bins(fields[2]), fields[1], (tick_ms, boot))
        if kind == SAMPLE:
            samples.append(Sample(_at(bases, boot, tick_ms), order, list(fields[0]), list(fields[1])))
            newest = (tick_ms, boot)
    samples = samples[-SAMPLES_MAX:]
    since = samples[0].at if samples else 0
    acts = [
        act for boot, event in critical for act in _acts(event, _at(bases, boot, event[1])) if act.at >= since
    ]
    decisions = [
        (event[0], fields[4], fields[1], fields[11])
        for _, event in critical
        if event[2] == DECISION and len(fields := event[3]) == 12
    ]
    unreadable = held_critical.unreadable + held_routine.unreadable
    wall = _wall(marks, newest)
    return Recent(channels, samples, acts, inputs, decisions[-50:], newest, wall, unreadable)


def _events(of: Held) -> list[tuple[int, Event]]:
    """Return (boot, event) by order."""
    events = [event for body in of.bodies for event in body.events or ()]
    events.sort(key=lambda one: one[1][0])
    return events


def _times(critical: list[tuple[int, Event]]) -> tuple[dict[int, int], dict[int, tuple[int, int, int]]]:
    """Return boot -> rule tick at its tick 0, and boot -> (tick_ms, wall_ms, error_ms) of its newest time mark."""
    bases: dict[int, int] = {}
    marks: dict[int, tuple[int, int, int]] = {}
    for boot, (_, tick_ms, kind, fields) in critical:
        if kind == BOOT:
            bases[boot] = fields[1]
        elif kind == DECISION and len(fields) == 12:
            bases.setdefault(boot, fields[4] - tick_ms // RULE_TICK_MS)
        elif kind == TIME_MARK:
            marks[boot] = (tick_ms, fields[0], fields[1])
    return bases, marks


def _at(bases: dict[int, int], boot: int, tick_ms: int) -> int:
    return bases.get(boot, max(bases.values(), default=0)) + tick_ms // RULE_TICK_MS


def _wall(marks: dict[int, tuple[int, int, int]], newest: tuple[int, int] | None) -> tuple[int, int] | None:
    # An accelerated device's ticks are no wall time: a mark says when it was set, and no more than that is shown.
    if newest is None or newest[1] not in marks:
        return None
    return marks[newest[1]][1:]


def _acts(event: Event, at: int) -> list[Act]:
    order, _, kind, fields = event
    if kind == DECISION and len(fields) == 12:
        return [
            Act(at, order, kind, fields[1], action, value, verdict)
            for action, value, verdict, _ in fields[11]
        ]
    if kind == ACTION:
        return [Act(at, order, kind, None, fields[1], fields[2], fields[3])]
    return []


def device_channels(connection: sqlite3.Connection, device: bytes) -> list[Channel]:
    """Return the channels of the schema that the device's bundle is for; [] if the office does not hold it."""
    row = connection.execute(
        "SELECT b.body FROM reports r JOIN bundles b ON b.digest = r.digest WHERE r.device = ?", (device,)
    ).fetchone()
    prefix = loads(row[0], 16)[3] if row else b""
    body = connection.execute(
        "SELECT body FROM schemas WHERE ?1 != x'' AND substr(digest, 1, length(?1)) = ?1", (prefix,)
    ).fetchone()
    return [Channel(*one[:5]) for one in loads(body[0])[1]] if body else []
