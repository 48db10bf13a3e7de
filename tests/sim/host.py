"""What a gateway and the office have in common: a process on a disk, killed at any point and started again."""

import asyncio
import random

from gateway.errors import StoreFailed, StoreFull
from office_ingest.errors import StoreUnavailable
from protocol.diagnostic import DiagnosticError
from tests.sim.clock import HostClock
from tests.sim.disk import Disk
from tests.sim.history import Crash
from tests.sim.site_plan import START_MS

# Why a process may end before it has begun: its disk does not let it. Whoever watches over it starts it again.
_CANNOT_START = (DiagnosticError, StoreFull, StoreFailed, StoreUnavailable)
_AGAIN_S = 240


class Host:
    """name: for the network and the history. crash_at: at how many more points the process ends; None: at none.

    kind: what it is, for counts. A subclass begins in _begin(), which may raise what its disk does to it, and lets go of its files in _fall().
    """

    def __init__(self, world, name, folder, drift=0.0):
        self.world = world
        self.name = name
        self.random = random.Random(f"{world.seed} {name}")
        self.disk = Disk(folder, self.random, world.history.happened)
        self.clock = HostClock(world.time, START_MS, drift, world.history.happened)
        self.crash_at = None
        self.is_up = False
        self.starts = 0

    def start(self):
        """Start the process, or try again later."""
        self.clock.boot()
        self.starts += 1
        self.world.history.note(self.name, "start", self.starts)
        try:
            self._begin()
        except _CANNOT_START as error:
            # Not its text, which names a temporary folder.
            self.world.history.note(self.name, "cannot start", type(error).__name__)
            self.world.history.happened["process could not start on its disk"] += 1
            self._fall()
            self._start_later(_AGAIN_S)
        else:
            self.is_up = True

    def crash(self, why="killed"):
        """End the process at once; it is started again after a while."""
        if not self.is_up:
            return
        self.world.history.note(self.name, "crash", why)
        self.world.history.happened["process killed"] += why == "killed"
        self.is_up = False
        self._fall()
        self._start_later(self.random.uniform(1, 30))

    def _start_later(self, seconds):
        asyncio.get_running_loop().call_later(seconds, lambda: None if self.is_up else self.start())

    def _fall(self):
        self.disk.crash()

    def _reach(self, name):
        """A point of the shipped code where the process may end; one that is gone ends at once."""
        if not self.is_up:
            raise Crash(name)
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at <= 0:
                self.crash_at = None
                self.crash(name)
                self.world.history.happened[f"{self.kind} ended at an await"] += 1
                raise Crash(name)
