"""A device runs the rules it had or the rules of a signed release that it confirmed; a bad one never outlives its trial."""

from office_ingest.govern.rollout import Rollouts
from protocol import adoption
from tests.sim.site_plan import ALL_RULES, BAD_RULES

# What the bad rules need to fault, twice over: they do at their second sample.
_TRIAL_MS = 3_600_000


def check(world):
    rows = world.office.store.connection.execute("SELECT device, digest FROM reports")
    for device, digest in rows:
        if digest not in ALL_RULES:
            yield f"{device.hex()[:4]} reports rules that nobody made"
        if digest == BAD_RULES and not _is_just_trying(world, device):
            yield f"{device.hex()[:4]} still runs the rules that fault"
    for device in world.devices:
        cell = device.cell()
        if cell.version_floor not in (0, 1, 3):
            yield f"{device.name}: its floor is {cell.version_floor}, which was never confirmed"
    yield from _settled(world)


def _is_just_trying(world, device):
    """Say whether the world ended in the middle of a trial that still has its time."""
    cell = next(one.cell() for one in world.devices if one.identity.device == device)
    sql = "SELECT max(received_ms) FROM adoptions WHERE device = ? AND step = ?"
    (began_ms,) = world.office.store.connection.execute(sql, (device, adoption.TRIAL)).fetchone()
    is_young = began_ms is not None and world.office.clock.wall_ms() - began_ms < _TRIAL_MS
    return cell.release[1] >= 0 and is_young


def _settled(world):
    """What the office names to a device has come to its end in hours of calm: it runs, or it was tried and given up."""
    wanted_by = Rollouts(world.office.store)
    wanted_by.refresh()
    for device in world.devices:
        identity = device.identity.device
        wanted = wanted_by.wanted(identity)
        cell = device.cell()
        if wanted is None or wanted.number in (cell.version_floor, cell.rejected):
            continue
        if cell.version_floor < wanted.number < cell.rejected or wanted.number < cell.version_floor:
            continue
        if not _is_just_trying(world, identity):
            yield f"{device.name}: release {wanted.number} is named and came to no end"
