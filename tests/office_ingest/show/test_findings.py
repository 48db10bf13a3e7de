"""The findings' page is what the database holds at that moment, the newest of each list, whatever was kept of the look before."""

import random

import pytest

from office_ingest.overview import findings_overview, quarantine_overview
from office_ingest.show import findings
from office_ingest.show.paper import Paper
from office_ingest.storage.interface import GapRow
from office_ingest.storage.sqlite import SqliteStore
from tests.office_ingest.show.conftest import NOW_MS

_KINDS = ("silence", "drift", "rolled-back", "body")


class Troubles:
    """The database of a page's office, opened for writing."""

    def __init__(self, page, seed=0):
        self.page = page
        self.chance = random.Random(seed)
        self.store = SqliteStore.open(page.fleet.config.parent / "office.db")
        self.devices = self.store.device_ids()

    def change(self, at):
        """Change one thing that the findings' page shows, or one that it does not."""
        chance, store, device = self.chance, self.store, self.chance.choice(self.devices)
        place, said = f"place {chance.randrange(3)}", b"%016d" % chance.randrange(40)
        gap = GapRow(chance.choice(("open", "lost")), 5, 7 + at, False)
        with store.transaction():
            chance.choice(
                (
                    lambda: store.add_finding(device, chance.choice(_KINDS), place, "said", NOW_MS + at % 7),
                    lambda: store.clear_finding(device, chance.choice(_KINDS), place, NOW_MS + at),
                    lambda: store.put_gaps((device, 1, 0), set(), {gap}, None, NOW_MS),
                    lambda: store.put("forks", said, device, 0, 0, at, at, "place", b"", "gateway", NOW_MS),
                    lambda: store.put(
                        "quarantine", said, device, 3, "no", b"", "gateway", NOW_MS - at % 9, at
                    ),
                    lambda: store.put("quarantine", said, None, 3, "no", b"", "gateway", NOW_MS + at % 9, at),
                    lambda: store.put_device(device, f"name-{at}", "Elm Harbour", 1),
                    lambda: store.put("reports", device, 9, at, 2, bytes(32), NOW_MS + at),
                )
            )()

    def kept(self, *, cleared):
        """Return what the page shows, as its thread gives it."""
        room = self.page.room
        return room._worker.submit(lambda: room.findings.look(room.connection, cleared=cleared)).result()

    def afresh(self, *, cleared):
        """Return the same with every row read and sorted here."""
        found = findings_overview(self.store.connection, cleared=cleared)
        found.sort(key=lambda one: (one["first_ms"], one["kind"], one["place"], one["device"]))
        found.sort(key=lambda one: (one["kind"] != "silence", one["last_ms"]))
        return {
            "cleared": cleared,
            "findings": found[-findings.ROWS_MAX :][::-1],
            "total": len(found),
            "gaps": self._rows(
                "SELECT g.device, d.name, g.lane, g.epoch, g.state, g.start, g.stop FROM gaps g LEFT JOIN devices d"
                " ON d.id = g.device WHERE g.state != 'filled' ORDER BY g.state DESC, d.name"
            ),
            "forks": self._rows(
                "SELECT f.device, d.name, f.lane, f.epoch, f.number, f.kind, f.received_ms FROM forks f LEFT JOIN"
                " devices d ON d.id = f.device ORDER BY f.received_ms DESC"
            ),
            "quarantine": quarantine_overview(self.store.connection)[-findings.ROWS_MAX :],
        }

    def _rows(self, sql):
        cursor = self.store.connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(findings.ROWS_MAX)]

    def close(self):
        """Close the database."""
        self.store.close()


@pytest.fixture
def troubles(own_page):
    """An office that a test may change."""
    made = Troubles(own_page)
    yield made
    made.close()


@pytest.mark.parametrize("most", [findings.ROWS_MAX, 5])
@pytest.mark.parametrize("seed", range(3))
def test_findings_that_are_kept_are_those_that_are_read_anew(troubles, monkeypatch, seed, most):
    """After any changes, with and without what is over. most: rows of each list."""
    monkeypatch.setattr(findings, "ROWS_MAX", most)
    troubles.chance = random.Random(seed)
    for at in range(80):
        troubles.change(at)
        if troubles.chance.random() < 0.4:
            cleared = troubles.chance.random() < 0.5
            assert troubles.afresh(cleared=cleared) == troubles.kept(cleared=cleared)


def test_findings_of_one_device_are_its_own_newest(troubles):
    """Oldest first, those that are over too, no more than asked for."""
    for at in range(150):
        troubles.change(at)
    connection = troubles.store.connection
    every = findings_overview(connection, cleared=True)
    for device in troubles.devices:
        own = [one for one in every if one["device"] == device.hex()]
        assert own[-3:] == findings_overview(connection, cleared=True, device=device, most=3)
        still = [one for one in own if one["state"] == "open"]
        assert still[-2:] == findings_overview(connection, cleared=False, device=device, most=2)


def test_findings_are_written_anew_when_they_changed(troubles):
    """The page itself, not only what it is made of; and the time on it is that of the answer."""
    before = troubles.page.get("/findings").text
    again = troubles.page.get("/findings").text
    with troubles.store.transaction():
        troubles.store.add_finding(troubles.devices[0], "drift", "", "runs what nobody knows", NOW_MS + 1)
    after = troubles.page.get("/findings").text

    assert before == again
    assert ("nobody knows" in before, "nobody knows" in after) == (False, True)


def test_what_is_not_written_anew_bears_the_time_of_its_answer():
    """A page that is as it was is shown with the time at which that was found, in one place and no other."""
    paper = Paper("office")
    shown = {"cleared": False, "findings": [], "total": 0, "gaps": [], "forks": [], "quarantine": []}
    pages = [paper.write("findings", shown, "/findings", f"10:00:0{second}") for second in range(3)]

    assert [pages[0].replace("10:00:00", f"10:00:0{second}") for second in range(3)] == pages
    assert 3 == len(set(pages))


def test_heartbeats_alone_read_no_finding(troubles):
    """What a second brings to a fleet in which nothing is wrong."""
    before = troubles.kept(cleared=False)
    with troubles.store.transaction():
        troubles.store.put("reports", troubles.devices[0], 9, 1, 2, bytes(32), NOW_MS)

    assert before is troubles.kept(cleared=False)
