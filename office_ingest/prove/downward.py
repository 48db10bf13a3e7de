"""The part of the auditor's walk about the way down: reports, adoptions and commands, each row against the sealed bytes it repeats.

A report repeats the newest heartbeat; an issued command its own sealed bytes: for both no key is needed. An adoption and the answer to a
command repeat an event of a sealed body, so that only the keystore can show where they come from: Told derives them anew as ingest
did, from whatever can be read, and names each row that is another one, is missing, or has no event.
"""

import json
import sqlite3
from typing import Any, NamedTuple, Protocol

from office_ingest.prove.report import Report
from office_ingest.storage.sqlite import NEWEST_HEARTBEAT
from protocol.cbor import dumps
from protocol.command import parse_command
from protocol.errors import ProtocolError
from protocol.event import ADOPTION, ATTESTATION, COMMAND
from protocol.messages import parse_heartbeat

_ADOPTION = ("boot", "tick_ms", "number", "step", "digest", "detail", "received_ms")
_ATTESTATION = ("epoch", "event_order", "boot", "tick_ms", "claims", "received_ms")
_ANSWER = ("verdict", "answer", "event_order", "answered_ms")
_REPORT = ("boot", "counter", "version", "digest", "received_ms")


def check_downward(connection: sqlite3.Connection, report: Report) -> None:
    """Check everything of the way down that needs no key."""
    _check_reports(connection, report)
    for (device,) in connection.execute("SELECT DISTINCT device FROM commands ORDER BY 1").fetchall():
        _check_commands(connection, device, report)


def _check_reports(connection: sqlite3.Connection, report: Report) -> None:
    devices = connection.execute(
        "SELECT device FROM reports UNION SELECT device FROM heartbeats ORDER BY 1"
    ).fetchall()
    for (device,) in devices:
        where = f"device {device.hex()}"
        row = connection.execute(
            f"SELECT {', '.join(_REPORT)} FROM reports WHERE device = ?",  # noqa: S608 - names are ours
            (device,),
        ).fetchone()
        newest = connection.execute(
            f"SELECT raw, received_ms FROM heartbeats WHERE device = ? ORDER BY {NEWEST_HEARTBEAT} LIMIT 1",  # noqa: S608 - names are ours
            (device,),
        ).fetchone()
        if row is None:
            report.find("reports", where, "its newest heartbeat is held and no report repeats it: deleted?")
        elif newest is None:
            report.find("reports", where, "no heartbeat that is held says so: added?")
        else:
            _check_report(where, row, newest[0], newest[1], report)
        report.count("reports_checked")


def _check_report(where: str, row: tuple[Any, ...], raw: bytes, received_ms: int, report: Report) -> None:
    try:
        h = parse_heartbeat(raw).fields
    except ProtocolError:
        return  # Said where heartbeats are checked.
    due = (h.boot, h.counter, *h.bundle, received_ms)
    _differ("reports", where, _REPORT, row, due, "its newest heartbeat says", report)


def _check_commands(connection: sqlite3.Connection, device: bytes, report: Report) -> None:
    rows = connection.execute(
        "SELECT number, raw, body, author, made_ms, until_ms, verdict FROM commands WHERE device = ? ORDER BY number",
        (device,),
    ).fetchall()
    for number, raw, *row in rows:
        where = f"device {device.hex()} number {number}"
        if raw is not None:
            _check_issued(raw, (device, number, row[3], row[0]), where, report)
        elif row[1:4] != ["", 0, 0] or row[4] is None:
            report.find(
                "commands", where, "nobody gave it, and it is not an answer alone: were its bytes deleted?"
            )
        report.count("commands_checked")
    _check_numbers(device, [(number, raw is None) for number, raw, *_ in rows], report)


def _check_numbers(device: bytes, rows: list[tuple[int, bool]], report: Report) -> None:
    """Numbers rise by one from 1; below one that only the device knows, a restored database may lack what it gave since its backup."""
    unknown = max((number for number, is_unknown in rows if is_unknown), default=0)
    due = 1
    for number, _ in rows:
        if due < number and number > unknown:
            where = f"device {device.hex()} number {max(due, unknown + 1)}"
            report.find("commands", where, f"numbers up to {number - 1} are missing: deleted?")
        due = number + 1


def _check_issued(raw: bytes, row: tuple[bytes, int, int, str], where: str, report: Report) -> None:
    try:
        c = parse_command(raw).fields
    except ProtocolError as error:
        report.find("commands", where, f"raw bytes are no command: {error}")
        return
    sealed = (c.device, c.number, c.until_ms, json.dumps(c.demand))
    names = ("device", "number", "until_ms", "body")
    _differ("commands", where, names, row, sealed, "the sealed bytes say", report)


def _differ(
    table: str,
    where: str,
    names: tuple[str, ...],
    row: tuple[Any, ...],
    due: tuple[Any, ...],
    who: str,
    report: Report,
) -> None:
    for name, stored, sealed in zip(names, row, due, strict=True):
        if stored != sealed:
            report.find(table, where, f"column {name} is {_shown(stored)}, {who} {_shown(sealed)}")


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class MayBeUnread(Protocol):
    """Of an event's order and, where it is known, epoch: whether its body is held and cannot be read."""

    def __call__(self, order: int, epoch: int | None = None) -> bool: ...


