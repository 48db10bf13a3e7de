"""Real processes: a device's readings, until now readable at the gateway, are for the office alone from its next view period on, and back."""

import asyncio
import contextlib
import sqlite3

import pytest

from gateway.store_view import StoreView
from office_ingest.receive.keystore import Keystore
from protocol.event import SAMPLE, decode_events
from protocol.keys import OFFICE, ROUTINE, SITE
from protocol.segment import parse_segment
from tests.site.at_rest import CHANNELS, marked, open_body
from tests.site.harness import lay_out, proved, stop_all, until
from tests.site.test_replaced_gateway import Place
from tests.support.marks import files_below, of_number, search
from tools import provision

# No two readings are the same, so that each is of one class.
FIRST_READING = 1_918_273_645
PERIOD_REAL_S = 3
# Room for all that they record: nothing is pruned before the office has it.
SECTORS = 120
NAMES = ("clear", "site", "office")


def told_apart(recording):
    """Return a recording in which five readings of ten are numbers that occur once."""
    return marked(recording, lambda at: FIRST_READING + 1009 * at)


class Life:
    """A site of two devices with short view periods; the first changes its class."""

    def __init__(self, folder):
        self.folder = folder

    async def live(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(provision, "DEMO_CHANNELS", CHANNELS)
            self.site = await lay_out(self.folder, devices=2, sectors=SECTORS)
        self.place = Place(self.site)
        for at in (1, 2):
            self._prepare(self.folder / f"device-{at}")
        recording = self.folder / "recording.csv"
        recording.write_text(told_apart(recording.read_text()))
        try:
            await self._run()
        finally:
            await self.site.close()

    def _prepare(self, folder):
        settings = folder / "device.toml"
        text = settings.read_text()
        scale = int(text.partition("clock_scale = ")[2].partition("\n")[0])
        settings.write_text(f"period_s = {scale * PERIOD_REAL_S}\n{text}")
        own = folder / "recording.csv"
        if own.exists():
            own.write_text(told_apart(own.read_text()))

    async def _run(self):
        site = self.site
        await site.office.start()
        await asyncio.to_thread(
            self.place.run, "office", "view", "grant", "gateway", "--config", self.place.config
        )
        await site.gateway.start()
        for device in site.devices:
            await device.start()
        await until(lambda: self._counts()["read"] > 2, "readings at the gateway")
        await self._change(OFFICE)
        await until(self._is_other_read, "the other device is read on in class site")
        self.found, self.kept = self.search(), self.shown()
        await self._change(SITE)
        await stop_all(site)

    def _is_other_read(self):
        seen = self.shown()[self.site.device_ids[1]]
        return max(period for period, _ in seen) > min(self.periods(OFFICE))

    async def _change(self, view_class):
        """Order a class, and wait for two whole periods in it."""
        words = ("command", "class", self.site.device_ids[0].hex(), NAMES[view_class], "--wait", "30")
        await asyncio.to_thread(self.place.run, *words, "--config", self.place.config)
        before = self.periods(view_class)
        await until(
            lambda: len(self.periods(view_class) - before) >= 2, f"periods in class {NAMES[view_class]}"
        )

    def _counts(self):
        with StoreView(self.site.gateway_folder / "gateway.db") as view:
            return view.health()["counts"]

    def routine(self, device):
        """Return the routine segments of a device, as the office has them."""
        sql = "SELECT raw FROM segments WHERE device = ? AND lane = ? AND class <> 0 ORDER BY epoch, number"
        with contextlib.closing(sqlite3.connect(self.site.office_folder / "office.db")) as database:
            return [row[0] for row in database.execute(sql, (device, ROUTINE))]

    def _periods_of(self, at, view_class):
        headers = [parse_segment(raw).header for raw in self.routine(self.site.device_ids[at])]
        return {header.period for header in headers if header.view_class == view_class}

    def periods(self, view_class):
        """Return the view periods in which the first device sealed readings in a class."""
        return self._periods_of(0, view_class)

    def readings(self, device, view_class):
        """Return the marked readings of a device's segments of one class."""
        found = set()
        with contextlib.closing(
            Keystore.open(self.site.office_folder / "keystore.db", read_only=True)
        ) as keystore:
            for raw in self.routine(device):
                header = parse_segment(raw).header
                if header.view_class == view_class:
                    _, events = decode_events(open_body(keystore, raw), header.count)
                    for values in [event[3][0] for event in events if event[2] == SAMPLE]:
                        found |= {value for value in values if value is not None}
        return {value for value in found if value >= FIRST_READING}

    def search(self):
        """Return which readings of class office of the first device lie in the open in any file of gateway, devices or logs."""
        kept = {
            name: path
            for name, path in files_below(self.folder).items()
            if name.startswith(("gateway/", "device-", "logs/")) and not name.endswith("recording.csv")
        }
        self.sealed = self.readings(self.site.device_ids[0], OFFICE)
        return search({f"{value}": of_number(value) for value in self.sealed}, kept)

    def shown(self):
        """Return device -> {(period, value)} that the gateway keeps to show."""
        found = {device: set() for device in self.site.device_ids}
        with contextlib.closing(sqlite3.connect(self.site.gateway_folder / "gateway.db")) as store:
            for device, period, value in store.execute("SELECT device, period, value FROM readings"):
                found[device].add((period, value))
        return found


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    made = Life(tmp_path_factory.mktemp("classes"))
    asyncio.run(made.live())
    return made


def test_each_period_is_of_one_class_and_both_changes_came(life):
    """By the headers that office and gateway hold: no period is in both, and the first and the last are in class site."""
    site, office = life.periods(SITE), life.periods(OFFICE)

    assert not site & office
    assert min(site) < min(office) <= max(office) < max(site)


def test_gateway_reads_class_site_and_nothing_of_class_office(life):
    """Of what was sealed for the office alone no reading lies at the gateway or in the open on flash; of class site it shows the newest."""
    first, second = life.site.device_ids
    closed = life.periods(OFFICE)

    assert len(life.sealed) > 5
    assert [] == life.found
    assert life.kept[first] and max(period for period, _ in life.kept[first]) < min(closed)
    assert max(period for period, _ in life.kept[second]) > min(closed)
    assert not life.sealed & {value for _, value in life.kept[first]}


def test_nothing_is_lost_or_doubled_by_the_change(life):
    """Every chain closes over both changes, and the auditor opens all of it."""
    proved(life.site)
