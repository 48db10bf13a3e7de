"""A year of one device, one gateway and the office: what each keeps, every other day, while lines are cut for days and come back.

Each store has its bound, and the run breaks a promise where one grows beyond it. The office keeps everything: its measure is bytes an event.
"""

from agent.flash import RamFlash
from gateway.store_file import used_bytes
from tests.sim.pace import Pace
from tests.sim.plan import DAY_S, Step
from tests.sim.world import run

PACE = Pace(
    sample_s=1800,
    heartbeat_s=4 * 3600,
    seal_s=6 * 3600,
    idle_s=600,
    check_s=6 * 3600,
    look_s=1800,
    health_s=6 * 3600,
    save_s=DAY_S,
)
# Little more room than a ring fills: what lies beyond a gap must give way, so that what closes it finds room.
RING_SECTORS = 12
GATEWAY_BYTES_MAX = 192 * 1024
# What one transaction may add to a full store: a few pages.
_SLACK_BYTES = 16 * 1024
POINTS = 180
# What is cut, from which day of a year, for how many days: short, until the gateway is full, and until the device must prune, too.
OUTAGES = (
    ("part office", 20, 4),
    ("part uplink", 60, 15),
    ("part gateway", 110, 6),
    ("part office", 180, 30),
    ("part uplink", 290, 8),
)
PROMISE = "storage is bounded"


def run_year(days=365, seed=1, outages=OUTAGES):
    """Return (Result, figures): the figures are what docs/proof.md draws. outages: in the measure of 365 days, however long it is."""
    year = _Year(days, outages)
    result = run(seed, float(days), 1, {}, year.lay, PACE)
    return result, year.figures()


class _Year:
    """points: [day, bytes of the device's ring, of the gateway's store, of the office's database, events in it]."""

    def __init__(self, days, outages):
        self._days = days
        self._world = None
        self.points = []
        self.outages = [(what, at * days / 365, lasts * days / 365) for what, at, lasts in outages]

    def lay(self, world):
        """Give a world the small stores, the outages and the days on which it is measured."""
        self._world = world
        world.devices[0].make_flash(RING_SECTORS)
        for gateway in world.gateways:
            gateway.bytes_max = GATEWAY_BYTES_MAX
        world._measure = self._measure
        every_d = self._days / POINTS
        measures = [Step(at * every_d * DAY_S, "measure", ()) for at in range(1, POINTS)]
        cuts = [Step(at * DAY_S, what, _cut(what, lasts)) for what, at, lasts in self.outages]
        world.plan[:] = sorted([*measures, *cuts])

    def _measure(self):
        world, store = self._world, self._world.gateways[0].app.store
        ring, flash = world.devices[0].agent._journal.ring, world.devices[0].flash
        held = sum(sector.lane is not None for sector in ring.sectors)
        office = world.office.store.connection
        self.points.append(
            [
                round(world.time.now / DAY_S, 2),
                held * flash.sector_bytes,
                max(0, used_bytes(store._connection) - store.down_bytes),
                used_bytes(office),
                office.execute("SELECT coalesce(sum(events), 0) FROM tallies").fetchone()[0],
            ]
        )
        self._judge(*self.points[-1][:3])

    def _judge(self, day, ring_bytes, gateway_bytes):
        for name, held, bound in (
            ("the ring", ring_bytes, RING_SECTORS * RamFlash.sector_bytes),
            ("the gateway", gateway_bytes, GATEWAY_BYTES_MAX + _SLACK_BYTES),
        ):
            if held > bound:
                self._world.history.breaks(PROMISE, f"day {day}: {name} holds {held} bytes of {bound}")

    def figures(self):
        """Return what was measured, with its bounds."""
        first, last = self.points[0], self.points[-1]
        return {
            "days": self._days,
            "points": [point[:4] for point in self.points],
            "outages": [[round(at, 2), round(at + lasts, 2), what] for what, at, lasts in self.outages],
            "ring_bytes_max": RING_SECTORS * RamFlash.sector_bytes,
            "gateway_bytes_max": GATEWAY_BYTES_MAX,
            "events": last[4],
            "office_bytes_per_event": round((last[3] - first[3]) / (last[4] - first[4]), 1),
        }


def _cut(what, lasts_d):
    seconds = round(lasts_d * DAY_S)
    return (seconds,) if what == "part office" else (0, seconds)
