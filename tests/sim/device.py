"""A device of a simulated site: the agent as it ships, on flash in memory, with a power switch."""

import asyncio
import functools
import random

from agent.app import Agent
from agent.board import Board
from agent.cell import Cell
from agent.config import Config
from agent.flash import MODES, PowerCut, RamFlash
from agent.keystore import Keystore
from agent.layout import KEY_SECTOR, window_sectors
from protocol.aes_host import Aes128
from tests.sim.clock import DeviceTicks
from tests.sim.history import Crash
from tests.sim.shortage import Shortage
from tests.sim.site_plan import FIRST_RULES, SCHEMA

_SETTINGS = {
    "period_s": 86_400,
    "drain_ms": 900_000,
    "cohort": "sim",
    "trial": {"min_ms": 1_200_000, "limit_ms": 4 * 3_600_000},
    "fetch": {"retry_ms": 60_000},
}
# A block cipher is its key and nothing else: the same body key is asked for with each segment of a day.
_aes = functools.lru_cache(maxsize=512)(Aes128)
_NEAR_WRAP_MS = (1 << 30) - 40_000_000


class Sensor:
    """Readings as a function of time: use, leaks, noise, and a wire that comes loose."""

    def __init__(self, time, seed):
        self._time = time
        self._chance = random.Random(seed)

    def read(self):
        hour = self._time.now / 3600
        leak = 1600 if int(hour) % 5 == 3 else 0
        flow = 10_150 - leak + self._chance.randrange(-400, 400)
        return [None if self._chance.random() < 0.02 else flow, 200 + self._chance.randrange(-5, 5)]


def _sleep_ms(ms):
    """As asyncio.sleep does it, less a coroutine: half of what a world does is that a device waits."""
    if ms <= 0:
        return asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(ms / 1000, _end_sleep, future)
    return future


def _end_sleep(future):
    if not future.done():
        future.set_result(None)


def state_of(agent):
    """Return what must survive a boot."""
    is_on_trial = agent._cell.release[1] >= 0
    return {
        "positions": dict(agent.actuators.positions),
        # One more boot may be the one that ends a trial.
        "rules": "on trial" if is_on_trial else agent.incumbent.digest.hex()[:8],
        "settings": dict(agent._commander.settings),
        "command": agent._commander.taken,
    }


class _Flash(RamFlash):
    """Flash that tells when a cut struck."""

    def tell(self, device):
        self._device = device
        return self

    def _die(self):
        self._device.cut_struck(self._mode)
        super()._die()