class _Answer(NamedTuple):
    """What one command event says. body, answer: JSON, as rows have them."""

    order: int
    body: str
    verdict: int
    answer: str
    received_ms: int


class Told:
    """All adoption and command events of one device that can be read, in any order; then compared with its rows."""

    def __init__(self, device: bytes):
        self._device = device
        self._adoptions: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        self._answers: dict[int, list[_Answer]] = {}
        # Of the newest event, as its row has it: epoch and order first.
        self._attested: tuple[Any, ...] | None = None

    def take(
        self, epoch: int, boot: int, event: tuple[int, int, int, tuple[Any, ...]], received_ms: int
    ) -> None:
        """Take one event of a verified body. received_ms: when the segment with it came."""
        order, tick_ms, kind, fields = event
        if kind == ADOPTION:
            step, number, digest, detail = fields
            row = (boot, tick_ms, number, step, digest, detail, received_ms)
            self._adoptions.setdefault((epoch, order), []).append(row)
        elif kind == COMMAND:
            number, demand, verdict, outcome = fields
            answer = _Answer(order, json.dumps(demand), verdict, json.dumps(outcome), received_ms)
            self._answers.setdefault(number, []).append(answer)
        elif kind == ATTESTATION and (self._attested is None or (epoch, order) > self._attested[:2]):
            self._attested = (epoch, order, boot, tick_ms, dumps(fields[0]), received_ms)

    def compare(self, connection: sqlite3.Connection, report: Report, may_be_unread: MayBeUnread) -> None:
        """Find each row that is not what the events give. may_be_unread: of an order and, where a row has it, epoch, whether its body is held and cannot be read."""
        self._compare_adoptions(connection, report, may_be_unread)
        self._compare_answers(connection, report, may_be_unread)
        self._compare_attestation(connection, report, may_be_unread)

    def _compare_attestation(
        self, connection: sqlite3.Connection, report: Report, may_be_unread: MayBeUnread
    ) -> None:
        row = connection.execute(
            f"SELECT {', '.join(_ATTESTATION)} FROM attestations WHERE device = ?",  # noqa: S608 - names are ours
            (self._device,),
        ).fetchone()
        where, due = f"device {self._device.hex()}", self._attested
        if row is None:
            # An office of before took such events and kept no row. Whether one was deleted, the count of all rows says.
            return
        if due is None or row[:2] > due[:2]:
            if not may_be_unread(row[1], row[0]):
                report.find("attestations", where, "no sealed event says so: added?")
            return
        _differ("attestations", where, _ATTESTATION, row, due, "the newest sealed event says", report)
        report.count("attestations_checked")

    def _compare_adoptions(
        self, connection: sqlite3.Connection, report: Report, may_be_unread: MayBeUnread
    ) -> None:
        rows = connection.execute(
            f"SELECT epoch, event_order, {', '.join(_ADOPTION)} FROM adoptions WHERE device = ?"  # noqa: S608 - names are ours
            " ORDER BY epoch, event_order",
            (self._device,),
        ).fetchall()
        missing = dict(self._adoptions)
        for epoch, order, *row in rows:
            where = self._adoption_place(epoch, order)
            due = missing.pop((epoch, order), None)
            if due is None:
                if not may_be_unread(order, epoch):
                    report.find("adoptions", where, "no sealed event says so: added?")
                continue
            if tuple(row) not in due:
                _differ("adoptions", where, _ADOPTION, tuple(row), due[0], "the sealed event says", report)
            report.count("adoptions_checked")
        for epoch, order in sorted(missing):
            where = self._adoption_place(epoch, order)
            report.find("adoptions", where, "a sealed event says so and the row is missing: deleted?")

    def _adoption_place(self, epoch: int, order: int) -> str:
        return f"device {self._device.hex()} epoch {epoch} event_order {order}"

    def _compare_answers(
        self, connection: sqlite3.Connection, report: Report, may_be_unread: MayBeUnread
    ) -> None:
        rows = connection.execute(
            "SELECT number, raw, body, verdict, answer, event_order, answered_ms FROM commands"
            " WHERE device = ? ORDER BY number",
            (self._device,),
        ).fetchall()
        missing = set(self._answers)
        for number, raw, body, *row in rows:
            missing.discard(number)
            where = f"device {self._device.hex()} number {number}"
            due = self._due_answer(number, None if raw is None else body)
            if row[2] is not None and may_be_unread(row[2]) and (due is None or row[2] < due.order):
                continue
            if due is None:
                if any(value is not None for value in row):
                    report.find("commands", where, "no sealed event answers it so: added?")
                continue
            if raw is None and body != due.body:
                _differ("commands", where, ("body",), (body,), (due.body,), "the sealed event says", report)
            said = (due.verdict, due.answer, due.order, due.received_ms)
            _differ("commands", where, _ANSWER, tuple(row), said, "the sealed event says", report)
            report.count("answers_checked")
        for number in sorted(missing):
            where = f"device {self._device.hex()} number {number}"
            report.find("commands", where, "a sealed event answers it and the row is missing: deleted?")

    def _due_answer(self, number: int, body: str | None) -> _Answer | None:
        """Return the answer of the lowest order, of those to this demand; body None: to any, nobody here gave it."""
        fitting = [one for one in self._answers.get(number, []) if body in (None, one.body)]
        return min(fitting, default=None)
