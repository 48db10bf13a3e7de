"""A device on the desk: the very agent, in virtual time, with flash in memory and a gateway in memory."""

import hashlib

from agent.app import Agent
from agent.board import SOFTWARE, Board
from agent.cell import Cell
from agent.config import Config
from agent.flash import PowerCut, RamFlash
from agent.keystore import Keystore
from agent.layout import SLOTS_SECTORS
from agent.rooms import ROOMS_SECTORS, Rooms
from agent.starter import choose_agent
from protocol.aes_host import Aes128
from protocol.cbor import dumps
from protocol.keys import seal_start, view_start
from tests.agent import virtual_time
from tests.agent.model_gateway import ModelGateway
from tools.demo_rules import demo_bundle

DEVICE = b"device-1"
KID = b"\x01"
SECRET = bytes(range(16))
DOWNLINK = bytes([7]) * 32
SEAL_ROOT = bytes([8]) * 32
VIEW_ROOT = bytes([9]) * 32
SEAL_KEYS = (seal_start(SEAL_ROOT, 0), seal_start(SEAL_ROOT, 1))
RATCHETS = (view_start(VIEW_ROOT, 1), view_start(VIEW_ROOT, 2))

SCHEMA = dumps([1, [["flow", "l/s", -2, 0, 30000, 0], ["air", "Cel", -1, -400, 1400, 0]]])
BUNDLE = demo_bundle(version=4, schema=hashlib.sha256(SCHEMA).digest()[:8])
SAMPLE_MS = 36_000
# What MicroPython says of the format of its compiled files.
MPY = 0x306
_FAILED_STARTS_MAX = 9
SCALE = 1000


class Story:
    """A sensor whose readings are a function of the sample's number: leaks and hot hours come and go."""

    def __init__(self, start=0):
        self.number = start

    def read(self):
        n = self.number
        self.number += 1
        flow = 8000 if n % 60 >= 30 else 12000 + n * 7 % 300
        warmth = 900 if n % 50 >= 25 else 600 + n * 3 % 40
        return [None if n % 17 == 5 else flow, warmth]


class KillPoint(Exception):
    """A named point was reached for the chosen time."""


class Restart(Exception):
    """The device restarts itself."""


class SamePower(RamFlash):
    """A second part on one power: its operations count among those of the first, and a cut takes both."""

    def __init__(self, first, sectors, image):
        super().__init__(sectors, image)
        self._first = first

    def _check(self, offset, n, unit):
        self.is_dead = self._first.is_dead
        super()._check(offset, n, unit)

    def _is_cut(self, is_program):
        return self._first._is_cut(is_program)

    def _part_of_program(self, old, new):
        return self._first._part_of_program(old, new)

    def _part_of_erase(self, old):
        return self._first._part_of_erase(old)

    def _die(self):
        self._first._die()


