"""A device runs the rules it had or the rules of a signed release that it confirmed; a bad one never outlives its trial."""

from tests.sim.site_plan import ALL_RULES, BAD_RULES


def check(world):
    rows = world.office.store.connection.execute("SELECT device, digest FROM reports")
    for device, digest in rows:
        if digest not in ALL_RULES:
            yield f"{device.hex()[:4]} reports rules that nobody made"
        if digest == BAD_RULES:
            yield f"{device.hex()[:4]} still runs the rules that fault"
    for device in world.devices:
        cell = device.cell()
        if cell.version_floor not in (0, 1, 3):
            yield f"{device.name}: its floor is {cell.version_floor}, which was never confirmed"
