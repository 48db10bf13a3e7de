"""No store grew beyond its bound, whatever piled up: the gateway's file stays below its limit and what one transaction adds, and it has
let go of what the office receipted."""

_SLACK_BYTES = 64 * 1024
# The newest that is receipted may stay: its row says the digest.
_KEPT = (
    "SELECT count(*) FROM lanes AS l JOIN segments AS s ON s.device = l.device AND s.lane = l.lane AND s.epoch = l.epoch "
    "WHERE s.outcome IS NOT NULL AND s.number + 1 < l.receipted"
)


def check(world):
    for gateway in world.gateways:
        if not gateway.is_up:
            yield f"{gateway.name} does not run"
            continue
        size = (gateway.disk.folder / "gateway.db").stat().st_size
        if size > gateway.empty_bytes + gateway.bytes_max + _SLACK_BYTES:
            yield f"{gateway.name}: {size} bytes of {gateway.bytes_max}"
        kept = gateway.app.store._connection.execute(_KEPT).fetchone()[0]
        if kept:
            yield f"{gateway.name} keeps {kept} segments that are receipted"
    for device in world.devices:
        if len(device.image) != device.flash.sectors * device.flash.sector_bytes:
            yield f"{device.name}: a flash that grew"
