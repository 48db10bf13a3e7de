"""Every process of a site is killed again and again, on a link that loses datagrams; nothing may be lost, doubled or out of order.

What a device had sampled and not yet sealed when it is killed was never recorded. What is on its flash must be at the office, once.
The rings are large enough for the whole storm: what a ring gives up because nobody came is another drill's business.
"""

import asyncio
import contextlib
import random
import time

from protocol.diagnostic import DiagnosticError
from tests.drills.books import events_held, read
from tests.drills.field import Make, lay_out, stop_devices
from tests.drills.judgement import judge_books
from tests.site.harness import stop_services, until, waiting
from tools.drills.memory import mib, peak_kib
from tools.drills.plan import CI
from tools.drills.row import Row
from tools.relay import keep_all
from tools.site_proof import prove_site

EVERY_S = 2.0
LOSS = 0.2
# (devices, seconds of kills, seconds of patience with what is left then). Fifty need two processors to themselves: tools/drills/plan.py.
# They record faster than a site can take that is killed every two seconds: what waits at the end grows with the storm.
SIZES = {CI: (50, 60.0, 90), "soak": (50, 600.0, 900)}
# So many heartbeats of a device that drains, and none of its events: then there will be none.
HEARD_IN_VAIN = 10
# How long the office may take to the number at which the kills begin.
NUMBERS_S = 10.0
# How many times longer than it should the storm goes on where it was not enough.
RAGE_MAX = 5


class Loss:
    """keep() of a relay: drops a share of all datagrams, each way, by a seed."""

    def __init__(self, share: float, seed: int):
        self._share = share
        self._chance = random.Random(seed)

    def __call__(self, upward: bool, datagram: bytes) -> bool:
        return self._chance.random() >= self._share


class Storm:
    """Strikes gateway, office and one device after the other, each kind every EVERY_S, and starts anew what fell."""

    def __init__(self, site, seed):
        self.site = site
        self.chance = random.Random(seed)
        self.kills = {"gateway": 0, "office": 0, "device": 0}
        # Whoever has not been ready since its last kill is spared once: a process that never runs proves nothing.
        self.spared = {"gateway": 0, "office": 0, "device": 0}
        self.reviving = {}
        self.peak = {"gateway": 0, "office": 0}

    async def rage(self, seconds: float) -> None:
        """Strike until the time is up and each kind was struck; return when everything runs again."""
        began = time.monotonic()

        def is_over():
            passed = time.monotonic() - began
            return passed > RAGE_MAX * seconds or (passed > seconds and self.struck_all)

        async with asyncio.TaskGroup() as tasks:
            strikes = [
                tasks.create_task(self._strike_each("gateway", lambda: self.site.gateway, is_over)),
                tasks.create_task(self._strike_each("office", lambda: self.site.office, is_over)),
                tasks.create_task(
                    self._strike_each("device", lambda: self.chance.choice(self.site.devices), is_over)
                ),
            ]
            await asyncio.gather(*strikes)
        await asyncio.gather(*self.reviving.values())

    @property
    def struck_all(self) -> bool:
        """Say whether each kind of process was killed."""
        return min(self.kills.values()) > 0

    async def _strike_each(self, kind, choose, is_over):
        await asyncio.sleep(self.chance.uniform(0.0, EVERY_S))
        while not is_over():
            self._strike(kind, choose())
            await asyncio.sleep(EVERY_S)

    def _strike(self, kind, service):
        revival = self.reviving.get(service.name)
        if revival is not None and not revival.done():
            self.spared[kind] += 1
            return
        if kind in self.peak:
            self.peak[kind] = max(self.peak[kind], peak_kib(service.process.pid))
        if not service.is_running:
            raise service.failed(f"{service.name} ended with {service.process.returncode} by itself")
        service.send_kill()
        self.kills[kind] += 1
        self.reviving[service.name] = asyncio.get_running_loop().create_task(self._revive(service))

    async def _revive(self, service):
        await service.ended()
        await service.start()


