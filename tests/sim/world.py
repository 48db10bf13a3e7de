"""One site in one process under one seed: builds it, lets the plan happen to it, calms it down, and checks every promise.

python -m tests.sim 1234
"""

import asyncio
import contextlib
import os
import random
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from agent import journal as agent_journal
from tests.sim import backup, checks, usage
from tests.sim.backup import Backup
from tests.sim.clock import SimLoop, Time
from tests.sim.device import SimDevice
from tests.sim.disk import disks
from tests.sim.gateway import BYTES_MAX, SimGateway
from tests.sim.history import Crash, History
from tests.sim.hostile import Hostile
from tests.sim.network import Network, Weather
from tests.sim.office import SimOffice
from tests.sim.pace import Pace, compiling_once, keeping
from tests.sim.plan import DAY_S, KINDS, draw
from tests.sim.site_plan import GATEWAYS, identity
from tests.sim.watch import Watch

# After the plan: nothing more goes wrong, and all that is held must reach the office.
CALM_S = 6 * 3600
# When in the calm somebody looks at what a restored office lacks: once what could come has come, and again.
ACCEPTED_AT_S = (2 * 3600, 4 * 3600)
LAST_WORDS_S = 3600


class Result(NamedTuple):
    """seed, digest of the history, its lines, (promise, text) of what broke, counts of its lines, what faults did (happened.py), the plan,
    newest lines."""

    seed: int
    digest: str
    lines: int
    broken: list[tuple[str, str]]
    counts: dict[str, int]
    happened: dict[str, int]
    plan: list[Any]
    newest: list[Any]


