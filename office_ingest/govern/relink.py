"""Gives a device another link to its gateways: a command like any other, with the link itself kept first, for gateways to be told.

The link of before is served on until the device is heard to use the other one (`receive.relinks`): nothing here ends it.

Source: SPEC.md sections 5.4 and 10.2.
"""

import secrets
from typing import Any

from office_ingest.govern.commands import CommandRefused, give_command, may_be_taken
from office_ingest.govern.rekey import GIVEN, IN_FORCE, REFUSED, TAKEN, rekey_status
from office_ingest.health import health_of
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.relinks import HALF_BYTES, Relinks, demand_of
from office_ingest.storage.authority import AuthorityStore
from office_ingest.storage.downward import CommandRow, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.command import DONE, RELINK

_RANDOM_BYTES = 2 * HALF_BYTES
# A sender ID has four bytes: that of another device is met once in a great while, and not twice.
_TRIES = 4


def give_relink(
    store: SqliteStore,
    keystore: Keystore,
    device: bytes,
    uncertified: list[str],
    *,
    author: str,
    now_ms: int,
    lasts_ms: int,
) -> CommandRow:
    """Give a device another link. uncertified: gateways of its site that the office tells no links, uncertified_gateways().

    Raises as give_command; CommandRefused where a link would end that somebody may need, or nobody would serve the other one.
    """
    relinks = Relinks(keystore)
    keystore.downlink(device)
    _check_gateways(uncertified)
    _check_rekey(store, device, now_ms)
    left = _settle_before(store, relinks, device, now_ms)
    _check_number(Downward(store).next_command(device), relinks.settled(device))
    _check_links(relinks.links(device), left)
    meant: dict[str, Any] = {"author": author, "now_ms": now_ms, "lasts_ms": lasts_ms}
    if left is not None:
        return _give(store, keystore, device, left, **meant)
    for _ in range(_TRIES):
        random = secrets.token_bytes(_RANDOM_BYTES)
        try:
            return _give(store, keystore, device, random, **meant)
        except ValueError:
            # Its sender ID is another device's.
            continue
    raise CommandRefused("no sender ID that is free was found; ask again")


def _give(
    store: SqliteStore, keystore: Keystore, device: bytes, random: bytes, *, now_ms: int, **meant: Any
) -> CommandRow:
    relinks = Relinks(keystore)
    kept: list[int] = []

    def keep(number: int) -> None:
        relinks.add(device, number, random, now_ms)
        kept.append(number)

    try:
        return give_command(store, keystore, device, demand_of(random), now_ms=now_ms, keep=keep, **meant)
    except Exception:
        # No command names it: nobody can have taken it.
        for number in kept:
            relinks.forget(device, number)
        raise


def _check_gateways(uncertified: list[str]) -> None:
    if uncertified:
        names = ", ".join(uncertified[:8])
        raise CommandRefused(
            f"the office tells links only to gateways with a certificate, and {names} of its site has none: it would serve the device no"
            " more once the link of before ends; outstation office gateway invite, then outstation gateway enrol there"
        )


def _check_rekey(store: SqliteStore, device: bytes, now_ms: int) -> None:
    status = rekey_status(store, device)
    if status is None or status["state"] not in (GIVEN, TAKEN):
        return
    command = Downward(store).command(device, status["command"])
    if command is not None and may_be_taken(store, device, command, now_ms):
        raise CommandRefused(
            f"command {command.number} to take other keys is not settled: the link would follow from the keys of before"
        )


def _settle_before(store: SqliteStore, relinks: Relinks, device: bytes, now_ms: int) -> bytes | None:
    """End what is left of a relink that was never taken; return what is random in one that was kept and never given: its giver ended in between.

    Raises CommandRefused for any other that is pending.
    """
    pending = relinks.pending(device)
    if pending is None:
        return None
    command = Downward(store).command(device, pending.number)
    if command is None and pending.number == Downward(store).next_command(device):
        return pending.random
    if command is None or command.demand != pending.demand:
        raise CommandRefused(
            f"a link of command {pending.number} is kept that is no such command here: the database is of before it. What the device says in its"
            " next heartbeats settles it"
        )
    if command.verdict == DONE:
        raise CommandRefused(f"it took command {command.number} and was not heard over that link yet")
    if may_be_taken(store, device, command, now_ms):
        raise CommandRefused(
            f"command {command.number} to take another link waits, or was taken and not heard of; once its time is over, an answer to a later"
            " command says that it was not: outstation command report"
        )
    relinks.drop(device, pending.number)
    return None


def _check_number(number: int, settled: int) -> None:
    """A device refuses a number that it took before, and goes on saying that its link is of that command: the other link would be believed in use."""
    if number <= settled:
        raise CommandRefused(
            f"this database was put back from before command {settled}, which settled its link, and would give number {number} again: let"
            f" {settled - number + 1} other commands use those numbers up first, outstation command report"
        )


def _check_links(kids: list[bytes], left: bytes | None) -> None:
    if not kids:
        raise CommandRefused(
            "the office does not know its link: outstation office device links FILE takes it from a gateway's links.toml"
        )
    if len(kids) > (1 if left is None else 2):
        raise CommandRefused("it has two links already, and none of them is of a command")


def uncertified_gateways(
    store: SqliteStore, authorities: AuthorityStore, device: bytes, now_ms: int
) -> list[str]:
    """Return the gateways of a device's site that have no good certificate, and are not revoked; a made-up one if there is none at all."""
    rows = store.connection.execute(
        "SELECT id FROM gateways WHERE site = (SELECT site FROM devices WHERE id = ?) ORDER BY id", (device,)
    )
    names = [row[0] for row in rows]
    revoked = {row.name for row in authorities.gateways() if row.revoked_ms is not None}
    serving = [name for name in names if name not in revoked]
    if not serving:
        return ["every gateway"]
    good = {name for name in serving if any(one.until_ms > now_ms for one in authorities.certificates(name))}
    return [name for name in serving if name not in good]


def relink_status(store: SqliteStore, device: bytes) -> dict[str, Any] | None:
    """Return how the newest relink of a device stands, None if none was ever given.

    state: GIVEN: not answered; TAKEN: it says that it took it, and was not heard over the other link yet; IN_FORCE: it was; REFUSED.
    """
    rows = [row for row in Downward(store).commands(device) if row.demand[:1] == [RELINK]]
    if not rows:
        return None
    newest = rows[0]
    return {
        "command": newest.number,
        "state": _state(store, device, newest),
        "author": newest.author,
        "made_ms": newest.made_ms,
        "until_ms": newest.until_ms,
    }


def _state(store: SqliteStore, device: bytes, newest: CommandRow) -> str:
    if newest.verdict not in (None, DONE):
        return REFUSED
    health = health_of(store.connection, device)
    if health is not None and health.get("relink") == newest.number:
        return IN_FORCE
    return GIVEN if newest.verdict is None else TAKEN
