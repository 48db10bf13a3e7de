"""An office whose databases are put back from an older copy, and what may be gone then: only what it had taken since, and never in silence.

Not drawn by plan.draw, which other draws follow: which sites have it comes from a die of its own.
"""

import random
import sqlite3
from contextlib import closing

from office_ingest.receive.acceptance import acceptable
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.lanes import Lanes
from protocol.messages import parse_heartbeat
from protocol.segment import parse_segment
from tests.sim.plan import DAY_S, KINDS, Step

RESTORE = "restore office"
_LANE = "device = ? AND lane = ? AND epoch = ?"
# Of the sites, how many have an office that is put back.
_SHARE = 0.15
# Of their devices, how many have a flash that soon reuses what was receipted, and how small it is.
_SMALL = 0.7
_RING_SECTORS = 4
# Counter of a heartbeat's health: how far apart they are.
_APART = 13
# So long after it was put back somebody sees what the devices have no longer.
_LOOKED_AFTER_S = 3600


def add_to(world, kinds):
    """Add the step to the plan of a site that has it: one where everything else can happen too, and most flashes hold half a day."""
    chance = random.Random(f"backup {world.seed}")
    if kinds != KINDS or chance.random() >= _SHARE:
        return
    for device in world.devices:
        if chance.random() < _SMALL:
            device.make_flash(_RING_SECTORS)
    at_s = chance.uniform(0.05, 0.5) * world.days * DAY_S
    seconds = round(chance.uniform(0.5, 24) * 3600)
    world.plan.append(Step(round(at_s, 3), RESTORE, (seconds,)))
    world.plan.sort()


class Backup:
    """gone: (device, lane, epoch) -> numbers that the office had, or knew a tombstone for, and its copy had not."""

    def __init__(self, world):
        self._world = world
        self.gone = {}
        # Devices whose heartbeats were further apart when the copy was made.
        self._spaced = set()

    def take(self, seconds):
        """Copy the databases now, and put the copy back after a while."""
        office, world = self._world.office, self._world
        copy = world.new_folder("backup of the office")
        spaced = {one.identity.device for one in world.devices if one.supplies.may_be_quiet()}
        office.crash("for a backup")
        office.disk.copy_to(copy)
        world.after(
            min(seconds, world.days * DAY_S - world.time.now - 1), lambda: self._put_back(copy, spaced)
        )

    def _put_back(self, copy, spaced):
        office, world = self._world.office, self._world
        office.crash("restored")
        before, after = _held(office.disk.folder), _held(copy)
        for place, numbers in before.items():
            self.gone.setdefault(place, set()).update(numbers - after.get(place, set()))
        office.disk.restore(copy)
        self._spaced = spaced
        world.history.happened["office put back from a backup"] += 1
        world.after(_LOOKED_AFTER_S, self.accept)

    def accept(self):
        """Somebody gives up what the devices have no longer, beside the office that runs."""
        office = self._world.office
        if self.gone:
            office._govern(lambda: [self._accept(office, one.identity.device) for one in self._world.devices])

    def _accept(self, office, device):
        beside = Ingest(office.store, office.keystore, wall_ms=office.clock.wall_ms)
        for gap in beside.accept(acceptable(Lanes(office.store), device), "sim"):
            self._world.history.note(office.name, "accepted", device.hex()[:4], *gap[1:])

    def may_mislead(self, device):
        """Say whether the office may believe a distance that its copy knew, having heard since no five heartbeats in a row that speak against it."""
        if device not in self._spaced:
            return False
        rows = self._world.office.store.connection.execute(
            "SELECT epoch, boot, counter, raw FROM heartbeats WHERE device = ? ORDER BY epoch DESC, boot DESC, counter DESC",
            (device,),
        ).fetchall()
        epoch, boot, counter, _ = rows[0]
        said = [
            parse_heartbeat(raw).fields.health.get(_APART) for *life, _, raw in rows if life == [epoch, boot]
        ]
        newest = next((at for at, word in enumerate(said) if word), None)
        if newest is None:
            # What an earlier boot said holds no longer.
            return False
        in_a_row = [(epoch, boot, counter - at) for at in range(5)]
        return newest < 4 or [row[:3] for row in rows[:5]] != in_a_row

    def excuses(self, place, numbers):
        """Return those of missing numbers that went with the older copy, and that the office knows as a gap.

        Of an epoch before the device's own no heartbeat speaks any more: above all that is known of it nobody can tell.
        """
        if not numbers or not self.gone.get(place):
            return set()
        execute = self._world.office.store.connection.execute
        rows = execute(
            f"SELECT start, stop FROM gaps WHERE {_LANE} AND state IN ('open', 'accepted')", place
        ).fetchall()
        told = {at for start, stop in rows for at in range(start, stop)}
        device = next(one for one in self._world.devices if one.identity.device == place[0])
        if place[2] < device.cell().epoch:
            sql = f"SELECT max(number) FROM (SELECT number FROM segments WHERE {_LANE} UNION ALL SELECT number FROM heads WHERE {_LANE})"
            top = execute(sql, (*place, *place)).fetchone()[0]
            told |= {at for at in numbers if top is None or at > top}
        return numbers & self.gone[place] & told


def _held(folder):
    found = {}
    with closing(sqlite3.connect(folder / "office.db")) as connection:
        for device, lane, epoch, number, raw in connection.execute(
            "SELECT device, lane, epoch, number, raw FROM segments"
        ):
            place = found.setdefault((device, lane, epoch), set())
            place.add(number)
            tombstone = parse_segment(raw).tombstone
            if tombstone is not None:
                place.update(range(tombstone.first, tombstone.last + 1))
    return found
