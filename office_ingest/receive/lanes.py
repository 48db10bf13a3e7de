"""The lanes that the office has in memory, read from the store at first touch and forgotten again when they are many.

After a batch failed they are all forgotten: memory must never know more than the database.
"""

from collections import OrderedDict

from office_ingest.receive.lane import Lane, contradiction
from office_ingest.storage.interface import Place, Store
from protocol.errors import GENERATION, ProtocolError

# Devices whose lanes stay in memory: some hundred bytes each unless they have many holes.
DEVICES_IN_MEMORY = 8192
# Epochs of a lane whose receipts are made anew when something of it came, the newest ones.
EPOCHS_RECEIPTED = 8


class Lanes:
    """Lanes by device, lane and epoch; `touched` collects those that changed since it was emptied."""

    def __init__(self, store: Store):
        self._store = store
        self._devices: OrderedDict[bytes, list[dict[int, Lane]]] = OrderedDict()
        self.touched: dict[Place, Lane] = {}
        self._mark = store.accepted_mark()

    def forget(self) -> None:
        """Drop everything: the next touch reads the store again."""
        self._devices.clear()
        self.touched.clear()

    def refresh(self) -> None:
        """Forget everything if a person accepted gaps meanwhile, perhaps in another process. At the start of a transaction."""
        mark = self._store.accepted_mark()
        if mark != self._mark:
            self.forget()
            self._mark = mark

    def trim(self) -> None:
        """Forget the lanes of the devices that were not heard for longest; only between two batches."""
        while len(self._devices) > DEVICES_IN_MEMORY:
            self._devices.popitem(last=False)

    def lane(self, place: Place) -> Lane:
        """Return a lane and epoch; new ones are empty."""
        device, lane, epoch = place
        epochs = self.epochs(device, lane)
        if epoch not in epochs:
            epochs[epoch] = self._read(place)
        return epochs[epoch]

    def epochs(self, device: bytes, lane: int) -> dict[int, Lane]:
        """Return the epochs of a device's lane of which anything is known."""
        if device not in self._devices:
            self._devices[device] = [
                {epoch: self._read((device, at, epoch)) for epoch in self._store.epochs(device, at)}
                for at in (0, 1)
            ]
        self._devices.move_to_end(device)
        return self._devices[device][lane]

    def generation(self, device: bytes, lane: int, until: int | None = None) -> int:
        """Return the highest verified generation of a lane, in any epoch, or in those up to until; -1 if there is none."""
        epochs = self.epochs(device, lane).items()
        return max((at.generation for epoch, at in epochs if until is None or epoch <= until), default=-1)

    def check_generation(self, place: Place, number: int, generation: int, per_generation: int) -> None:
        """Check that a segment names the generation that its number must have. Raises ProtocolError(GENERATION).

        The base is fixed by the epoch's first verified segment; until then it must lie between the neighbouring epochs.
        """
        device, lane, epoch = place
        epochs = self.epochs(device, lane)
        base = generation - number // per_generation
        known = epochs[epoch].base if epoch in epochs else None
        if known is None and (base < 0 or (epoch == 0 and base > 0)):
            raise ProtocolError(GENERATION, f"generation {generation} cannot be that of segment {number}")
        if known is not None and base != known:
            text = f"segment {number} names generation {generation}, not {known + number // per_generation}"
            raise ProtocolError(GENERATION, text)
        below = max((of.generation for at, of in epochs.items() if at < epoch), default=-1)
        above = min(
            (of.base for at, of in epochs.items() if at > epoch and of.base is not None), default=None
        )
        if base <= below or (above is not None and generation >= above):
            text = f"generation {generation} of epoch {epoch} belongs to another epoch of this lane"
            raise ProtocolError(GENERATION, text)

    def _read(self, place: Place) -> Lane:
        lane = Lane(place, self._store.lane(place))
        for number in list(lane.tombstones):
            self.check_tombstone(lane, number)
        return lane

    def check_tombstone(self, lane: Lane, number: int) -> str | None:
        """Compare a stored tombstone with what is held around it; on a contradiction rely on it no more and return it."""
        t = lane.tombstones[number]
        near = [at for at in (t.first - 1, t.first, t.last, t.last + 1) if at >= 0]
        wrong = contradiction(lane.place, t, self._store.held(lane.place, near))
        if wrong is not None and number not in lane.contradicted:
            lane.contradict(number)
        return wrong
