"""Which devices this gateway serves, and by which link secrets: what the office tells a gateway with a certificate, and links.toml.

Before the office told a set, and on a gateway with a token for good, links.toml alone counts. From then on the office says who is
served; links.toml has a say only for devices of which the office itself does not know the secret. What a set no longer names ends at
once: its sessions, its rows, and its place in the store's log, so that the secret is in no file any more.

A device may have two links, the old one and the new one, while its secret is replaced: sessions find either by its kid.

Source: SPEC.md section 7.
"""

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from gateway.config import Link
from gateway.health import Health
from gateway.store import Store
from gateway.store_links import Entries, Entry, by_device, is_set, load_links, replace_links

_log = logging.getLogger("gateway.link_set")

# The office is asked at least so often: a device that is new, moved or revoked waits no longer, and an idle line carries little. After
# a change it is asked at once: of a large site it tells more in each answer.
ASK_INTERVAL_S = 60.0

# As protocol.uplink.UplinkAnswer.links.
Change = tuple[bytes, bytes | None, list[Entry], list[bytes]]


class LinkSet:
    """listed: of links.toml. reload(links): told whenever what counts has changed. asks: whether the office tells this gateway any."""

    def __init__(
        self,
        store: Store,
        health: Health,
        listed: list[Link],
        *,
        reload: Callable[[list[Link]], None],
        asks: bool,
    ):
        self._store = store
        self._health = health
        self._listed = listed
        self._reload = reload
        self.asks = asks
        self._mark: bytes | None = None
        self._told: Entries = {}
        self._is_in_doubt = False
        self._ask: Callable[[], None] = lambda: None

    async def load(self) -> None:
        """Take up the set that the store kept. Raises StoreFailed."""
        if self.asks:
            self._mark, self._told = await self._store.read(load_links)
            self._reload(self.links())

    def held(self) -> str | None:
        """Return what the next request says of the set held: its mark in hex, empty for none; None: it asks for no links."""
        if not self.asks:
            return None
        return "" if self._mark is None or self._is_in_doubt else self._mark.hex()

    def links(self) -> list[Link]:
        """Return the links that count now."""
        if self._mark is None:
            return self._listed
        told = [Link(*entry) for held in self._told.values() for entry in held if len(entry) == 3]
        left = [link for link in self._listed if self._told.get(link.device) == [(link.device,)]]
        return told + left

    def relist(self, listed: list[Link]) -> int:
        """Take links.toml as it was read again; return how many links count now."""
        self._listed = listed
        links = self.links()
        self._reload(links)
        return len(links)

    async def take(self, change: Change | None) -> None:
        """Carry out what the office says of links. Raises StoreFull or StoreFailed: nothing changed."""
        if change is None or not self.asks:
            return
        mark, base, put, gone = change
        if base is not None and base != self._mark:
            self._doubt("it changes a set that is not held")
            return
        entries = by_device(put)
        kept = {} if base is None else {d: held for d, held in self._told.items() if d not in gone}
        told = kept | entries
        if not is_set(mark, told):
            self._doubt("what comes out does not have its mark")
            return
        # Or rows of a set that was found damaged.
        has_gone = base is None or any(told.get(device) != held for device, held in self._told.items())
        went = gone if base is not None else None
        await self._store.commits.submit(lambda connection: replace_links(connection, mark, entries, went))
        self._mark, self._told, self._is_in_doubt = mark, told, False
        links = self.links()
        self._reload(links)
        self._health.count("links_replaced")
        _log.info("the office told links of %d devices; %d links count now", len(entries), len(links))
        self._ask()
        if has_gone:
            await self._store.read(_empty_log)

    def _doubt(self, why: str) -> None:
        """Hold what is held, and let the office tell all of it with its next answer."""
        self._health.count("links_refused")
        _log.warning("links of the office were not taken: %s", why)
        self._is_in_doubt = True

    async def keep_asking(self, ask: Callable[[], None], clock: Any) -> None:
        """Let the uplink ask at the start, after each change, and again and again; ends by being cancelled."""
        self._ask = ask
        while True:
            ask()
            await clock.sleep(ASK_INTERVAL_S)


def _empty_log(connection: sqlite3.Connection) -> None:
    # A deleted secret must not lie on in the write-ahead log.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
