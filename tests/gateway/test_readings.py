"""What a gateway reads with the keys that the office granted, and what it forgets: from the device's seal to the row, and back to nothing."""

import asyncio
import contextlib
import sqlite3

import pytest

from gateway.health import Health
from gateway.readings import Readings
from gateway.store_view import StoreView
from office_ingest.govern.views import put_grant, withdraw_grant
from protocol import keys
from protocol.segment import parse_segment
from protocol.uplink import encode_uplink_answer, parse_uplink_answer
from tests.gateway.site import TestClock, new_store
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk

MARK = 1_234_567_891


class Bench:
    """A gateway's store and its readings, and an office that grants."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "office").mkdir()
        self.desk = OfficeDesk(folder / "office")
        self.device = DeviceModel(1)
        self.desk.add(self.device)
        self.health = Health()
        self.open()

    def open(self):
        """Begin with nothing in memory."""
        self.store = new_store(self.folder, clock=TestClock())
        self.readings = Readings(self.store, self.health, clock=TestClock())

    async def told(self, device=None):
        """Carry out the office's answer to a heartbeat."""
        answer = self.desk.take(heartbeats=[(device or self.device).heartbeat()])
        await self.readings.replace(parse_uplink_answer(encode_uplink_answer(answer)).views)

    async def take(self, raw):
        """Take a segment in custody, and read what may be read."""
        segment = parse_segment(raw)
        await self.store.add_segment(segment)
        self.readings.offer(segment)
        while self.readings._waiting:
            await self.readings.step()

    def sample(self, *values, lane=1):
        """Return a sealed segment of one sample."""
        return self.device.seal(lane, [self.device.sample(list(values))])

    def shown(self):
        """Return (channel, value, period) of every reading, as the command reads them."""
        with StoreView(self.store._path) as view:
            return [(row["channel"], row["value"], row["period"]) for row in view.readings()]

    def written(self):
        """Return the bytes of the store's files."""
        return b"".join(file.read_bytes() for file in self.folder.glob("gateway.db*"))


def runner(folder):
    """Return bench(body): run an async body(bench) on new files."""

    def run(body):
        made = Bench(folder)

        async def main():
            try:
                await body(made)
            finally:
                await made.store.close()
                made.desk.close()

        asyncio.run(main())

    return run


@pytest.fixture
def bench(tmp_path):
    """bench(body): run an async body(bench)."""
    return runner(tmp_path)


def grant(made, past=2, ahead=1):
    """Let the gateway read."""
    put_grant(made.desk.store, "gw-1", past, ahead, "a", made.desk.now_ms)


def test_the_newest_readings_of_class_site_are_shown(bench):
    """From the device's seal through the office's grant to the site: the newest of each channel, and nothing of class office."""

    async def body(made):
        grant(made)
        await made.told()
        await made.take(made.sample(10, 20))
        await made.take(made.sample(11, None))
        await made.take(made.sample(99, 99, lane=0))

        assert [(0, 11, 0), (1, None, 0)] == made.shown()
        assert (2, 0) == (made.health.counts["read"], made.health.counts["unreadable"])

    bench(body)


def test_without_a_grant_nothing_is_read(bench):
    """A gateway carries what it cannot read."""

    async def body(made):
        await made.told()
        await made.take(made.sample(10, 20))

        assert [] == made.shown()

    bench(body)


@pytest.mark.parametrize("wrong", ["class", "device", "period"])
def test_a_key_of_something_else_opens_nothing(bench, wrong):
    """A key of class office, of another device or of another period does not fit, and what it would make of the bytes is not shown."""

    async def body(made):
        device = DeviceModel(2) if wrong == "device" else made.device
        view_class = keys.OFFICE if wrong == "class" else keys.SITE
        ratchet = keys.view_start(device.view_root, view_class)
        key = keys.view_key(keys.view_next(ratchet) if wrong == "period" else ratchet)
        await made.readings.replace([(made.device.device, 0, [key])])
        await made.take(made.sample(10, 20))

        assert ([], 1) == (made.shown(), made.health.counts["unreadable"])

    bench(body)


def test_a_changed_body_is_not_shown(bench):
    """The synthetic IV is checked: without the period's key nobody makes a body that the gateway believes."""

    async def body(made):
        grant(made)
        await made.told()
        raw = bytearray(made.sample(10, 20))
        raw[-40] ^= 1
        await made.take(bytes(raw))

        assert ([], 1) == (made.shown(), made.health.counts["unreadable"])

    bench(body)


@pytest.mark.proves("S49")
@pytest.mark.parametrize("why", ["erased", "withdrawn", "old"])
def test_a_period_that_is_named_no_more_is_forgotten_with_its_readings(bench, why):
    """Neither key nor reading is left, in the database or in its log; the sealed segment stays as it was."""

    async def body(made):
        grant(made, past=0)
        await made.told()
        raw = made.sample(MARK, MARK)
        await made.take(raw)
        key = made.desk.keystore.view_key(made.device.device, keys.SITE, 0)
        assert [(0, MARK, 0), (1, MARK, 0)] == made.shown() and key in made.written()
        if why == "erased":
            made.desk.keystore.erase_period(made.device.device, keys.SITE, 0)
            made.desk.now_ms += 60_000
        elif why == "withdrawn":
            withdraw_grant(made.desk.store, "gw-1", "a", made.desk.now_ms)
        else:
            made.device.period = 1
            made.desk.take(made.device.seal(1))
        await made.told()

        assert [] == made.shown()
        assert key not in made.written() and MARK.to_bytes(4, "big") not in made.written()
        assert raw in made.written()

    bench(body)


def test_keys_and_readings_survive_a_restart(bench):
    """What was granted for an outage is there after it."""

    async def body(made):
        grant(made)
        await made.told()
        await made.take(made.sample(10, 20))
        await made.store.close()
        made.open()
        await made.readings.load()
        await made.take(made.sample(12, 21))

        assert [(0, 12, 0), (1, 21, 0)] == made.shown()

    bench(body)


def test_an_older_segment_that_comes_late_changes_nothing(bench):
    """The newest reading stays, in whatever order segments arrive."""

    async def body(made):
        grant(made)
        await made.told()
        late, newest = made.sample(1, 1), made.sample(2, 2)
        await made.take(newest)
        await made.take(late)

        assert [(0, 2, 0), (1, 2, 0)] == made.shown()

    bench(body)


def test_a_reading_that_its_disk_changed_is_found_and_not_carried_over(bench):
    """A repaired store shows no wrong number."""

    async def body(made):
        grant(made)
        await made.told()
        await made.take(made.sample(10, 20))
        await made.store.close()
        with contextlib.closing(sqlite3.connect(made.store._path)) as connection:
            connection.execute("UPDATE readings SET value = 77 WHERE channel = 0")
            connection.commit()
        made.open()

        assert (1, [(1, 20, 0)]) == (made.store.repaired, made.shown())

    bench(body)
