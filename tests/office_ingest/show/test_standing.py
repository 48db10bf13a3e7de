"""What a release's page keeps up to date is what the office's own count of the rollout says."""

import random

import pytest

from office_ingest.govern.rollout import progress
from office_ingest.storage.downward import Adoption, Downward, Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, REFUSED, ROLLED_BACK, STAGED, TRIAL
from tests.office_ingest.show.conftest import NOW_MS

_STEPS = (STAGED, TRIAL, CONFIRMED, ROLLED_BACK, REFUSED)


def _change(fleet, store, chance, at):
    """Change one thing that a release's page shows."""
    device, down = chance.choice(store.device_ids()), Downward(store)
    old, digests = (
        down.traits(device),
        [row[0] for row in store.connection.execute("SELECT DISTINCT digest FROM reports")],
    )
    step = Adoption(0, chance.randrange(20_000), 9, 1, fleet.release, chance.choice(_STEPS), None, 0, NOW_MS)
    chance.choice(
        [
            lambda: store.put("reports", device, 9, at, 2, chance.choice(digests), NOW_MS + at),
            lambda: down.add_adoption(device, step),
            lambda: down.add_adoption(device, step._replace(number=fleet.release + 1)),
            lambda: down.put_traits(device, Traits(*old)._replace(cohort=chance.choice(("first", "rest")))),
            lambda: store.put_device(device, f"name-{at}", "Elm Harbour", 1),
        ]
    )()


def _shown(page):
    """Return every row that the page shows, over all its pages, and its counts."""
    page.room._look()
    store = SqliteStore(page.room.connection)
    _, standing = page.room.standings.look(store, page.room.snapshot, page.fleet.release)
    first = standing.page(store, page.room.snapshot, 1, 7)
    rows = [
        row
        for at in range(1, first.pages + 1)
        for row in standing.page(store, page.room.snapshot, at, 7).rows
    ]
    return first, rows


@pytest.mark.parametrize("seed", range(3))
def test_standing_kept_up_to_date_is_the_progress_counted_anew(own_page, seed):
    """After any changes, whoever is meant, runs it or failed, and why; who failed comes first, who runs it last."""
    store, chance = SqliteStore.open(own_page.fleet.config.parent / "office.db"), random.Random(seed)
    for at in range(60):
        with store.transaction():
            _change(own_page.fleet, store, chance, at)
        if chance.random() < 0.3:
            counts, rows = own_page.room._worker.submit(_shown, own_page).result()
            expected = progress(store, own_page.fleet.release)
            assert {one.device: one for one in expected} == {one.device: one for one, _ in rows}
            assert (len(expected), sum(one.runs for one in expected)) == (counts.meant, counts.running)
            assert counts.failed == sum(has_failed for _, has_failed in rows)
            places = own_page.room.snapshot.places
            assert rows == sorted(rows, key=lambda one: (one[0].runs, not one[1], places[one[0].device]))
    store.close()
