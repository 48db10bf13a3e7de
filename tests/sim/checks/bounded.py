"""No store grew beyond its bound, whatever piled up: the gateway's file stays below its limit and what one transaction adds."""

_SLACK_BYTES = 64 * 1024


def check(world):
    for gateway in world.gateways:
        if not gateway.is_up:
            yield f"{gateway.name} does not run"
            continue
        size = (gateway.disk.folder / "gateway.db").stat().st_size
        if size > gateway.empty_bytes + gateway.bytes_max + _SLACK_BYTES:
            yield f"{gateway.name}: {size} bytes of {gateway.bytes_max}"
    for device in world.devices:
        if len(device.image) != device.flash.sectors * device.flash.sector_bytes:
            yield f"{device.name}: a flash that grew"