class Desk:
    """One flash, one gateway, any number of boots in one virtual time.

    sectors: of cell, keys and ring; the slots come behind them. settings: of device.json, over the usual ones.
    """

    def __init__(self, sectors=40, **settings):
        self.clock = virtual_time.VirtualClock()
        self.flash = RamFlash(sectors + SLOTS_SECTORS)
        Keystore(self.flash, 2).provision(SEAL_KEYS, RATCHETS, DOWNLINK)
        self.gateway = ModelGateway(self.clock, DEVICE, KID, SECRET, SEAL_KEYS, RATCHETS, DOWNLINK)
        self.sensor = Story()
        self.moves = []
        self.points = {}
        self.recorded = []
        self.randoms = 0
        self.later = []
        self.fed = 0
        self.starved = []
        self.agent = None
        self.bundle = BUNDLE
        self.reset_cause = 0
        # What is left, as a board would measure it: (free, all) bytes of heap, thousandths of battery; None is nobody can say.
        self.heap = None
        self.battery = None
        # With `agents` among the settings, there is room for agents that releases bring.
        self.rooms_image = bytearray(b"\xff" * (ROOMS_SECTORS * RamFlash.sector_bytes))
        self.restarts = 0
        # Digest of an agent that ends before it can say anything; how often one did.
        self.broken = b""
        self.failed_starts = 0
        self.settings = {
            "device": DEVICE.hex(),
            "link": {"kid": KID.hex(), "secret": SECRET.hex()},
            "sample_ms": SAMPLE_MS,
            "clock_scale": SCALE,
            "heartbeat_ms": 500,
            "exchange_idle_ms": 20,
            "routine_seal_ms": 600_000,
            "period_s": 86_400,
            "ack_timeout_ms": 200,
            "drain_ms": 5000,
            **settings,
        }

    def _random(self, n):
        self.randoms += 1
        return hashlib.sha256(b"%d" % self.randoms).digest()[:n]

    def _feed(self):
        self.fed += 1

    def _starve(self, names):
        self.starved.append((names,))
        self.agent.stop()

    def _reach(self, name):
        if name in self.points:
            self.points[name] -= 1
            if self.points[name] <= 0:
                del self.points[name]
                self.flash.is_dead = True
                raise KillPoint(name)

    def _board(self, cut=None):
        # Power comes back: what is in the cells stays, the rest of the part is new.
        self.flash = RamFlash(self.flash.sectors, self.flash.image)
        if cut is not None:
            self.flash.cut_after(*cut)
        board = Board(
            self.flash,
            self.gateway,
            self.sensor,
            lambda action, value: self.moves.append((action, value)),
            self.clock.ticks_ms,
            self.clock.ticks_diff,
            virtual_time.sleep_ms,
            self._random,
            Aes128,
            SCHEMA,
            self.bundle,
        )
        board.point = self._reach
        board.reset_cause = self.reset_cause
        board.feed = self._feed
        board.starve = self._starve
        board.heap = lambda: self.heap
        board.battery = lambda: self.battery
        board.note = lambda lane, order: self.recorded.append((lane, order))
        if self.settings.get("agents"):
            self._choose_agent(board)
        return board

    def rooms(self):
        """Return where agents lie, as one who looks at it without the device."""
        return self._rooms(self.flash_again())

    def flash_again(self):
        """Return the flash as it is after a reset."""
        return RamFlash(self.flash.sectors, self.flash.image)

    def _rooms(self, first):
        return Rooms(SamePower(first, ROOMS_SECTORS, self.rooms_image), MPY)

    def _choose_agent(self, board):
        rooms = self._rooms(self.flash)
        choose_agent(self.flash, rooms, self.reset_cause).tell(board, rooms)
        board.restart = self._restart
        if board.agent == self.broken:
            self.failed_starts += 1
            assert self.failed_starts < _FAILED_STARTS_MAX, "a trial is started without end"
            self._restart()

    def _restart(self):
        self.restarts += 1
        self.reset_cause = SOFTWARE
        raise Restart

    def boot(self):
        """Start the agent; return it."""
        self.agent = Agent(Config(self.settings), self._board())
        return self.agent

    def after(self, seconds, function):
        """Call a function so many seconds into each run."""
        self.later.append((seconds, function))

    def run(self, seconds, cut=None, late_s=0):
        """Boot, hang for late_s, run for real seconds, stop in order. cut: (operations, mode) of flash until the power fails.

        Returns the exception that ended it early: KillPoint, PowerCut or None.
        """
        until = self.clock.now + seconds
        while True:
            try:
                virtual_time.run(self.clock, self._run(max(0.0, until - self.clock.now), cut, late_s))
            except (KillPoint, PowerCut) as end:
                return end
            except Restart:
                # What is left of the operations until the cut counts on.
                cut = None if cut is None else (self.flash._left, *cut[1:])
                continue
            return None

    async def _run(self, seconds, cut, late_s):
        board = self._board(cut)
        self.agent = Agent(Config(self.settings), board)
        self.clock.now += late_s
        for after_s, function in self.later:
            virtual_time.call_later(after_s, function)
        virtual_time.call_later(seconds, self.agent.stop)
        await self.agent.run()

    def cell(self):
        """Return the cell as it lies on flash."""
        cell = Cell(RamFlash(self.flash.sectors, self.flash.image), 0)
        cell.load()
        return cell
