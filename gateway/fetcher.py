"""Fetches from the office the releases and parts that devices of this site are to have, one body at a time.

Apart from the uplink: a release that does not come holds up no segment. A body that is not what was asked for is not kept, and
asked for again later, less and less often.

Source: SPEC.md section 7.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import AnswerTooLong, BodyRefused, OfficeError, StoreFailed, StoreFull
from gateway.health import Health
from gateway.shelf import Lacking, Shelf
from gateway.uplink import Backoff

_log = logging.getLogger("gateway.fetcher")

Get = Callable[[str, int], Awaitable[bytes]]


class Fetcher:
    """get(path, bytes_max): returns a body of the office or raises OfficeError. point: the kill points."""

    def __init__(
        self,
        shelf: Shelf,
        health: Health,
        get: Get,
        *,
        backoff: Backoff,
        clock: Any,
        point: Callable[[str], None],
    ):
        self._shelf = shelf
        self._health = health
        self._get = get
        self._backoff = backoff
        self._clock = clock
        self._point = point
        # What failed, and when, on the monotonic clock, it is asked for again.
        self._waiting: set[Lacking] = set()
        self._again_s = 0.0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look what is lacking: the office said something. What failed waits its time all the same."""
        if any(lacking not in self._waiting for lacking in self._shelf.lacking()):
            self._wake.set()

    async def run(self) -> None:
        """Fetch whatever is lacking, for ever; ends by being cancelled."""
        while True:
            self._wake.clear()
            if not await self.step():
                await self._wake.wait()

    async def step(self) -> bool:
        """Try each body that is lacking and does not wait, then wait if one has not come; return False if nothing is lacking."""
        lacking = self._shelf.lacking()
        self._waiting &= set(lacking)
        errors = await self._fetch_all([one for one in lacking if one not in self._waiting])
        if errors:
            asked = [error.retry_after_s for error in errors if error.retry_after_s is not None]
            wait_s = self._backoff.next_wait_s(max(asked, default=None))
            self._again_s = max(self._again_s, self._clock.monotonic() + wait_s)
        elif not self._waiting:
            self._backoff.reset()
        if self._waiting:
            # Parts of a release that just came were not tried yet: they end the pause before it begins.
            self.wake()
            await self._pause()
        return bool(lacking)

    async def _fetch_all(self, lacking: list[Lacking]) -> list[OfficeError]:
        errors = []
        for one in lacking:
            error = await self._fetch(one)
            if error is not None:
                errors.append(error)
                self._waiting.add(one)
        return errors

    async def _pause(self) -> None:
        """Wait until what failed is asked for again, but not while something is lacking that was not tried yet."""
        asleep = asyncio.ensure_future(self._clock.sleep(self._again_s - self._clock.monotonic()))
        waits = [asleep, asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if asleep.done():
                self._waiting.clear()
                self._again_s = 0.0
        finally:
            for one in waits:
                one.cancel()

    async def _fetch(self, lacking: Lacking) -> OfficeError | None:
        """Return None once a body is kept, or no longer lacking; else what was wrong."""
        try:
            raw = await self._get(lacking.path, lacking.bytes_max)
            self._point("before_release_stored")
            await self._shelf.put(lacking, raw)
            self._point("after_release_stored")
        except (BodyRefused, AnswerTooLong) as error:
            self._health.count("bodies_refused")
            _log.error("what the office gave as %s is not kept: %s", lacking.path, error)
            return error
        except (OfficeError, StoreFull, StoreFailed) as error:
            self._health.count("fetch_failures")
            _log.warning("%s did not come: %s", lacking.path, error)
            return error if isinstance(error, OfficeError) else OfficeError(str(error))
        self._health.count("bodies_fetched")
        return None
