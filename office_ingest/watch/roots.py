"""Watches how devices take another release root: orders that stay without an answer, and those that a device refused.

    root-behind    a device was ordered to take another root, heartbeats keep coming, and it does not answer: a gateway withholds order
                   or replacement, or the device cannot fetch it
    root-refused   the device's own event says that it did not take it

Both end with an order that is carried out. Deadlines are counted in heartbeats, not in anybody's clock.
"""

from typing import Any

from office_ingest.storage.sqlite import SqliteStore
from protocol.command import DONE, ROOT, VERDICT_NAMES

BEHIND, REFUSED = "root-behind", "root-refused"


class RootWatch:
    """Told of each heartbeat and command event inside the transaction that keeps it. patience: heartbeats until `root-behind`."""

    def __init__(self, store: SqliteStore, *, patience: int):
        self._store = store
        self._patience = patience
        # device -> (number of the order, heartbeats since).
        self._waited: dict[bytes, tuple[int, int]] = {}

    def heartbeat(self, device: bytes, now_ms: int) -> None:
        """See whether an order waits for a device that speaks."""
        order = self._waiting(device)
        if order is None:
            if self._waited.pop(device, None) is not None:
                self._clear(device, BEHIND, now_ms)
            return
        number, times = self._waited.get(device, (order, 0))
        times = times + 1 if number == order else 1
        self._waited[device] = (order, times)
        if times >= self._patience and not self._store.open_places(device, BEHIND):
            text = (
                f"command {order} orders it to take another release root since {times} heartbeats, and it does not answer:"
                " a gateway withholds the order or what it names, or the device cannot fetch it"
            )
            self._store.add_finding(device, BEHIND, f"command {order}", text, now_ms)

    def _waiting(self, device: bytes) -> int | None:
        """Return the lowest order without an answer, one that is too late too. Of those below an answered command none will come."""
        execute = self._store.connection.execute
        open_ = execute(
            "SELECT number, body FROM commands WHERE device = ? AND verdict IS NULL AND raw IS NOT NULL ORDER BY number",
            (device,),
        )
        orders = [number for number, body in open_ if body.startswith(f"[{ROOT},")]
        if not orders:
            # As with nearly every heartbeat: the index of open commands has said so.
            return None
        sql = "SELECT coalesce(max(number), 0) FROM commands WHERE device = ? AND verdict IS NOT NULL"
        (answered,) = execute(sql, (device,)).fetchone()
        return next((number for number in orders if number > answered), None)

    def answered(self, device: bytes, fields: tuple[Any, ...], now_ms: int) -> None:
        """Take a command event: only one about a root counts."""
        number, demand, verdict, outcome = fields
        if demand[0] != ROOT:
            return
        if verdict == DONE:
            self._waited.pop(device, None)
            self._clear(device, BEHIND, now_ms)
            self._clear(device, REFUSED, now_ms)
            return
        said = VERDICT_NAMES[verdict] if verdict < len(VERDICT_NAMES) else str(verdict)
        why = f", reject code {outcome}" if isinstance(outcome, int) else ""
        text = f"it did not take another release root, command {number}: {said}{why}"
        self._store.add_finding(device, REFUSED, f"command {number}", text, now_ms)

    def _clear(self, device: bytes, kind: str, now_ms: int) -> None:
        for place in self._store.open_places(device, kind):
            self._store.clear_finding(device, kind, place, now_ms)
