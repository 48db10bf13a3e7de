"""What the office says that a device moved is what the network carried: no byte more, in a site without faults no byte less; and each
datagram of a link is counted once, for a device or for nobody."""

from office_ingest.storage.usage import ALL_USAGE


def check(world):
    for gateway in world.gateways:
        # In the wrong hands it counts as it likes.
        if gateway.is_up and gateway.hostile is None and gateway.meter.missing(gateway.server):
            yield f"{gateway.name}: {gateway.meter.missing(gateway.server)} bytes of its link are not counted"
    told = dict(_told(world))
    for device in world.devices:
        name = device.identity.device
        moved = sum(size for (one, _), size in world.moved.items() if one == name)
        if told.get(name, 0) > moved:
            yield f"{device.name}: {told[name]} bytes told, {moved} moved"
        if not world.plan and told.get(name, 0) != moved:
            yield f"{device.name}: {told.get(name, 0)} bytes told of {moved}, and nothing went wrong"


def _told(world):
    return world.office.store.connection.execute(
        f"SELECT device, sum(received_bytes + sent_bytes) FROM {ALL_USAGE} GROUP BY device"
    )
