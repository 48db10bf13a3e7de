"""The fleet's page shows who was asked for in the order that was asked for, whatever was asked before and has changed since."""

import random

import pytest

from office_ingest.show.order import SORTS, Asked
from office_ingest.show.snapshot import STATES
from office_ingest.storage.sqlite import SqliteStore
from tests.office_ingest.show.conftest import NOW_MS

_GRAVITY = {state: place for place, state in enumerate(STATES)}
_KEYS = {
    "name": lambda row: 0,
    "heard": lambda row: -(row.heard_ms or 0),
    "events": lambda row: -row.events,
    "decisions": lambda row: -row.decisions,
    "state": lambda row: _GRAVITY[row.state],
    "version": lambda row: -1 if row.version is None else row.version,
}


def _afresh(page, asked):
    rows = [
        row
        for row in page.room.snapshot.rows
        if asked.state in ("", row.state)
        and asked.site in ("", row.site)
        and (asked.q.lower() in row.name.lower() or row.device.hex().startswith(asked.q.lower()))
    ]
    return sorted(rows, key=_KEYS[asked.sort])


def check_orders(page, seed):
    """Ask this and that of an office while it changes."""
    chance = random.Random(seed)
    store = SqliteStore.open(page.fleet.config.parent / "office.db")
    devices = store.device_ids()
    for at in range(60):
        with store.transaction():
            store.put("reports", chance.choice(devices), 9, at, at % 4, bytes(32), NOW_MS + at)
        if chance.random() < 0.5:
            page.look()
        asked = Asked(
            chance.choice(("", "pump", "0001", devices[0].hex()[:3], "nobody")),
            chance.choice(("", "", "silent", "waiting", "ok")),
            chance.choice(("", "", "Elm Harbour")),
            chance.choice(list(SORTS)),
        )
        for _ in range(2):
            assert _afresh(page, asked) == page.room.orders.look(page.room.snapshot, asked)
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_are_kept_in_order_are_those_that_are_sorted_anew(own_page, seed):
    """Search, state, site and every order, asked twice, of a fleet that changes."""
    check_orders(own_page, seed)


def test_every_order_is_held_against_its_meaning():
    """An order without a test of what it means would be any order."""
    assert list(SORTS) == list(_KEYS)
