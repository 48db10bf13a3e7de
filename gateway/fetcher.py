"""Fetches from the office the releases and parts that devices of this site are to have, one body at a time.

Apart from the uplink: a release that does not come holds up no segment. A body that is not what was asked for is not kept, and
asked for again later, less and less often.

Source: SPEC.md section 7.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import OfficeError, StoreFailed, StoreFull
from gateway.health import Health
from gateway.shelf import BodyRefused, Lacking, Shelf
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
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look what is lacking: the office said something new."""
        self._wake.set()

    async def run(self) -> None:
        """Fetch whatever is lacking, for ever; ends by being cancelled."""
        while True:
            self._wake.clear()
            if not await self.step():
                await self._wake.wait()

    async def step(self) -> bool:
        """Try each body that is lacking once, and wait if one did not come; return False if nothing is lacking."""
        lacking = self._shelf.lacking()
        came = [await self._fetch(one) for one in lacking]
        if all(came):
            self._backoff.reset()
        else:
            await self._clock.sleep(self._backoff.next_wait_s())
        return bool(lacking)

    async def _fetch(self, lacking: Lacking) -> bool:
        try:
            raw = await self._get(lacking.path, lacking.bytes_max)
            self._point("before_release_stored")
            await self._shelf.put(lacking, raw)
            self._point("after_release_stored")
        except BodyRefused as error:
            self._health.count("bodies_refused")
            _log.error("what the office gave as %s is not kept: %s", lacking.path, error)
            return False
        except (OfficeError, StoreFull, StoreFailed) as error:
            _log.warning("%s did not come: %s", lacking.path, error)
            return False
        self._health.count("bodies_fetched")
        return True
