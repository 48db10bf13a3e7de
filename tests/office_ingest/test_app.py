"""The wired office, less its sockets: what its parts do together over time, by a clock that the test turns."""

import asyncio
import sqlite3
from contextlib import contextmanager
from functools import partial

import pytest

from office_ingest import app
from office_ingest.app import Office
from office_ingest.config import read_office
from office_ingest.founding import found_office
from office_ingest.receive.registry import Registry
from tests.support.device_model import DeviceModel

NOW_MS = 1_700_000_000_000


class _Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def wall_ms(self):
        return NOW_MS + round(self.now * 1000)


@contextmanager
def make_site(folder):
    """Give what starts the same office again and again: site() -> Office; site.clock, site.device."""
    config = found_office(folder, now_ms=NOW_MS, port=0, interval_s=10, grace_s=5)
    clock, device = _Clock(), DeviceModel()
    running = []

    def start():
        while running:
            running.pop().close()
        running.append(Office(read_office(config), clock))
        return running[0]

    office = start()
    Registry(office.store).add_device(device.device, name="pump", site="site-1", now_ms=1)
    Registry(office.store).add_gateway("gw-1", name="gw-1", site="site-1", token="x" * 32, now_ms=1)
    device.enrol(office.keystore)
    start.clock, start.device = clock, device
    yield start
    running[0].close()


@pytest.fixture
def site(tmp_path):
    """That office, in a folder of its own."""
    with make_site(tmp_path / "office") as made:
        yield made


def _silence(office):
    rows = office.store.connection.execute("SELECT state, times FROM findings WHERE kind = 'silence'")
    return rows.fetchall()


def test_silence_becomes_a_finding_and_a_heartbeat_ends_it(site):
    """Two intervals and the grace without a heartbeat are a finding; forged ones do not end it, the next true one does."""
    office = site()
    office.core.ingest.take("gw-1", [], [site.device.heartbeat()])
    office.core.check_silence()
    site.clock.now += 25
    office.core.check_silence()
    before = _silence(office)
    site.clock.now += 1
    office.core.check_silence()
    found = _silence(office)
    forged = bytearray(site.device.heartbeat())
    forged[-1] ^= 1
    office.core.ingest.take("gw-1", [], [bytes(forged)])
    office.core.check_silence()
    after_forged = _silence(office)
    office.core.ingest.take("gw-1", [], [site.device.heartbeat()])
    office.core.check_silence()

    assert ([], [("open", 1)], [("open", 1)], [("cleared", 1)]) == (
        *(before, found, after_forged, _silence(office)),
    )


def check_pace(site):
    office = site()
    spaced = site.device.heartbeat(health={13: 60_000})
    office.core.ingest.take("gw-1", [], [spaced, site.device.heartbeat(health={})])
    office = site()
    office.core.check_silence()
    site.clock.now += 125
    office.core.check_silence()
    within = _silence(office)
    site.clock.now += 1
    office.core.check_silence()

    assert ([], [("open", 1)]) == (within, _silence(office))


def test_restarted_office_remembers_how_far_apart_heartbeats_are(site):
    """Said before the restart, and not again since: the device is given as long as before it, and no longer."""
    check_pace(site)


def check_watch_goes_on(site):
    """Neither a disk that gives nothing nor rows that make no sum end the watch, and one check does not keep the other from its turn."""
    office, asked = site(), []

    def fails(name):
        asked.append(name)
        raise sqlite3.OperationalError("integer overflow")

    office.core.check_silence = partial(fails, "silence")
    office.core.check_budgets = partial(fails, "budgets")

    async def run():
        watch = asyncio.create_task(office.watch_silence())
        while len(asked) < 4 and not watch.done():
            await asyncio.sleep(0.001)
        assert not watch.done()
        watch.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "_CHECKS_PER_INTERVAL", 10_000)
        asyncio.run(run())
    assert asked == ["silence", "budgets"] * 2


def test_watch_for_silence_survives_what_it_cannot_read(site):
    """The next look finds what this one did not."""
    check_watch_goes_on(site)


def check_seen_pace(site, change=lambda device, number: None, limit_s=25):
    """A spaced device is back at the usual distance, and what said so never came: five heartbeats, changed by some number, say it."""
    office, device = site(), site.device
    office.core.ingest.take("gw-1", [], [device.heartbeat(health={13: 60_000})])
    for number in range(5):
        device.tick_ms += 10_000
        change(device, number)
        office.core.ingest.take("gw-1", [], [device.heartbeat(health={0: 1})])
    office.core.check_silence()
    site.clock.now += limit_s
    office.core.check_silence()
    within = _silence(office)
    site.clock.now += 1
    office.core.check_silence()

    assert ([], [("open", 1)]) == (within, _silence(office))


def test_device_that_is_heard_as_often_as_ever_is_given_no_longer(site):
    """A gateway dropped what it said, or the database was put back: its own ticks speak against the word of before."""
    check_seen_pace(site)


def _hurried(device, number):
    device.tick_ms += 50_000 if number == 2 else 0


def _missed(device, number):
    device.counter += number == 2


@pytest.mark.parametrize("change", [_hurried, _missed], ids=["one is late", "one is missing"])
def test_device_whose_distance_nobody_can_tell_is_given_what_it_said(site, change):
    """Retries on a bad link raise its counter, and one that was late says nothing of the others."""
    check_seen_pace(site, change, limit_s=125)


def check_pace_of_an_earlier_boot(site):
    """The device booted since it said so: the new boot said something too, and this office lost it; asked in memory, and after a restart."""
    office, device = site(), site.device
    device.boot = 1
    office.core.ingest.take("gw-1", [], [device.heartbeat(health={13: 60_000})])
    device.boot, device.counter = 2, 7
    office.core.ingest.take("gw-1", [], [device.heartbeat(health={})])
    limits = [office.core.watch.limit_of(device.device), site().core.watch.limit_of(device.device)]

    assert limits == [office.core.watch.limit_s] * 2


def test_word_of_an_earlier_boot_holds_no_longer(site):
    """A device says its pace in each heartbeat of a boot until it is answered."""
    check_pace_of_an_earlier_boot(site)


def test_silence_found_before_a_restart_still_ends(site):
    """A finding that another run of the office opened is ended by the device's next heartbeat, and by nothing else."""
    office = site()
    office.core.check_silence()
    site.clock.now += 26
    office.core.check_silence()
    office = site()
    site.clock.now += 1
    office.core.check_silence()
    after_restart = _silence(office)
    office.core.ingest.take("gw-1", [], [site.device.heartbeat()])
    office.core.check_silence()

    assert ([("open", 1)], [("cleared", 1)]) == (after_restart, _silence(office))
