"""The tables of the way down: traits, rollouts, reports, adoptions, commands. Written only inside a store's transaction.

Source: schema/0003_down.sql.
"""

import json
from typing import Any, NamedTuple

from office_ingest.storage.sqlite import SqliteStore
from protocol.command import Command, seal_command
from protocol.messages import Heartbeat

RUNNING = "running"
HALTED = "halted"

# What is wrong with an answer to a command: nobody gave the number, it was given for another demand, it is not the only answer.
UNKNOWN = "unknown"
OTHER = "other"
TWICE = "twice"


class Traits(NamedTuple):
    """What releases are meant for. schema: first 8 bytes of its digest; bundle: digest of the one provisioned; b"" if not known."""

    kind: str
    cohort: str
    hardware: str
    schema: bytes = b""
    bundle: bytes = b""


class Rollout(NamedTuple):
    """One release being rolled out. state: RUNNING or HALTED."""

    number: int
    state: str
    author: str
    started_ms: int
    changed_ms: int


class Adoption(NamedTuple):
    """One adoption event of a device. step, detail: SPEC.md section 12.6; digest: of the manifest, or None."""

    epoch: int
    event_order: int
    boot: int
    tick_ms: int
    number: int
    step: int
    digest: bytes | None
    detail: int
    received_ms: int


class CommandRow(NamedTuple):
    """One command. raw: None if this database never gave it; demand, answer: as decoded; verdict: None until answered."""

    number: int
    raw: bytes | None
    demand: list[Any]
    author: str
    made_ms: int
    until_ms: int
    verdict: int | None
    answer: Any
    event_order: int | None
    answered_ms: int | None


