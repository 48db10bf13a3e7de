"""Hours of an uplink that is cut, while devices go on, reboot and lose power and the gateway is killed; then the way is open again.

Virtual hours: the devices' clocks run many times as fast as the wall's, so that they seal in minutes what a site of ten events a second
seals in hours. When the uplink is back they go on at the wall's pace, and one more device is watched: how late do its
events come while the gateway still drains?
"""

import asyncio
import time
from dataclasses import dataclass

from office_ingest.receive.keystore import Keystore
from protocol.diagnostic import DiagnosticError
from protocol.keys import CRITICAL
from protocol.segment import parse_segment
from tests.drills.books import events_held, read
from tests.drills.field import Make, lay_out, stop_devices
from tests.drills.judgement import judge_books
from tests.site.harness import stop_services, until, waiting, write_synthetic
from tools.demo.ages import open_rows, quantile, read_log
from tools.drills.memory import mib, peak_kib
from tools.drills.plan import CI
from tools.drills.row import Row
from tools.flashimage import read_image
from tools.site_proof import prove_site

DEVICES = 5
# Ten events a second over all devices, on their own clocks.
SAMPLE_MS = 500
EVENTS_PER_S = 10
POWER_CUT = 70
LIVE = "live"
POINTS_MAX = 200


@dataclass(frozen=True)
class Size:
    """hours: virtual ones. per_s: samples a second of the wall, of each device. pause_s: between two blows.

    sectors: of each ring, enough for all hours: what a full ring gives up is another drill's business. seconds_max: patience.
    """

    hours: float
    per_s: int
    pause_s: float
    sectors: int
    seconds_max: float


SIZES = {CI: Size(1.0, 400, 2.0, 96, 90.0), "soak": Size(72.0, 400, 20.0, 512, 7200.0)}


def write_calm(path):
    """Write a recording in which a leak and heat come and go twice an hour, as long as their rules need to see them."""
    lines = []
    for row in range(7200):
        ripple = row * 7 % 13
        flow = (8200 if row % 3600 < 400 else 11000) + ripple
        temperature = (780 if row % 2400 < 400 else 600) + ripple
        lines.append(f"{flow},{temperature}\n")
    path.write_text("".join(lines))


