"""After the calm nothing waits anywhere: the office holds each device's head, no gap is open, no device is silent, no gateway keeps a segment."""


def check(world):
    store = world.office.store
    for device in world.devices:
        yield from _device(store, device, is_restored=device.identity.device in world.restored)
    silent = store.devices_with_open_finding("silence")
    if silent:
        yield f"silent: {[one.hex()[:4] for one in silent]}"


def _device(store, device, *, is_restored):
    identity = device.identity.device
    rows = store.connection.execute("SELECT lane, epoch, start, stop FROM gaps WHERE device = ? AND state = 'open'", (identity,))
    for lane, epoch, start, stop in rows:
        if is_restored and epoch < (device.last_epoch or 0):
            # What the flash held before it was put back, and nobody had fetched, is gone; the gap says so.
            continue
        yield f"{device.name}: a gap of lane {lane} epoch {epoch}, {start} to {stop - 1}"
    if device.last_heads is None:
        yield f"{device.name} did not end in order"
        return
    for lane, head in enumerate(device.last_heads):
        if head is None:
            continue
        row = store.connection.execute(
            "SELECT max(number) FROM segments WHERE device = ? AND lane = ? AND epoch = ?",
            (identity, lane, device.last_epoch),
        ).fetchone()
        if row[0] != head[1]:
            yield f"{device.name}: lane {lane} ends at {head[1]}, the office has {row[0]}"