class SimDevice:
    """identity: its keys. agent: of this boot, None while it has no power. moves: what its actuators did."""

    def __init__(self, world, identity, root):
        self.world = world
        self.identity = identity
        self.name = identity.name
        self.random = random.Random(f"{world.seed} {self.name}")
        # Small enough that a day without receipts prunes, or large enough that none does.
        self.make_flash(self.random.choice((8, 12, 40)))
        self.sensor = Sensor(world.time, self.random.random())
        self.supplies = Shortage(self)
        self.gateway = world.gateways[0]
        self.drift = self.random.uniform(-5e-5, 5e-5)
        self.cut = None
        self.crash_at = None
        self.off_s = 0
        self.boots = 0
        self.moves = []
        self.agent = None
        self.link = None
        self.flash = None
        self._root = root
        self._task = None
        self._ticks = None
        # It was cut, and has not come through a boot since.
        self._was_cut = False
        self.is_done = False
        self.last_state = self.last_heads = self.last_epoch = None

    def make_flash(self, ring_sectors):
        """Give it a new flash, as provisioning does."""
        self.image = RamFlash(window_sectors(ring_sectors)).image
        keys = (self.identity.seal_keys, self.identity.ratchets, self.identity.downlink)
        Keystore(self._flash(), KEY_SECTOR).provision(*keys)

    def _flash(self):
        return _Flash(len(self.image) // RamFlash.sector_bytes, self.image).tell(self)

    def link_secret(self, gateway):
        """Return the secret that this device has with a gateway: what keys come from."""
        return self.identity.secrets[gateway.site_name]

    def cell(self):
        """Return the power-safe cell as it lies on flash."""
        cell = Cell(self._flash(), 0)
        cell.load()
        return cell

    # ---- life

    async def live(self):
        """Boot, run, lose power, boot again, until the world is over."""
        while not self.world.is_over:
            self._task = asyncio.ensure_future(self._boot())
            try:
                await self._task
            except (PowerCut, Crash) as end:
                self.world.history.note(self.name, "down", type(end).__name__)
            except asyncio.CancelledError:
                self.world.history.note(self.name, "down", "power")
                self.world.history.happened["device lost power"] += 1
            self._die()
            await asyncio.sleep(self.off_s or self.random.uniform(1, 5))
            self.off_s = 0
        self.is_done = True

    async def _boot(self):
        self.boots += 1
        self.flash = self._flash()
        if self.cut is not None:
            operations, mode = self.cut
            self.cut = None
            self.flash.cut_after(operations, mode, seed=self.random.randrange(1, 1 << 30))
        self.link = self.world.network.open_link(self, self.gateway)
        self.agent = Agent(Config(self._settings()), self._board())
        self._was_cut = False
        self.world.watch.booted(self)
        await self.agent.run()
        self.last_state = state_of(self.agent)
        self.last_heads, self.last_epoch = self.agent._journal.offer(), self.agent._journal.epoch

    def _settings(self):
        link = {"kid": self.identity.kid.hex(), "secret": self.link_secret(self.gateway).hex()}
        pace = self.world.pace
        return {
            "device": self.identity.device.hex(),
            "link": link,
            "roots": [self._root.hex()],
            "sample_ms": pace.sample_s * 1000,
            "heartbeat_ms": pace.heartbeat_s * 1000,
            "exchange_idle_ms": pace.idle_s * 1000,
            "routine_seal_ms": pace.seal_s * 1000,
            "link_day_bytes": self.supplies.day_bytes,
            **_SETTINGS,
        }

    def _board(self):
        ticks = DeviceTicks(self.world.time, self.random.choice((0, _NEAR_WRAP_MS)), self.drift)
        self._ticks = ticks, ticks.turns()
        board = Board(
            self.flash,
            self.link,
            self.sensor,
            lambda action, value: self.moves.append((action, value)),
            ticks.ticks_ms,
            ticks.ticks_diff,
            _sleep_ms,
            self.random.randbytes,
            _aes,
            SCHEMA,
            FIRST_RULES,
        )
        board.reset_cause = self.random.choice((0, 1, 3))
        self.supplies.tell(board)
        board.point = self._reach
        board.starve = lambda names: self.world.history.breaks("watchdog", f"{self.name}: {names}")
        return board

    def _reach(self, name):
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at <= 0:
                self.crash_at = None
                self.flash.is_dead = True
                self.world.history.happened["device ended at an await"] += 1
                raise Crash(name)

    def _die(self):
        if self.flash is not None:
            self.flash.is_dead = True
        if self._ticks is not None:
            ticks, turns = self._ticks
            self.world.history.happened["ticks of a device wrapped"] += ticks.turns() > turns
        if self.link is not None:
            self.link.is_dead = True
        self.agent = None

    # ---- what is done to it

    def hear(self, datagram):
        """A datagram arrives."""
        if self.link is not None and self.agent is not None:
            self.link.put(datagram)

    def power_off(self, seconds):
        """Take its power away now, for so long."""
        self.off_s = seconds
        if self._task is not None and not self._task.done():
            self.flash.is_dead = True
            self._task.cancel()

    def cut_soon(self, operations, mode):
        """Let the power fail in a flash operation that comes; and perhaps in the recovery after it."""
        if self.flash is not None and not self.flash.is_dead:
            self.flash.cut_after(operations, mode, seed=self.random.randrange(1, 1 << 30))
        if self.random.random() < 0.5:
            self.cut = (self.random.randrange(12), self.random.choice(MODES))

    def cut_struck(self, mode):
        """Its power failed in a flash operation: count where."""
        happened = self.world.history.happened
        happened[f"power cut in a flash operation, {mode}"] += 1
        # Its parts are made once recovery is through.
        if self.agent is None:
            happened["power cut in a recovery"] += 1
            happened["power cut in the recovery after a power cut"] += self._was_cut
        self._was_cut = True

    def restore(self, image):
        """Put back what its flash once held: a cloned or restored device."""
        self.power_off(60)
        self.image = bytearray(image)

    def stop(self):
        """Let it end in order."""
        if self.agent is not None:
            self.agent.stop()
