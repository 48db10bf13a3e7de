"""Reads bodies of class `site` with the single view keys that the office granted, and keeps the newest reading of each channel.

The gateway has no seal key: it believes a body whose synthetic IV fits, which nobody makes without that period's key, and the office
alone checks the seal. A key that the office names no more is deleted with all that was read with it, in one transaction, and the
log is emptied after it. Readings are for people at the site; custody never waits for them, and what finds no room is passed over.

Source: SPEC.md sections 3.4, 7 and 10 (Periods); docs/decisions/0022-strict-decoder-for-verified-bodies.md.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gateway.errors import StoreFailed, StoreFull
from gateway.health import Health
from gateway.store import Store
from gateway.store_readings import Keys, Reading, load_keys, put_readings, replace_keys
from protocol.errors import ProtocolError
from protocol.event import SAMPLE, decode_events
from protocol.keys import SITE, body_keys
from protocol.segment import Segment

_log = logging.getLogger("gateway.readings")

# Segments that wait to be read; more are passed over, the newest stay.
WAITING_MAX = 512
# Segments read between two commits, so that the event loop is never held for long.
_BATCH = 64


class Readings:
    """store: where keys and readings are; clock: wall_ms()."""

    def __init__(self, store: Store, health: Health, *, clock: Any):
        self._store = store
        self._health = health
        self._clock = clock
        self._keys: Keys = {}
        self._waiting: deque[Segment] = deque(maxlen=WAITING_MAX)
        self._wake = asyncio.Event()

    async def load(self) -> None:
        """Take up the keys that the store kept. Raises StoreFailed."""
        self._keys = await self._store.read(load_keys)

    def offer(self, segment: Segment) -> None:
        """Take note of a segment that is durable now; read later, if it may be read at all."""
        header = segment.header
        if header.view_class == SITE and header.period in self._keys.get(header.device, ()):
            self._waiting.append(segment)
            self._wake.set()

    async def replace(self, grants: list[tuple[bytes, int, list[bytes | None]]]) -> None:
        """Hold of each device named exactly these keys. Raises StoreFull or StoreFailed: nothing changed."""
        said = {
            device: {first + at: key for at, key in enumerate(keys) if key is not None}
            for device, first, keys in grants
        }
        new = {device: keys for device, keys in said.items() if keys != self._keys.get(device, {})}
        if not new:
            return
        # First here: what waits must not be read with a key that is about to go.
        before, self._keys = self._keys, {**self._keys, **new}
        try:
            has_gone = await self._store.commits.submit(lambda connection: replace_keys(connection, new))
        except (StoreFull, StoreFailed):
            self._keys = before
            raise
        self._health.count("views_replaced", len(new))
        if has_gone:
            await self._store.read(_empty_log)

    async def run(self) -> None:
        """Read what is offered, for ever; ends by being cancelled."""
        while True:
            self._wake.clear()
            while self._waiting:
                await self.step()
                await asyncio.sleep(0)
            await self._wake.wait()

    async def step(self) -> None:
        """Read a batch of what waits and keep what is newest of it."""
        newest: dict[tuple[bytes, int], Reading] = {}
        for _ in range(min(_BATCH, len(self._waiting))):
            for reading in self._read(self._waiting.popleft()):
                before = newest.get(reading[:2])
                if before is None or (before.epoch, before.order) <= (reading.epoch, reading.order):
                    newest[reading[:2]] = reading
        if not newest:
            return
        try:
            await self._store.commits.submit(lambda connection: put_readings(connection, newest.values()))
        except (StoreFull, StoreFailed) as error:
            _log.warning("%d readings were not kept: %s", len(newest), error)

    def _read(self, segment: Segment) -> list[Reading]:
        header = segment.header
        key = self._keys.get(header.device, {}).get(header.period)
        if key is None or header.view_class != SITE:
            return []
        try:
            body_key, iv_key = body_keys(key)
            boot, events = decode_events(segment.open_body(body_key, iv_key, _ctr), header.count)
        except ProtocolError as error:
            self._health.count("unreadable")
            _log.info("device %s: segment %d: %s", header.device.hex(), header.number, error)
            return []
        samples = [event for event in events if event[2] == SAMPLE]
        if not samples:
            return []
        self._health.count("read")
        order, tick_ms, _, (values, qualities) = samples[-1]
        place, at = (header.period, header.epoch, order, boot, tick_ms), self._clock.wall_ms()
        return [
            Reading(header.device, channel, *place, value, quality, at)
            for channel, (value, quality) in enumerate(zip(values, qualities, strict=True))
        ]


def _ctr(key: bytes, iv: bytes, text: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


def _empty_log(connection: sqlite3.Connection) -> None:
    # A deleted key must not lie on in the write-ahead log.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
