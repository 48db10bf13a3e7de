"""The fleet that is kept up to date is the fleet that is read anew."""

import random

import pytest

from office_ingest.overview import open_read_only
from office_ingest.show.snapshot import FleetReader
from office_ingest.storage.downward import Adoption, Downward
from office_ingest.storage.interface import GapRow
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, ROLLED_BACK, TRIAL
from tests.office_ingest.show.conftest import NOW_MS, wall_ms
from tools.page_fleet import beat, make_office


@pytest.fixture
def fleet(tmp_path):
    """A small office."""
    return make_office(tmp_path / "office", devices=40, now_ms=NOW_MS)


def _changes(store, chance, devices, at):
    device = chance.choice(devices)
    down = Downward(store)
    place = (device, 1, 0)
    kinds = ("silence", "drift", "rolled-back", "body")
    return [
        lambda: store.add_finding(device, chance.choice(kinds), "", "said", NOW_MS + at),
        lambda: store.clear_finding(device, chance.choice(kinds), "", NOW_MS + at),
        lambda: store.put("reports", device, 9, at, 1 + at % 3, bytes([at % 3] * 32), NOW_MS + at),
        lambda: store.put("tallies", device, at, 3 * at, at, 0),
        lambda: down.add_adoption(
            device, Adoption(0, at, 9, 1, 1, chance.choice((TRIAL, CONFIRMED, ROLLED_BACK)), None, 0, NOW_MS)
        ),
        lambda: store.put_gaps(
            place, set(), {GapRow(chance.choice(("open", "lost")), 5, 7, False)}, None, NOW_MS
        ),
        lambda: store.put_gaps(
            place, {GapRow("open", 5, 7, False), GapRow("lost", 5, 7, False)}, set(), [(5, 7)], NOW_MS
        ),
        lambda: store.put_device(device, f"name-{at % 7}", f"site-{at % 3}", 1),
        lambda: store.put_device(b"new %04d" % (at % 9), f"new-{at}", "site-new", 1),
    ]


def _afresh(connection):
    # Its cast is 1: it counts from its own start.
    return FleetReader(connection).look()


@pytest.mark.parametrize("seed", range(4))
def test_reading_what_was_written_since_gives_what_reading_everything_gives(fleet, seed):
    """After any changes, in any order, the rows and counts kept up to date equal those of a reader that starts afresh."""
    database = fleet.config.parent / "office.db"
    store, connection = SqliteStore.open(database), open_read_only(database)
    chance, kept = random.Random(seed), FleetReader(connection)
    kept.look()
    devices = store.device_ids()
    for at in range(1, 120):
        with store.transaction():
            chance.choice(_changes(store, chance, devices, at))()
        if chance.random() < 0.4:
            assert _afresh(connection) == kept.look()._replace(cast=1)

    assert _afresh(connection) == kept.look()._replace(cast=1)
    store.close()
    connection.close()


def test_a_heartbeat_that_is_taken_is_seen(fleet):
    """The way a heartbeat really comes, through ingest, changes the row of its device and no other."""
    connection = open_read_only(fleet.config.parent / "office.db")
    kept = FleetReader(connection)
    before = list(kept.look().rows)
    beat(fleet, wall_ms, 2)
    after = kept.look().rows
    changed = [row.device for row, old in zip(after, before, strict=True) if row != old]
    connection.close()

    assert [fleet.live[0].device] == changed
