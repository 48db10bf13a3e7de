"""Whatever the office holds as good, the device sealed: these bytes, for that place."""

import hashlib


def check(world):
    rows = world.office.store.connection.execute("SELECT device, lane, epoch, number, raw FROM segments")
    for device, lane, epoch, number, raw in rows:
        if not world.history.is_sealed(device, (lane, epoch, number), hashlib.sha256(raw).digest()):
            yield f"{device.hex()[:4]} never sealed what is held as {(lane, epoch, number)}"
