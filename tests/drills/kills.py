"""Every process of a site is killed again and again, on a link that loses datagrams; nothing may be lost, doubled or out of order.

What a device had sampled and not yet sealed when it is killed was never recorded. What is on its flash must be at the office, once.
The rings are large enough for the whole storm: what a ring gives up because nobody came is another drill's business.
"""

import asyncio
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
from tools.site_proof import prove_site

EVERY_S = 2.0
LOSS = 0.2
# (devices, seconds of kills). Two processors carry fifty, but not beside the other lane of drills: see docs/operating/drills.md.
SIZES = {CI: (12, 60.0), "soak": (50, 600.0)}
DRAIN_S = 90


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
        """Strike until the time is up; return when everything runs again."""
        async with asyncio.TaskGroup() as tasks:
            strikes = [
                tasks.create_task(self._strike_each("gateway", lambda: self.site.gateway, seconds)),
                tasks.create_task(self._strike_each("office", lambda: self.site.office, seconds)),
                tasks.create_task(
                    self._strike_each("device", lambda: self.chance.choice(self.site.devices), seconds)
                ),
            ]
            await asyncio.gather(*strikes)
        await asyncio.gather(*self.reviving.values())

    async def _strike_each(self, kind, choose, seconds):
        began = time.monotonic()
        await asyncio.sleep(self.chance.uniform(0.0, EVERY_S))
        while time.monotonic() - began < seconds:
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
    drain_ms=DRAIN_S * 1000,
):
    """Return the row. prepare(site): may change how its processes start, before any does. per_s: samples a second of each device."""
    wanted, rage_s = SIZES[size]
    devices, seconds = devices or wanted, seconds or rage_s
    makes = [
        Make(f"device-{n + 1}", per_s=per_s, seal_s=2, sectors=32, drain_ms=drain_ms) for n in range(devices)
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
        await _story(site, storm, seconds, drain_ms / 1000, say, row)
    except (AssertionError, DiagnosticError) as error:
        row.faults.append(f"story: {error}")
    finally:
        await site.close()
    _judge(row, site, storm, seconds)
    return [row]


async def _story(site, storm, seconds, patience_s, say, row):
    await site.office.start()
    await site.gateway.start()
    await asyncio.gather(*(device.start() for device in site.devices))
    say(f"{len(site.devices)} devices run; kills for {seconds:.0f} s")
    teller = asyncio.create_task(_tell(site, storm, say))
    try:
        await storm.rage(seconds)
    finally:
        teller.cancel()
    row.figures["events_at_the_office_when_kills_end"] = events_held(site.office_folder / "office.db")
    say("the storm is over; devices seal and drain")
    began = time.monotonic()
    # What the settings allow them, and as much again for a busy machine.
    await stop_devices(site, 2 * patience_s)
    await until(lambda: not waiting(site), "the gateway's outbox is not empty", patience_s)
    await stop_services(site)
    row.figures["drain_s"] = round(time.monotonic() - began, 1)


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
    row.require(min(storm.kills.values()) > 0, "kills", f"not everything was killed: {storm.kills}")