class Outage:
    """The site, and what was done to it."""

    def __init__(self, site, size, say):
        self.site = site
        self.size = size
        self.say = say
        self.peak = 0
        self.done = {"device reboots": 0, "power cuts": 0, "gateway kills": 0}

    @property
    def fleet(self):
        """The devices that fill the outage; the last one is watched later."""
        return self.site.devices[:-1]

    @property
    def dealt_all(self):
        """Say whether each kind of blow was dealt."""
        return min(self.done.values()) > 0

    def recorded(self):
        """Return how many events lie or lay on the fleet's flash."""
        images = [read_image(device.folder / "flash.bin") for device in self.fleet]
        return sum(lane.head.next_sequence for image in images for lane in image.lanes)

    def note_peak(self):
        """Take note of the gateway's memory."""
        self.peak = max(self.peak, peak_kib(self.site.gateway.process.pid))

    async def endure(self):
        """Keep the uplink cut until the fleet has recorded all hours; meanwhile one blow after the other."""
        self.site.uplink.cut()
        wanted = int(self.size.hours * 3600 * EVENTS_PER_S)
        began = time.monotonic()
        blows = (self.reboot, self.cut_power, self.kill_gateway)
        at = 0
        while (
            (recorded := self.recorded()) < wanted or not self.dealt_all
        ) and time.monotonic() - began < self.size.seconds_max:
            if at % 4 == 0:
                self.say(f"uplink cut; {recorded:,} of {wanted:,} events recorded")
            await asyncio.sleep(self.size.pause_s)
            await blows[at % 3](self.fleet[at % DEVICES])
            at += 1
        return wanted

    async def reboot(self, device):
        """SIGKILL a device and start it again."""
        await device.kill()
        await device.start()
        self.done["device reboots"] += 1

    async def cut_power(self, device):
        """Let a device lose power while it writes to flash, and start it again."""
        await device.kill()
        device.arm("fault", power_cut_operation=5, programs_only=True, mode="torn")
        try:
            await device.start()
        except DiagnosticError:
            # It may not live long enough to say that it runs.
            assert device.process.returncode == POWER_CUT, device.failed("another end than the power cut")
        code = await asyncio.wait_for(device.ended(), 30.0)
        assert code == POWER_CUT, device.failed(f"{device.name} ended with {code}, not by the power cut")
        device.arm("fault")
        await device.start()
        self.done["power cuts"] += 1

    async def kill_gateway(self, _device):
        """SIGKILL the gateway and start it again."""
        self.note_peak()
        await self.site.gateway.kill()
        await self.site.gateway.start()
        self.done["gateway kills"] += 1

    async def slow_down(self):
        """Let the fleet go on at the wall's pace, and the watched device start."""
        for device in self.fleet:
            await device.kill()
            device.change("clock_scale", 1)
            device.change("routine_seal_ms", 1000)
        await asyncio.gather(*(device.start() for device in self.site.devices))

    def waits(self):
        """Return the newest row of the gateway's outbox, and how many there are."""
        rows = read(
            self.site.gateway_folder / "gateway.db",
            "SELECT max(id), count(*) FROM segments WHERE raw IS NOT NULL",
        )
        return rows[0] if rows[0][0] is not None else (0, 0)

    def left(self, newest):
        """Return how many rows up to that one still wait."""
        query = "SELECT count(*) FROM segments WHERE raw IS NOT NULL AND id <= ?"
        rows = read(self.site.gateway_folder / "gateway.db", query, (newest,), is_live=True)
        return rows[0][0] if rows else 1

    async def drain(self, newest, began):
        """Wait until the gateway has handed over all rows up to that one; return [seconds since began, how many still wait], often."""
        curve = []

        def is_empty():
            curve.append([round(time.monotonic() - began, 2), self.left(newest)])
            return not curve[-1][1]

        await until(is_empty, "the backlog is not drained", self.size.seconds_max)
        # Of hours a picture needs no more.
        return [*curve[: -1 : len(curve) // POINTS_MAX + 1], curve[-1]]


async def run(folder, size, seed, say, *, prepare=lambda site: None, amounts=None):
    """Return the row. prepare(site): may change how its processes start, before any does; amounts: another Size."""
    amounts = amounts or SIZES[size]
    makes = [
        Make(f"device-{n + 1}", per_s=amounts.per_s, sample_ms=SAMPLE_MS, sectors=amounts.sectors)
        for n in range(DEVICES)
    ]
    about = f"{amounts.hours:g} virtual hours of outage at {EVENTS_PER_S} events/s, with reboots and power cuts, then drained"
    row = Row("outage", about, seed, size)
    site = await lay_out(folder, [*makes, Make(LIVE, per_s=10, has_log=True)], write_recording=write_calm)
    write_synthetic(site.devices[-1].folder / "recording.csv")
    outage = Outage(site, amounts, say)
    prepare(site)
    try:
        await _story(outage, row)
    except (AssertionError, DiagnosticError) as error:
        row.faults.append(f"story: {error}")
    finally:
        await site.close()
    _judge(row, outage)
    return [row]


async def _story(outage, row):
    site = outage.site
    await asyncio.gather(site.office.start(), site.gateway.start())
    await asyncio.gather(*(device.start() for device in outage.fleet))
    books = site.office_folder / "office.db"
    await until(lambda: events_held(books, is_live=True) > 0, "nothing reaches the office")
    wanted = await outage.endure()
    recorded = outage.recorded()
    row.require(recorded >= wanted, "events", f"only {recorded} of {wanted} events were recorded in time")
    await outage.slow_down()
    await asyncio.sleep(2.0)
    newest, count = outage.waits()
    mend_ms, began = int(time.time() * 1000), time.monotonic()
    outage.say(f"the uplink is back; {count:,} segments wait")
    site.uplink.mend()
    curve = await outage.drain(newest, began)
    drained_ms = int(time.time() * 1000)
    row.figures |= {"segments_waiting": count, "drain_s": round(time.monotonic() - began, 1)}
    await asyncio.sleep(2.0)
    outage.note_peak()
    await stop_devices(site, outage.size.seconds_max)
    await until(lambda: not waiting(site), "the gateway's outbox is not empty", outage.size.seconds_max)
    await stop_services(site)
    row.done = {"virtual hours": outage.size.hours, "events in the outage": recorded} | outage.done
    live = _live(site)
    row.figures |= _live_ages(live, mend_ms, drained_ms)
    row.figures["drain_curve"] = _with_ages(curve, live, mend_ms)


def _live(site):
    """Return (lane, recorded, committed) of the watched device's events, in milliseconds."""
    log = read_log(site.devices[-1].folder / "record.log")
    rows = read(
        site.office_folder / "office.db",
        "SELECT raw, committed_ms FROM segments WHERE device = ?",
        (site.device_ids[-1],),
    )
    keystore = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    live = []
    try:
        for raw, committed_ms in rows:
            lane = "critical" if parse_segment(raw).header.lane == CRITICAL else "routine"
            for segment in open_rows([(raw, committed_ms)], keystore):
                live += [(lane, log.get(order, 0), committed_ms) for order in segment.orders]
    finally:
        keystore.close()
    return live


def _live_ages(live, mend_ms, drained_ms):
    """Return milliseconds from record to commit, by lane: of what was recorded while the gateway drained, and later."""
    ages = {}
    for lane, recorded, committed_ms in live:
        if recorded >= mend_ms:
            when = "while_draining" if recorded < drained_ms else "after"
            ages.setdefault(f"live_{lane}_{when}", []).append(committed_ms - recorded)
    return {
        f"{name}_ms": f"median {quantile(sorted(values), 50)}, most {max(values)}, of {len(values)}"
        for name, values in sorted(ages.items())
    }


def _with_ages(curve, live, mend_ms):
    """Give each point the median age of what was recorded since the uplink is back and committed in the second before it, or None."""

    def age(at_ms):
        ages = [done - made for _, made, done in live if made >= mend_ms and at_ms - 1000 < done <= at_ms]
        return quantile(sorted(ages), 50) if ages else None

    # The two seconds after, in which the site only goes on.
    after = [[round(curve[-1][0] + 0.2 * step, 2), 0] for step in range(1, 11)]
    return [[seconds, waiting, age(mend_ms + seconds * 1000)] for seconds, waiting in curve + after]


def _judge(row, outage):
    site = outage.site
    row.figures["gateway_peak_mib"] = mib(outage.peak)
    judge_books(row, site, prove_site(site))
    row.require(outage.dealt_all, "blows", f"not every blow was dealt: {outage.done}")
