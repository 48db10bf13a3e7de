"""Counts what each device moves over each link in a day, keeps the totals, and tells them to the office once a minute.

Totals are kept before they are told, and go on from what was kept: the office never hears less of a day than it heard before. A kill
costs what was counted since the last time. Where the store is lost, or a row of it, totals begin again from nothing, in another *life*:
8 random bytes of this process, kept with each total that it began and told with it, so that the office adds up what it heard of both. An office that cannot be reached, or is too old, costs nothing: the totals wait, a month's
at most.

Source: SPEC.md section 7.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import OfficeError, StoreFailed, StoreFull
from gateway.health import Health
from gateway.store import Store
from gateway.store_usage import Counts, Key, load_usage, put_usage
from protocol.limits import usage_rows_max
from protocol.usage import DAY_MS, LIFE_HEADER, LINK_NAMES, PATH, encode_usage

_log = logging.getLogger("gateway.usage")

# Days that wait for an office that does not hear them.
DAYS_KEPT = 31
# Of each link, by its number.
_COUNTERS = [
    tuple(f"{name}_{what}_bytes" for what in ("unproved", "received", "sent")) for name in LINK_NAMES
]
# The answer has no body.
_ANSWER_BYTES_MAX = 1024

Ask = Callable[[str, str, int, bytes, dict[str, str]], Awaitable[bytes]]


class Usage:
    """ask: as `uplink.Office` has it. life: 8 random bytes of this process. clock: wall_ms() says which day it is.

    interval_s: between two tellings.
    """

    def __init__(self, store: Store, health: Health, ask: Ask, *, life: bytes, clock: Any, interval_s: float):
        self._store = store
        self._health = health
        self._ask = ask
        self._clock = clock
        self._interval_s = interval_s
        self._life = life
        # Of totals that another process began.
        self._lives: dict[Key, bytes] = {}
        self._counts: dict[Key, list[int]] = {}
        # As it lies in the store, and as the office has heard it; both of this process.
        self._kept: dict[Key, Counts] = {}
        self._told: dict[Key, Counts] = {}

    async def load(self) -> None:
        """Go on from what is kept. Raises StoreFailed."""
        self._kept, self._lives = await self._store.read(load_usage)
        for key, counts in self._kept.items():
            mine = self._counts.setdefault(key, [0, 0, 0, 0])
            self._counts[key] = [a + b for a, b in zip(mine, counts, strict=True)]

    def moved(self, link: int, device: bytes | None, received: int, sent: int) -> None:
        """Count one datagram of a device, None: of nobody that is known. received, sent: its bytes, 0 for the way that it did not take."""
        unproved_bytes, received_bytes, sent_bytes = _COUNTERS[link]
        if device is None:
            self._health.counts[unproved_bytes] += received + sent
            return
        key = (device, self._clock.wall_ms() // DAY_MS, link)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0, 0, 0, 0]
        if received:
            counts[0] += received
            counts[2] += 1
            self._health.counts[received_bytes] += received
        if sent:
            counts[1] += sent
            counts[3] += 1
            self._health.counts[sent_bytes] += sent

    async def run(self) -> None:
        """Keep and tell again and again, for ever; ends by being cancelled."""
        while True:
            await self._clock.sleep(self._interval_s)
            try:
                await self.step()
            except (OfficeError, StoreFull, StoreFailed) as error:
                self._health.count("usage_failures")
                _log.warning("what devices moved waits: %s", error)

    async def step(self) -> None:
        """Keep what was counted, then tell it. Raises StoreFull, StoreFailed or OfficeError: it is told the next time."""
        await self.save()
        by_life: dict[bytes, list[Key]] = {}
        for key in sorted(key for key, counts in self._kept.items() if self._told.get(key) != counts):
            by_life.setdefault(self._life_of(key), []).append(key)
        for life, keys in by_life.items():
            for start in range(0, len(keys), usage_rows_max):
                await self._tell(life, {key: self._kept[key] for key in keys[start : start + usage_rows_max]})

    async def _tell(self, life: bytes, rows: dict[Key, Counts]) -> None:
        said = encode_usage([(*key, *counts) for key, counts in rows.items()])
        await self._ask("POST", PATH, _ANSWER_BYTES_MAX, said, {LIFE_HEADER: life.hex()})
        self._told.update(rows)
        self._health.count("usage_told", len(rows))

    def _life_of(self, key: Key) -> bytes:
        return self._lives.get(key, self._life)

    async def save(self) -> None:
        """Make the totals durable, and drop days that are over and told, or a month old. Raises StoreFull or StoreFailed."""
        self._forget()
        now = {key: (c[0], c[1], c[2], c[3]) for key, c in self._counts.items()}
        rows = {key: counts for key, counts in now.items() if self._kept.get(key) != counts}
        gone = [key for key in self._kept if key not in now]
        if not rows and not gone:
            return
        lives = {key: self._life_of(key) for key in rows}
        await self._store.commits.submit(lambda connection: put_usage(connection, rows, lives, gone))
        self._kept = now
        self._lives = {key: life for key, life in self._lives.items() if key in now}
        self._told = {key: counts for key, counts in self._told.items() if key in now}

    def _forget(self) -> None:
        today = self._clock.wall_ms() // DAY_MS
        for key, counts in list(self._counts.items()):
            is_told = self._told.get(key) == tuple(counts)
            if key[1] < today and (is_told or key[1] <= today - DAYS_KEPT):
                del self._counts[key]