class World:
    """Everything of one run, by name."""

    def __init__(self, seed, folder, days, devices, kinds, pace=Pace(), network=Network):  # noqa: B008 - it cannot change
        self.seed = seed
        self.pace = pace
        self.days = days
        self.random = random.Random(f"world {seed}")
        self.time = Time()
        self.history = History(self.time)
        self.folder = folder
        self._folders = 0
        self.is_over = False
        self.identities = [identity(number) for number in range(devices)]
        self.network = network(self, random.Random(f"network {seed}"))
        self.watch = Watch(self)
        self.moved = usage.make_moved()
        # Some sites have a gateway whose disk holds an hour of what its devices say.
        self.gateways = [
            SimGateway(self, name, self.new_folder(name), self.random.choice((BYTES_MAX, 8 * BYTES_MAX)))
            for name in GATEWAYS
        ]
        self.office = SimOffice(self, self.new_folder("office"))
        self.devices = [SimDevice(self, one, self.office.root) for one in self.identities]
        self.plan = draw(seed, days, devices, kinds)
        backup.add_to(self, kinds)
        self.backup = Backup(self)
        # Devices whose flash was put back: they forked, and the office must have found it.
        self.restored = set()
        # (kid, ID Context) that a flash held when it was put back.
        # Gateways that run on an old copy of their store: docs/operating/gateway.md says what that costs.
        self.rolled_back = set()
        # device -> commands that a gateway in the wrong hands could keep.
        self.overheard_commands = {}

    def new_folder(self, name):
        """Make a folder of this world, whatever others are called."""
        self._folders += 1
        path = self.folder / f"{self._folders:02}-{name}"
        path.mkdir()
        return path

    def disk_of(self, path):
        """Return the disk on which a path lies, None for none of this world's."""
        for host in (*self.gateways, self.office):
            if str(host.disk.folder) + os.sep in path:
                return host.disk
        return None

    def is_hostile_now(self):
        """Say whether any gateway is in the wrong hands."""
        return any(gateway.hostile is not None for gateway in self.gateways)

    # ---- the run

    async def run(self):
        """Live through the plan, then calm down."""
        self.office.start()
        for gateway in self.gateways:
            gateway.start()
        silence = asyncio.ensure_future(self.office.watch_silence())
        lives = [asyncio.ensure_future(device.live()) for device in self.devices]
        for step in self.plan:
            await self._until(step.at_s)
            self.history.note("plan", step.what, *step.arguments)
            getattr(self, "_" + step.what.replace(" ", "_"))(*step.arguments)
        await self._until(self.days * DAY_S)
        self._calm()
        for at_s in ACCEPTED_AT_S:
            await self._until(self.days * DAY_S + at_s)
            self.backup.accept()
        await self._until(self.days * DAY_S + CALM_S)
        await self._end(lives)
        silence.cancel()
        checks.check_all(self)
        for gateway in self.gateways:
            gateway.crash("end")
        self.office.crash("end")

    async def _until(self, at_s):
        await asyncio.sleep(max(0.0, at_s - self.time.now))

    def _calm(self):
        self.history.note("plan", "calm")
        self.network.weather = Weather()
        self.network.parted.clear()
        for host in (*self.gateways, self.office):
            host.disk.fault = None
            host.crash_at = None
            host.clock.jumped_ms = 0
        for gateway in self.gateways:
            gateway.hears_strays = False
            if gateway.hostile is not None:
                self._become_honest(gateway)
        for device in self.devices:
            device.supplies.end()
            device.crash_at = device.cut = None
            if device.flash is not None and not device.flash.is_dead:
                device.flash._left = -1

    async def _end(self, lives):
        """Let every device say its last words, then switch it off."""
        self.is_over = True
        for device in self.devices:
            device.stop()
        await asyncio.wait(lives, timeout=LAST_WORDS_S)
        for device, life in zip(self.devices, lives, strict=True):
            if not device.is_done:
                self.history.breaks("liveness", f"{device.name} does not end")
                life.cancel()
        # The gateways hand over what they still hold.
        await asyncio.sleep(1800)
        await usage.settle(self)

    def after(self, seconds, act):
        """Do something then."""
        asyncio.get_running_loop().call_later(seconds, act)

    # ---- what can go wrong, by its name in plan.py

    def _weather(self, loss, again, late_s, attack):
        self.network.weather = Weather(loss, again, late_s, attack)

    def _part(self, name, seconds):
        self.network.parted.add(name)
        self.after(seconds, lambda: self.network.parted.discard(name))

    def _part_device(self, device, seconds):
        self._part(self.devices[device].name, seconds)

    def _part_uplink(self, gateway, seconds):
        self._part(f"uplink of {self.gateways[gateway].name}", seconds)

    def _part_office(self, seconds):
        self._part("office", seconds)

    def _part_gateway(self, gateway, seconds):
        self._part(self.gateways[gateway].name, seconds)

    def _low_battery(self, device, left, seconds):
        self.devices[device].supplies.take("battery_left", left, seconds)

    def _short_heap(self, device, left, seconds):
        self.devices[device].supplies.take("heap_left", left, seconds)

    def _short_allowance(self, device, day_bytes, seconds):
        self.devices[device].supplies.take("day_bytes", day_bytes, seconds)

    def _power_off_device(self, device, seconds):
        self.devices[device].power_off(seconds)

    def _cut_flash(self, device, operations, mode):
        self.devices[device].cut_soon(operations, mode)

    def _crash_device(self, device, points):
        self.devices[device].crash_at = points

    def _crash_gateway(self, gateway, points):
        self.gateways[gateway].crash_at = points

    def _crash_office(self, points):
        self.office.crash_at = points

    def _kill_gateway(self, gateway):
        self.gateways[gateway].crash()

    def _kill_office(self):
        self.office.crash()

    def _disk(self, host, fault, seconds):
        host.disk.fault = fault
        self.after(seconds, lambda: setattr(host.disk, "fault", None))

    def _disk_of_gateway(self, gateway, fault, seconds):
        self._disk(self.gateways[gateway], fault, seconds)

    def _disk_of_office(self, fault, seconds):
        self._disk(self.office, fault, seconds)

    def _jump_wall(self, host, ms, seconds):
        clock = self.office.clock if host == "office" else self.gateways[0].clock
        clock.jumped_ms = ms
        self.after(seconds, lambda: setattr(clock, "jumped_ms", 0))

    def _restore_device(self, device, seconds):
        one = self.devices[device]
        image = bytes(one.image)

        def put_back():
            self.history.note(one.name, "restored")
            self.history.happened["flash of a device put back"] += 1
            self.watch.restored(one)
            self.restored.add(one.identity.device)
            one.restore(image)

        self.after(min(seconds, self.days * DAY_S - self.time.now - 1), put_back)

    def _replace_gateway(self, gateway):
        one = self.gateways[gateway]
        one.crash("replaced")
        self.history.happened["gateway replaced"] += 1
        one.disk.folder = self.new_folder(one.name)

    def _roll_gateway_back(self, gateway, seconds):
        """Its disk lied about what it had written, or somebody put an old copy back."""
        one = self.gateways[gateway]
        copy = self.new_folder(f"copy of {one.name}")
        one.crash("for a copy")
        one.disk.copy_to(copy)

        folder = one.disk.folder

        def put_back():
            if one.disk.folder != folder or one.hostile is not None:
                # Replaced meanwhile: nobody puts the store of another machine, or of a thief, into it.
                return
            one.crash("rolled back")
            one.disk.restore(copy)
            self.history.happened["gateway's store put back"] += 1
            self.rolled_back.add(one.name)

        self.after(min(seconds, self.days * DAY_S - self.time.now - 1), put_back)

    def _restore_office(self, seconds):
        self.backup.take(seconds)

    def _move_device(self, device):
        """Somebody gives a device the other gateway."""
        one = self.devices[device]
        one.gateway = self.gateways[1 - self.gateways.index(one.gateway)]
        one.power_off(30)
        self.history.happened["device moved to the other gateway"] += 1

    def _strays(self, seconds):
        for gateway in self.gateways:
            gateway.hears_strays = True
            self.after(seconds, lambda gateway=gateway: setattr(gateway, "hears_strays", False))

    def _hostile(self, gateway, kinds, seconds):
        one = self.gateways[gateway]
        one.crash("taken over")
        one.hostile = Hostile(one, kinds, random.Random(f"{self.seed} hostile {self.time.now}"))
        self.after(seconds, lambda: self._become_honest(one))

    def _become_honest(self, gateway):
        """What was found out is replaced, its store with it."""
        if gateway.hostile is None:
            return
        gateway.hostile = None
        self._replace_gateway(self.gateways.index(gateway))

    def _command(self, device, demand):
        self.office.command(self.devices[device].identity.device, list(demand))

    def _roll_out(self, number):
        self.office.roll_out(number)

    def _halt(self, number):
        self.office.halt(number)


