"""One running site whose device, gateway and office are killed again and again: no figure of the proof changes.

What a device had sampled and not yet sealed when it is killed was never recorded: it lies in memory, not on flash. Everything
that is on flash must be at the office, once.

First the rings are filled, fast and undisturbed. Then the devices go on slowly, so that a full ring turns during the kills, and yet
holds more than a slow machine can be late with: what a ring gives up because nobody came is another promise's business.
"""

import asyncio
import random
import sqlite3

import pytest

from gateway.points import POINTS as GATEWAY_POINTS
from office_ingest.points import POINTS as OFFICE_POINTS
from protocol.diagnostic import DiagnosticError
from tests.agent.way_down import (
    ADOPTION_POINTS,
    COMMAND_POINTS,
    LINK_POINTS,
    REKEY_POINTS,
    ROLLBACK_POINTS,
    ROOT_POINTS,
)
from tests.site.harness import (
    chosen_seed,
    end_at_point,
    free_sectors,
    lay_out,
    proved,
    repeat_command,
    set_pace,
    start_all,
    stop_all,
    stop_devices,
    stop_services,
    until,
    waiting,
)
from tools.device import PointsSection

MOMENTS = 20
# How often one more kill is tried where none had the office asked twice.
_ASKED_TWICE_TRIES = 8
# Samples a second while the rings are filled, and during the kills.
FAST, SLOW = 100, 8
DEVICE_POINTS = (
    ("before_seal", "after_seal", "before_program", "before_erase"),
    ("before_readback", "after_readback", "before_actuate", "after_actuate"),
    ("before_send", "after_answer", "after_program", "after_erase"),
)
# How often a point may be passed before the kill: not often where it comes once in seconds.
_COUNTS_MAX = {"before_actuate": 2, "after_actuate": 2, "before_erase": 1, "after_erase": 1}
_COUNT_MAX = 4
HERE = "tests/site/test_kills.py::test_kills_at_every_point_and_at_seeded_moments_change_no_figure"


class Story:
    """What is done to a site, by one seed; told: each kill in the order in which it happened."""

    def __init__(self, site, seed):
        self.site = site
        self.chance = random.Random(seed)
        self.told = []
        self.starting = set()
        self.struck = set()

    async def fill_rings(self):
        """Run undisturbed until every ring has been written to its end, and end the devices with all of it receipted."""
        site = self.site
        await start_all(site)
        folders = [site.folder / device.name for device in site.devices]
        await until(lambda: max(map(free_sectors, folders)) <= 2, "not every ring is full")
        await stop_devices(site)
        await until(lambda: not waiting(site), "the gateway's outbox is not empty")
        for folder in folders:
            set_pace(folder, SLOW)
        await stop_services(site)

    async def points(self, service, names, folder=None):
        """Let a process end at one named point after the other; each next start has the next point armed."""
        for name in names:
            count = self.chance.randint(1, _COUNTS_MAX.get(name, _COUNT_MAX))
            await end_at_point(service, name, count, folder)
            self.told.append(f"{service.name} {name}:{count}")
        await service.start()

    async def every_point(self):
        """All named points of all processes: office, gateway and devices at the same time, each in its own order."""
        site = self.site
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.points(site.office, OFFICE_POINTS))
            tasks.create_task(self.points(site.gateway, GATEWAY_POINTS))
            for device, names in zip(site.devices, DEVICE_POINTS, strict=True):
                tasks.create_task(self.points(device, names, site.folder / device.name))

    async def moments(self, count):
        """SIGKILL at seeded moments, wherever the process is then, its own start included."""
        site = self.site
        killable = [*site.devices, site.gateway, site.office]
        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                await asyncio.sleep(self.chance.uniform(0.1, 0.6))
                service, pause = self.chance.choice(killable), self.chance.uniform(0.0, 0.6)
                await self.until_it_runs(service)
                is_starting = service in self.starting
                self.struck.add(service)
                service.send_kill()
                self.told.append(f"{service.name} SIGKILL" + (" while it starts" if is_starting else ""))
                if not is_starting:
                    self.starting.add(service)
                    tasks.create_task(self.revive(service, pause))

    async def until_it_runs(self, service):
        while not service.is_running or service in self.struck:
            if service not in self.starting:
                raise service.failed(f"{service.name} ended with {service.process.returncode} by itself")
            await asyncio.sleep(0.02)

    async def revive(self, service, pause):
        """Start a killed process again, and again if it is killed before it is ready."""
        while service in self.struck:
            await service.ended()
            await asyncio.sleep(pause)
            self.struck.discard(service)
            try:
                await service.start()
            except DiagnosticError:
                if service not in self.struck:
                    raise
        self.starting.discard(service)

    async def tell(self):
        """The whole story; the site has ended in order when this returns."""
        await self.fill_rings()
        await self.every_point()
        await self.moments(MOMENTS)
        for _ in range(_ASKED_TWICE_TRIES):
            await asyncio.sleep(1.0)
            if duplicates_of(self.site):
                break
            # None of the kills fell between a commit with segments in it and its answer.
            await self.site.office.kill()
            await end_at_point(self.site.office, "after_commit", 1, None)
            await self.site.office.start()
        await stop_all(self.site)


def duplicates_of(site):
    """Return how many segments the office was asked for more than once."""
    connection = sqlite3.connect(site.office_folder / "office.db")
    try:
        return connection.execute("SELECT sum(duplicates) FROM tallies").fetchone()[0] or 0
    finally:
        connection.close()


def test_every_named_point_of_a_device_is_in_the_story():
    """A point that the firmware gets and nobody dies at would prove nothing; of the way down they die in tests/agent/test_unix_process.py."""
    commands = (*COMMAND_POINTS, *REKEY_POINTS, *ROOT_POINTS, *LINK_POINTS)
    down = (*ADOPTION_POINTS, *ROLLBACK_POINTS, *commands)
    here = [name for names in DEVICE_POINTS for name in names]
    assert sorted([*here, *down]) == sorted(PointsSection.__struct_fields__)


@pytest.mark.timeout(300)
@pytest.mark.proves("S24")
def test_kills_at_every_point_and_at_seeded_moments_change_no_figure(tmp_path):
    """Killed at all 25 named points and at 20 seeded moments in one run: all that is on flash is at the office, once, verified."""
    seed = chosen_seed(20)

    async def run():
        site = await lay_out(tmp_path, samples_per_s=FAST)
        story = Story(site, seed)
        try:
            await story.tell()
        finally:
            await site.close()
        return site, story

    try:
        site, story = asyncio.run(run())
        proof = proved(site, " / ".join(story.told))
    except BaseException as error:
        error.add_note(f"to repeat: {repeat_command(seed, HERE)}")
        raise

    assert (
        len(story.told) == sum(map(len, DEVICE_POINTS)) + len(GATEWAY_POINTS) + len(OFFICE_POINTS) + MOMENTS
    )
    # The kills met what they should: the office was asked twice for the same, and kept it once.
    assert duplicates_of(site) > 0
    assert proof.figures["decisions"] > 0