class Downward:
    """Reads and writes those tables of one store."""

    def __init__(self, store: SqliteStore):
        self._store = store

    # traits and reports

    def put_traits(self, device: bytes, traits: Traits) -> None:
        """Say what releases are for a device."""
        self._store.put("device_traits", device, *traits)

    def traits(self, device: bytes) -> Traits | None:
        """Return a device's traits, None if provisioning said nothing."""
        row = self._store.connection.execute(
            "SELECT kind, cohort, hardware, schema, bundle FROM device_traits WHERE device = ?", (device,)
        ).fetchone()
        return None if row is None else Traits(*row)

    def all_traits(self) -> list[tuple[bytes, Traits]]:
        """Return every device that has traits and is not revoked, with them."""
        rows = self._store.connection.execute(
            "SELECT device, kind, cohort, hardware, schema, bundle FROM device_traits"
            " WHERE device NOT IN (SELECT device FROM revoked)"
        )
        return [(row[0], Traits(*row[1:])) for row in rows]

    def put_report(self, heartbeat: Heartbeat, received_ms: int) -> None:
        """Keep what a verified heartbeat, newer than all before it, names as the bundle that decides."""
        h = heartbeat
        self._store.put("reports", h.device, h.boot, h.counter, *h.bundle, received_ms)

    # rollouts

    def put_rollout(self, rollout: Rollout) -> None:
        """Start, halt or resume the rollout of a release."""
        self._store.put("rollouts", *rollout)

    def rollouts(self) -> list[Rollout]:
        """Return every rollout, the highest number first."""
        rows = self._store.connection.execute(
            "SELECT number, state, author, started_ms, changed_ms FROM rollouts ORDER BY number DESC"
        )
        return [Rollout(*row) for row in rows]

    # adoptions

    def add_adoption(self, device: bytes, adoption: Adoption) -> None:
        """Keep one adoption event; the same event again changes nothing."""
        self._store.put("adoptions", device, *adoption)

    def adoptions(self, device: bytes) -> list[Adoption]:
        """Return the adoption events of a device, the newest first."""
        rows = self._store.connection.execute(
            "SELECT epoch, event_order, boot, tick_ms, number, step, digest, detail, received_ms FROM adoptions"
            " WHERE device = ? ORDER BY epoch DESC, event_order DESC",
            (device,),
        )
        return [Adoption(*row) for row in rows]

    def adoptions_of(self, number: int) -> list[tuple[bytes, Adoption]]:
        """Return (device, adoption event) about one release, the oldest first."""
        rows = self._store.connection.execute(
            "SELECT device, epoch, event_order, boot, tick_ms, number, step, digest, detail, received_ms"
            " FROM adoptions WHERE number = ? ORDER BY epoch, event_order",
            (number,),
        )
        return [(row[0], Adoption(*row[1:])) for row in rows]

    def adoptions_since(self, number: int, rowid: int) -> list[tuple[int, bytes, Adoption]]:
        """Return (rowid, device, adoption event) about one release from a rowid on, in the order in which they were written."""
        rows = self._store.connection.execute(
            "SELECT rowid, device, epoch, event_order, boot, tick_ms, number, step, digest, detail, received_ms"
            " FROM adoptions WHERE number = ? AND rowid >= ? ORDER BY rowid",
            (number, rowid),
        )
        return [(row[0], row[1], Adoption(*row[2:])) for row in rows]

    # commands

    def add_command(
        self,
        device: bytes,
        number: int,
        raw: bytes,
        demand: list[Any],
        author: str,
        made_ms: int,
        until_ms: int,
    ) -> None:
        """Keep a new command; number must be next_command()."""
        body = json.dumps(demand)
        self._store.put(
            "commands", device, number, raw, body, author, made_ms, until_ms, None, None, None, None
        )

    def next_command(self, device: bytes) -> int:
        """Return the number after the highest that was given to a device, or that it ever answered."""
        row = self._store.connection.execute(
            "SELECT coalesce(max(number), 0) + 1 FROM commands WHERE device = ?", (device,)
        ).fetchone()
        return row[0]

    def answer_command(
        self,
        device: bytes,
        number: int,
        demand: list[Any],
        verdict: int,
        answer: Any,
        event_order: int,
        answered_ms: int,
    ) -> str | None:
        """Keep what a device's command event says, unless it is wrong; return what is wrong with it: UNKNOWN, OTHER or TWICE.

        Of two answers the one of the lower order is kept, whichever comes first.
        """
        held = self.command(device, number)
        given: tuple[Any, ...] = (None, json.dumps(demand), "", 0, 0)
        if held is not None and held.raw is not None:
            if held.demand != demand:
                return OTHER
            given = (held.raw, json.dumps(held.demand), held.author, held.made_ms, held.until_ms)
        before = event_order if held is None or held.event_order is None else held.event_order
        if event_order <= before:
            said = json.dumps(answer)
            self._store.put("commands", device, number, *given, verdict, said, event_order, answered_ms)
        if given[0] is None:
            return UNKNOWN
        return None if event_order == before else TWICE

    def command(self, device: bytes, number: int) -> CommandRow | None:
        """Return one command, or None."""
        found = [row for row in self.commands(device) if row.number == number]
        return found[0] if found else None

    def commands(self, device: bytes) -> list[CommandRow]:
        """Return the commands of a device, the newest first."""
        rows = self._store.connection.execute(
            "SELECT number, raw, body, author, made_ms, until_ms, verdict, answer, event_order, answered_ms"
            " FROM commands WHERE device = ? ORDER BY number DESC",
            (device,),
        )
        return [_command(row) for row in rows]

    def reseal_commands(self, device: bytes, key: bytes, now_ms: int) -> None:
        """Seal the commands that wait for a device anew, under another command key: it has another downlink key."""
        for row in self.commands(device):
            if row.verdict is None and row.raw is not None and row.until_ms > now_ms:
                raw = seal_command(Command(device, row.number, row.until_ms, row.demand), key)
                said = (json.dumps(row.demand), row.author, row.made_ms, row.until_ms, None, None, None, None)
                self._store.put("commands", device, row.number, raw, *said)

    def waiting_commands(self, device: bytes, now_ms: int, most: int) -> list[bytes]:
        """Return the sealed commands that a device has not answered and that are not too late, lowest numbers first."""
        rows = self._store.connection.execute(
            "SELECT raw FROM commands WHERE device = ? AND verdict IS NULL AND raw IS NOT NULL AND until_ms > ?"
            " ORDER BY number LIMIT ?",
            (device, now_ms, most),
        )
        return [row[0] for row in rows]


def _command(row: tuple[Any, ...]) -> CommandRow:
    number, raw, body, author, made_ms, until_ms, verdict, answer, event_order, answered_ms = row
    said = None if answer is None else json.loads(answer)
    return CommandRow(
        number, raw, json.loads(body), author, made_ms, until_ms, verdict, said, event_order, answered_ms
    )