@contextlib.contextmanager
def _truth(history):
    """While inside, every segment that an agent is about to write is noted."""
    honest = agent_journal.Journal.commit

    def commit(self, lane, index, raw, header):
        history.seals(header, bytes(raw))
        return honest(self, lane, index, raw, header)

    agent_journal.Journal.commit = commit
    try:
        yield
    finally:
        agent_journal.Journal.commit = honest


def _quiet(_loop, context):
    error = context.get("exception")
    if not isinstance(error, Crash):
        raise RuntimeError(f"a task of the simulation failed: {context.get('message')}") from error


def run(seed, days=2.0, devices=5, kinds=KINDS, within=None, pace=Pace(), network=Network):  # noqa: B008 - it cannot change
    """Run one world and return its Result. within: called with the world before it runs, for tests that plant a fault. network: what is
    between devices and gateways."""
    root = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="outstation-sim-", dir=root) as folder:
        world = World(seed, Path(folder), days, devices, kinds, pace, network)
        if within is not None:
            within(world)
        loop = SimLoop(world.time)
        loop.set_exception_handler(_quiet)
        with (
            keeping(pace),
            compiling_once(),
            _truth(world.history),
            disks(world.disk_of),
            asyncio.Runner(loop_factory=lambda: loop) as runner,
        ):
            runner.run(world.run())
    history = world.history
    return Result(
        seed,
        history.digest(),
        history.lines,
        history.broken,
        history.counts,
        dict(history.happened),
        world.plan,
        list(history.newest),
    )
