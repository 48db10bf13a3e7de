"""Remembers which leaves of the release roots signed, and tells the office: it may have been put back to a backup, this gateway was not.

What is told is durable here before it counts. The highest leaf of a root never goes down, and of two envelopes by one leaf the first stays:
the office asks to be shown it, and knows then that the leaf signed twice.

Source: SPEC.md section 7 (Witness).
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from gateway.errors import OfficeConfused, OfficeError, StoreFailed, StoreFull
from gateway.health import Health
from gateway.store import Store
from gateway.store_witness import Seen, load_witness, put_witness, seen_in
from protocol.errors import ProtocolError
from protocol.limits import witness_roots_max
from protocol.witness import ANSWER_BYTES_MAX, PATH, encode_witness, parse_witness_answer

_log = logging.getLogger("gateway.witness")

# An office is shown what it asked for at once; one that asks on and on is asked again the next time.
_ROUNDS_MAX = 3

Ask = Callable[[str, str, int, bytes], Awaitable[bytes]]


class Witness:
    """ask: as `uplink.Office` has it. carried(): the envelopes of the releases that lie here. interval_s: between two tellings."""

    def __init__(
        self,
        store: Store,
        health: Health,
        ask: Ask,
        carried: Callable[[], Iterable[bytes]],
        *,
        clock: Any,
        interval_s: float,
    ):
        self._store = store
        self._health = health
        self._ask = ask
        self._carried = carried
        self._clock = clock
        self._interval_s = interval_s
        self._seen: dict[bytes, Seen] = {}

    async def load(self) -> None:
        """Go on from what is kept. Raises StoreFailed."""
        self._seen = await self._store.read(load_witness)

    async def run(self) -> None:
        """Tell again and again, for ever; ends by being cancelled."""
        while True:
            try:
                await self.step()
            except (OfficeError, StoreFull, StoreFailed) as error:
                self._health.count("witness_failures")
                _log.warning("which leaves signed is told later: %s", error)
            await self._clock.sleep(self._interval_s)

    async def step(self) -> None:
        """Keep what was carried, say what was seen, keep what is told. Raises StoreFull, StoreFailed or OfficeError."""
        await self._keep(self._carried())
        shown: list[bytes] = []
        for _ in range(_ROUNDS_MAX):
            said = encode_witness([one[:3] for one in self._seen.values()], shown)
            raw = await self._ask("POST", PATH, ANSWER_BYTES_MAX, said)
            try:
                told, asked = parse_witness_answer(raw)
            except ProtocolError as error:
                raise OfficeConfused(f"the office's answer about leaves is none: {error}") from None
            await self._keep(told)
            shown = [self._seen[root].envelope for root in asked if root in self._seen]
            if not shown:
                return

    async def _keep(self, envelopes: Iterable[bytes]) -> None:
        new: dict[bytes, Seen] = {}
        for raw in envelopes:
            try:
                seen = seen_in(raw)
            except ProtocolError as error:
                _log.error("an envelope that is none is not kept: %s", error)
                continue
            known = new.get(seen.root) or self._seen.get(seen.root)
            if known is None or seen.leaf > known.leaf:
                new[seen.root] = seen
        if not new:
            return
        rows = list(new.values())[-witness_roots_max:]
        await self._store.commits.submit(lambda connection: put_witness(connection, rows))
        for row in rows:
            self._seen.pop(row.root, None)
            self._seen[row.root] = row
        while len(self._seen) > witness_roots_max:
            del self._seen[next(iter(self._seen))]