async def run(
    folder,
    size,
    seed,
    say,
    *,
    prepare=lambda site: None,
    devices=None,
    seconds=None,
    per_s=1,
    ack_timeout_ms=250,
    numbers=0,
    drain_ms=None,
    is_calm_after=False,
):
    """Return the row. prepare(site): may change how its processes start, before any does. per_s: samples a second of each device.

    numbers: the kills and the loss begin once the office holds this number of each device. is_calm_after: no datagram is lost after them.
    """
    wanted, rage_s, drain_s = SIZES[size]
    devices, seconds, drain_ms = devices or wanted, seconds or rage_s, drain_ms or drain_s * 1000
    makes = [
        Make(
            f"device-{n + 1}",
            per_s=per_s,
            seal_s=2,
            sectors=32,
            ack_timeout_ms=ack_timeout_ms,
            drain_ms=drain_ms,
        )
        for n in range(devices)
    ]
    row = Row(
        "kills",
        f"SIGKILL of gateway, office and a device every {EVERY_S:g} s at {LOSS:.0%} loss each way",
        seed,
        size,
    )
    site = await lay_out(folder, makes, keep=Loss(LOSS, seed))
    storm = Storm(site, seed)
    prepare(site)
    try:
        await _storm(site, storm, seconds, numbers, say)
        if is_calm_after:
            site.link.keep = keep_all
        row.figures["events_at_the_office_when_kills_end"] = events_held(site.office_folder / "office.db")
        await _drain(site, drain_ms / 1000, say, row)
    except (AssertionError, DiagnosticError) as error:
        row.faults.append(f"story: {error}")
    finally:
        await site.close()
    _judge(row, site, storm, seconds)
    return [row]


async def _storm(site, storm, seconds, numbers, say):
    await asyncio.gather(site.office.start(), site.gateway.start())
    await asyncio.gather(*(device.start() for device in site.devices))
    if numbers:
        lossy, site.link.keep = site.link.keep, keep_all
        await _come_to(site, numbers)
        site.link.keep = lossy
    say(f"{len(site.devices)} devices run; kills for {seconds:.0f} s")
    teller = asyncio.create_task(_tell(site, storm, say))
    try:
        await storm.rage(seconds)
    finally:
        teller.cancel()


async def _come_to(site, numbers):
    def is_there():
        query = "SELECT device FROM segments GROUP BY device HAVING max(number) >= ?"
        return len(read(site.office_folder / "office.db", query, (numbers,), is_live=True)) == len(
            site.devices
        )

    # An office that gets nothing, or keeps nothing, never comes there: its drill goes on, and finds it.
    with contextlib.suppress(AssertionError):
        await until(is_there, "the office does not hold enough", NUMBERS_S)


async def _drain(site, patience_s, say, row):
    say("the storm is over; devices seal and drain")
    began = time.monotonic()
    # What the settings allow them, and as much again for a busy machine.
    stopping = asyncio.create_task(stop_devices(site, 2 * patience_s))
    still = Stillness(site)
    while not stopping.done():
        if still.is_for_good():
            for device in site.devices:
                device.send_kill()
        await asyncio.sleep(0.2)
    await stopping
    # What a device waits for, the gateway does not wait for once more.
    left_s = max(1.0, patience_s - (time.monotonic() - began))
    await until(lambda: not waiting(site), "the gateway's outbox is not empty", left_s)
    await stop_services(site)
    row.figures["drain_s"] = round(time.monotonic() - began, 1)


class Stillness:
    """Sees when waiting is in vain: each device that still drains is heard again and again, and the office gets no event by it.

    One that is not heard may come yet: it waits 45 s for an answer whose gateway was killed after it had promised one.
    """

    def __init__(self, site):
        self._site = site
        self._held = -1
        self._heard = {}

    def is_for_good(self) -> bool:
        """Look once."""
        books = self._site.office_folder / "office.db"
        heard = dict(read(books, "SELECT device, count(*) FROM heartbeats GROUP BY device", is_live=True))
        held = events_held(books, is_live=True)
        if held != self._held or not self._heard:
            self._held, self._heard = held, heard
        draining = [d for d, s in zip(self._site.device_ids, self._site.devices, strict=True) if s.is_running]
        more = [heard.get(device, 0) - self._heard.get(device, 0) for device in draining]
        return bool(more) and min(more) >= HEARD_IN_VAIN


async def _tell(site, storm, say):
    while True:
        await asyncio.sleep(10)
        say(
            f"{sum(storm.kills.values())} kills,"
            f" {events_held(site.office_folder / 'office.db', is_live=True)} events at the office"
        )


def _judge(row, site, storm, seconds):
    row.done = {f"{kind} kills": number for kind, number in storm.kills.items()} | {
        "devices": len(site.devices),
        "seconds of kills": int(seconds),
        "datagrams": site.link.datagrams + site.link.dropped,
        "datagrams lost": site.link.dropped,
    }
    row.figures |= {f"{kind}_spared_while_starting": number for kind, number in storm.spared.items()}
    row.figures |= {f"{kind}_peak_mib": mib(peak) for kind, peak in storm.peak.items()}
    row.figures["duplicates_sent"] = read(
        site.office_folder / "office.db", "SELECT sum(duplicates) FROM tallies"
    )[0][0]
    judge_books(row, site, prove_site(site))
    row.require(storm.struck_all, "kills", f"not everything was killed: {storm.kills}")
