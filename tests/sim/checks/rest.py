"""After the calm nothing waits anywhere: the office holds and has receipted each device's head, no gap is open, no device is silent, no gateway
keeps a segment."""


def check(world):
    store = world.office.store
    for device in world.devices:
        found = list(_device(store, device))
        if device.identity.device not in world.restored:
            yield from found
        elif found and not _is_told(store, device):
            yield from (f"{text}; and nothing says that it was put back" for text in found)
    silent = set(store.devices_with_open_finding("silence")) - world.restored
    if silent:
        yield f"silent: {sorted(one.hex()[:4] for one in silent)}"


def _is_told(store, device):
    """A flash that was put back is a fork until a person has decided: it may wait, but not in silence; or it began a new epoch, and the
    gap that it left in an older one says so."""
    if (device.last_epoch or 0) > 0:
        return True
    kinds = "SELECT count(*) FROM findings WHERE device = ? AND state = 'open' AND kind IN ('fork', 'clone', 'head', 'silence')"
    return store.connection.execute(kinds, (device.identity.device,)).fetchone()[0] > 0


def _device(store, device):
    identity = device.identity.device
    rows = store.connection.execute(
        "SELECT lane, epoch, start, stop FROM gaps WHERE device = ? AND state = 'open'", (identity,)
    )
    for lane, epoch, start, stop in rows:
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
        receipt = store.connection.execute(
            "SELECT number FROM receipts WHERE device = ? AND lane = ? AND epoch = ?",
            (identity, lane, device.last_epoch),
        ).fetchone()
        if receipt != (head[1],):
            yield f"{device.name}: lane {lane} ends at {head[1]}, its receipt is {receipt}"
