"""Gives commands: sealed for one device under its downlink key, numbered, kept until the device's own event answers.

Source: SPEC.md section 5.4.
"""

from collections.abc import Callable
from typing import Any

from office_ingest.errors import OfficeError
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.downward import CommandRow, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.command import (
    DEMAND_NAMES,
    DONE,
    GUARDED,
    REKEY,
    RELINK,
    REPORT,
    ROOT,
    ROUTINE_CLASS,
    SET_ACTUATOR,
    SET_SETTING,
    SETTINGS,
    VERDICT_NAMES,
    Command,
    root_digest,
    seal_command,
)
from protocol.keys import CLASS_NAMES, downlink_key
from protocol.limits import uint32_max
from rules.bundle import Gate, read_bundle
from rules.guard import verdict_words

# Waiting commands of one device: more than a person gives, fewer than a gateway keeps.
WAITING_MAX = 64


class CommandRefused(OfficeError):
    """What was asked for would be refused by the device for certain. Who must act: the person who asked."""


def give_command(
    store: SqliteStore,
    keystore: Keystore,
    device: bytes,
    demand: list[int],
    *,
    author: str,
    now_ms: int,
    lasts_ms: int,
    keep: Callable[[int], None] = lambda _number: None,
) -> CommandRow:
    """Seal and keep a command; the service hands it to the gateway of the device with the next uplink answer.

    demand: as protocol.command has it. lasts_ms: after so long from now the device no longer carries it out. keep(number): called before
    anybody can be given the command.
    Raises CommandRefused, KeyUnknown, StoreUnavailable: nothing was given then.
    """
    down = Downward(store)
    _check(store, device, demand)
    until_ms = now_ms + lasts_ms
    with store.transaction():
        if len(down.waiting_commands(device, now_ms, WAITING_MAX)) >= WAITING_MAX:
            raise CommandRefused(f"{WAITING_MAX} commands wait for this device already")
        number = down.next_command(device)
        if number > uint32_max:
            raise CommandRefused("the numbers of this device's commands are used up")
        keep(number)
        # Here, not before: a batch that proves a device's other downlink key waits for this transaction, or was before it.
        key = downlink_key(keystore.downlink(device), "command")
        raw = seal_command(Command(device, number, until_ms, demand), key)
        down.add_command(device, number, raw, demand, author, now_ms, until_ms)
    given = down.command(device, number)
    assert given is not None
    return given


def may_be_taken(store: SqliteStore, device: bytes, command: CommandRow, now_ms: int) -> bool:
    """Return whether a command that has no answer here may have been taken, or may yet be.

    A device takes commands in their order, and each leaves an event: an answer to a later one without a hole before it says that this one
    was never taken.
    """
    if command.verdict is not None:
        return command.verdict == DONE
    if now_ms < command.until_ms:
        return True
    later = [row for row in Downward(store).commands(device) if row.number > command.number]
    is_passed = any(row.verdict is not None for row in later)
    return not is_passed or store.has_holes_since(device, command.made_ms)


def _check(store: SqliteStore, device: bytes, demand: list[int]) -> None:
    if store.is_revoked(device):
        raise CommandRefused("the device is revoked: nothing is said to it any more")
    if demand[0] == SET_SETTING:
        name, low, high = SETTINGS[demand[1]]
        if not low <= demand[2] <= high:
            raise CommandRefused(f"{name} is {low} to {high}, not {demand[2]}")
    if demand[0] == SET_ACTUATOR:
        gates = running_gates(store, device)
        if gates is None:
            return
        found = [gate for gate in gates if gate.action == demand[1]]
        if not found:
            known = ", ".join(str(gate.action) for gate in gates) or "none"
            raise CommandRefused(f"its rules have no gate for action {demand[1]}; they have {known}")
        if not found[0].low <= demand[2] <= found[0].high:
            raise CommandRefused(
                f"the gate of action {demand[1]} lets {found[0].low} to {found[0].high} pass, not {demand[2]}"
            )


def running_gates(store: SqliteStore, device: bytes) -> list[Gate] | None:
    """Return the gates of the bundle that a device's newest heartbeat names; None if the office does not hold it."""
    row = store.connection.execute(
        "SELECT b.body FROM reports r JOIN bundles b ON b.digest = r.digest WHERE r.device = ?", (device,)
    ).fetchone()
    return None if row is None else list(read_bundle(row[0]).gates)


def demand_words(demand: list[int]) -> str:
    """Return what a command asks for: "set actuator 1 to 0"."""
    if demand[0] == SET_ACTUATOR:
        return f"set actuator {demand[1]} to {demand[2]}"
    if demand[:2] == [SET_SETTING, ROUTINE_CLASS] and demand[2] < len(CLASS_NAMES):
        return f"seal routine events in class {CLASS_NAMES[demand[2]]}"
    if demand[0] == SET_SETTING and demand[1] < len(SETTINGS):
        return f"change setting {SETTINGS[demand[1]][0]} to {demand[2]}"
    if demand[0] == REKEY:
        return f"take other keys, from generation {demand[1]} and period {demand[2]} on"
    if demand[0] == ROOT:
        return f"take another release root, replacement {root_digest(demand).hex()[:16]}"
    if demand[0] == RELINK:
        return "take another link"
    return DEMAND_NAMES[REPORT] if demand[0] == REPORT else f"demand {demand}"


def answer_words(command: CommandRow, now_ms: int) -> str:
    """Return how a command stands, in words."""
    if command.verdict is None:
        return "waiting" if now_ms < command.until_ms else "not answered in its time"
    said = VERDICT_NAMES[command.verdict] if command.verdict < len(VERDICT_NAMES) else str(command.verdict)
    if command.verdict == GUARDED and isinstance(command.answer, list):
        return f"{said}: {verdict_words(command.answer[0])}"
    return said


def _shown(demand: list[int]) -> list[int]:
    """Return a demand without what is random in it: that is nobody's business who only reads."""
    kept = {REKEY: 3, RELINK: 1}
    return demand[: kept.get(demand[0], len(demand))]


def command_as_json(command: CommandRow, now_ms: int) -> dict[str, Any]:
    """Return a command as a JSON object."""
    return {
        "number": command.number,
        "demand": _shown(command.demand),
        "words": demand_words(command.demand),
        "author": command.author,
        "made_ms": command.made_ms,
        "until_ms": command.until_ms,
        "state": answer_words(command, now_ms),
        "verdict": command.verdict,
        "answer": command.answer,
        "event_order": command.event_order,
        "answered_ms": command.answered_ms,
    }
