"""Gives a device other keys: a command like any other, with what its keystore must know kept first.

Source: SPEC.md sections 5.4 and 10.1.
"""

import secrets
import sqlite3
from typing import Any

from office_ingest.govern.commands import CommandRefused, give_command
from office_ingest.govern.views import newest_period
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.relinks import Relinks
from office_ingest.storage.downward import CommandRow, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.command import DONE, REKEY
from protocol.keys import CRITICAL, LANES, OFFICE, SITE
from protocol.limits import uint32_max

# How far above all that is verified other keys begin: a device seals 32 segments a generation, and a period is a day. It may have a long
# backlog; but a generation must stay within generation_ahead_max of what the office knows, and a gateway's keys of periods ahead below.
GENERATIONS_AHEAD = 1024
PERIODS_AHEAD = 64
_HALF_BYTES = 8

GIVEN = "given"
TAKEN = "taken"
IN_FORCE = "in force"
REFUSED = "refused"


def give_rekey(
    store: SqliteStore, keystore: Keystore, device: bytes, *, author: str, now_ms: int, lasts_ms: int
) -> CommandRow:
    """Give a device other keys for all that is sealed end to end. Raises as give_command.

    CommandRefused while one waits already, or a relink is not settled: its link follows from the downlink key of now.
    """
    waits = [one for one in _rekeys(store, device) if one.verdict is None and now_ms < one.until_ms]
    if waits:
        raise CommandRefused(f"command {waits[0].number} to take other keys waits already")
    relink = Relinks(keystore).pending(device)
    if relink is not None:
        raise CommandRefused(
            f"command {relink.number} to take another link is not settled: one after the other"
        )
    demand = [REKEY, *_begins(store.connection, keystore, device), *_halves()]
    return give_command(
        store,
        keystore,
        device,
        demand,
        author=author,
        now_ms=now_ms,
        lasts_ms=lasts_ms,
        keep=lambda number: keystore.add_rekey(device, number, demand),
    )


def _begins(connection: sqlite3.Connection, keystore: Keystore, device: bytes) -> tuple[int, int]:
    """Return generation and period with which other keys begin."""
    highest = max(_newest_generation(connection, device, lane) for lane in LANES)
    known = [keystore.period_ahead(device, view_class) for view_class in (SITE, OFFICE)]
    period = max(newest_period(connection, device), *known) + PERIODS_AHEAD
    generation = max(highest, *keystore.rekey_generations(device), 0) + GENERATIONS_AHEAD
    if max(generation, period) > uint32_max:
        raise CommandRefused("generations or periods of this device are used up: provision it anew")
    return generation, period


def _newest_generation(connection: sqlite3.Connection, device: bytes, lane: int) -> int:
    """Return the generation of the newest segment held of a lane, the highest there is; 0 if none is held."""
    row = connection.execute(
        "SELECT generation FROM segments WHERE device = ? AND lane = ? ORDER BY epoch DESC, number DESC LIMIT 1",
        (device, lane),
    ).fetchone()
    return 0 if row is None else row[0]


def _halves() -> list[int]:
    return [int.from_bytes(secrets.token_bytes(_HALF_BYTES), "big") for _ in range(2)]


def _rekeys(store: SqliteStore, device: bytes) -> list[CommandRow]:
    return [row for row in Downward(store).commands(device) if row.demand[:1] == [REKEY]]


def rekey_status(store: SqliteStore, device: bytes) -> dict[str, Any] | None:
    """Return how the newest rekey of a device stands, None if none was ever given.

    state: GIVEN: not answered; TAKEN: it says that it took it, and nothing that fits it has come yet; IN_FORCE: proved; REFUSED.
    """
    newest = next(iter(_rekeys(store, device)), None)
    if newest is None:
        return None
    return {
        "command": newest.number,
        "state": _state(store.connection, device, newest),
        "author": newest.author,
        "made_ms": newest.made_ms,
        "until_ms": newest.until_ms,
    }


def _state(connection: sqlite3.Connection, device: bytes, newest: CommandRow) -> str:
    if newest.verdict not in (None, DONE):
        return REFUSED
    if _newest_generation(connection, device, CRITICAL) > newest.demand[1]:
        return IN_FORCE
    return GIVEN if newest.verdict is None else TAKEN
