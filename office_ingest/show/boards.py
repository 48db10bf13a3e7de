"""Boards that announce themselves and wait for a person's yes: who heard them, for how long, and the command that says yes or no.

The page changes nothing: it writes the command down, as whoever may carry it out would type it. Of a claim's secret it reads nothing.
Source: SPEC.md section 15.
"""

import shlex
import sqlite3
from typing import Any

from office_ingest.receive.claims import ADMITTED, MADE, Board, Hearing, boards

ROWS_MAX = 200
_ADMIT = "outstation office device admit"


def boards_view(connection: sqlite3.Connection, secrets: sqlite3.Connection) -> dict[str, Any]:
    """Return what the page of boards shows. connection: the office's database; secrets: its keystore."""
    every = boards(secrets)
    sites = dict(connection.execute("SELECT id, site FROM gateways").fetchall())
    waiting = [one for one in every if one.waits]
    others = [one for one in every if not one.waits and one.state in (MADE, ADMITTED)]
    return {
        "total": len(waiting),
        "waiting": [_waiting(connection, sites, one) for one in waiting[:ROWS_MAX]],
        "others_total": len(others),
        "others": [_other(one) for one in others[:ROWS_MAX]],
        "ended": len(every) - len(waiting) - len(others),
    }


def waiting_count(secrets: sqlite3.Connection) -> int:
    """Return how many boards wait."""
    return sum(one.waits for one in boards(secrets))


def _waiting(connection: sqlite3.Connection, sites: dict[str, str], one: Board) -> dict[str, Any]:
    # The last gateway that heard it is the one whose site it comes to.
    site = sites.get(one.hearings[0].gateway)
    return {
        "board": one.board,
        "hardware": one.hardware,
        "site": site,
        "since_ms": min(hearing.first_ms for hearing in one.hearings),
        "heard_ms": one.hearings[0].last_ms,
        "heard_by": [_hearing(sites, hearing) for hearing in one.hearings],
        "admit": _admit(connection, one, site),
        "refuse": f"outstation office device refuse {one.board.hex()}",
    }


def _hearing(sites: dict[str, str], hearing: Hearing) -> dict[str, Any]:
    return {**hearing._asdict(), "site": sites.get(hearing.gateway)}


def _admit(connection: sqlite3.Connection, one: Board, site: str | None) -> str | None:
    """Return the command that admits a board under a name of its own; None while no gateway of the office hears it."""
    if site is None:
        return None
    like = _like(connection, one.hardware, site)
    begins = f"--like {shlex.quote(like)}" if like else "--schema schema.cbor --rules bundle.cbor"
    return f'{_ADMIT} {one.board.hex()} --name "board {one.board.hex()[:8]}" {begins}'


def _like(connection: sqlite3.Connection, hardware: str, site: str) -> str | None:
    """Return the name of a device on such a board that the new one can begin as, of its site if there is one."""
    row = connection.execute(
        "SELECT d.name FROM devices d JOIN device_traits t ON t.device = d.id WHERE t.hardware = ?"
        " AND t.bundle IN (SELECT digest FROM bundles) AND t.schema IN (SELECT substr(digest, 1, 8) FROM schemas)"
        " AND d.id NOT IN (SELECT device FROM revoked) ORDER BY d.site <> ?, d.name LIMIT 1",
        (hardware, site),
    ).fetchone()
    return row[0] if row else None


def _other(one: Board) -> dict[str, Any]:
    heard = one.hearings[0] if one.hearings else None
    return {
        "board": one.board,
        "hardware": one.hardware,
        "state": "admitted" if one.state == ADMITTED else "never heard",
        "site": one.site,
        "made_ms": one.made_ms,
        "heard_ms": heard.last_ms if heard else None,
    }
