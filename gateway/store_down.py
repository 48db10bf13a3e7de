"""What the store keeps of the way down: wanted releases, waiting commands, releases and parts. SQL only; `shelf` is over it.

All of it together has a share of its own beside bytes_max, so that nothing of it ever costs a segment its custody, and commands
have theirs within it, so that neither they nor releases crowd the other out. It is counted as the pages that it takes at most: what
is short of a page costs one all the same.
"""

import sqlite3
from typing import NamedTuple

from gateway.errors import StoreFull
from gateway.store import Store

# Releases, parts and commands of one site together.
DOWN_BYTES_MAX = 4 * 1024 * 1024
# Of these, what commands may take: some 3,600 of the largest size.
COMMAND_BYTES_MAX = 1024 * 1024
# And what is left for releases and their parts: fifteen releases of the largest size.
BODY_BYTES_MAX = DOWN_BYTES_MAX - COMMAND_BYTES_MAX

# A body lies on pages of 4,096 bytes, 4,092 of them its own, and on its share of a leaf; leaves may be half empty.
_BODY_BYTES = (
    "SELECT (SELECT coalesce(sum((length(raw) / 4092 + 2) * 4096), 0) FROM releases)"
    " + (SELECT coalesce(sum((length(body) / 4092 + 2) * 4096), 0) FROM parts)"
    " + (SELECT count(*) * 64 FROM wanted)"
)
# A command's row is its bytes, its key and what a leaf says of it; here too leaves may be half empty.
_COMMAND_BYTES = "SELECT coalesce(sum((length(raw) + 64) * 2), 0) FROM commands"


class Kept(NamedTuple):
    """All that is kept: device -> number, device -> number -> command, number -> release, digest -> part."""

    wanted: dict[bytes, int]
    commands: dict[bytes, dict[int, bytes]]
    releases: dict[int, bytes]
    parts: dict[bytes, bytes]


class StoreDown:
    """Reads and writes those tables in the transactions of one store; what a method returned is on the disk."""

    def __init__(self, store: Store):
        self._store = store

    async def load(self) -> Kept:
        """Return everything. Raises StoreFailed."""

        def load(connection: sqlite3.Connection) -> Kept:
            commands: dict[bytes, dict[int, bytes]] = {}
            for device, number, raw in connection.execute("SELECT device, number, raw FROM commands"):
                commands.setdefault(device, {})[number] = raw
            return Kept(
                dict(connection.execute("SELECT device, number FROM wanted").fetchall()),
                commands,
                dict(connection.execute("SELECT number, raw FROM releases").fetchall()),
                dict(connection.execute("SELECT digest, body FROM parts").fetchall()),
            )

        kept: Kept = await self._store.read(load)
        self._store.down_bytes = await self._store.read(_down_bytes)
        return kept

    async def replace(
        self,
        wanted: dict[bytes, int],
        commands: dict[bytes, dict[int, bytes]],
        gone_releases: list[int],
        gone_parts: list[bytes],
    ) -> None:
        """Replace what is said of the devices that wanted names, 0 for no release, and delete what nobody wants any more.

        Raises StoreFull or StoreFailed: nothing changed.
        """

        def replace(connection: sqlite3.Connection) -> int:
            for table in ("commands", "wanted"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE device = ?",  # noqa: S608 - one of the two names above
                    [(device,) for device in wanted],
                )
            connection.executemany(
                "INSERT INTO wanted VALUES (?, ?)", [entry for entry in wanted.items() if entry[1]]
            )
            connection.executemany(
                "INSERT INTO commands VALUES (?, ?, ?)",
                [(device, number, raw) for device, held in commands.items() for number, raw in held.items()],
            )
            connection.executemany("DELETE FROM releases WHERE number = ?", [(one,) for one in gone_releases])
            connection.executemany("DELETE FROM parts WHERE digest = ?", [(one,) for one in gone_parts])
            return self._measure(connection)

        self._store.down_bytes = await self._store.commits.submit(replace)

    async def put_release(self, number: int, raw: bytes) -> None:
        """Keep a release, over an earlier one of its number. Raises StoreFull or StoreFailed: nothing was kept."""
        await self._put("INSERT OR REPLACE INTO releases VALUES (?, ?)", number, raw)

    async def put_part(self, digest: bytes, body: bytes) -> None:
        """Keep a part. Raises StoreFull or StoreFailed: nothing was kept."""
        await self._put("INSERT OR REPLACE INTO parts VALUES (?, ?)", digest, body)

    async def _put(self, sql: str, key: int | bytes, body: bytes) -> None:
        def put(connection: sqlite3.Connection) -> int:
            taken = _sum(connection, _BODY_BYTES)
            if taken + _page_bytes(body) > BODY_BYTES_MAX:
                raise StoreFull(
                    f"a body of {len(body)} bytes finds no room: releases and parts hold {taken} bytes of their share"
                    f" of the store ({BODY_BYTES_MAX}); take back releases that no device needs any more"
                )
            connection.execute(sql, (key, body))
            return self._measure(connection)

        self._store.down_bytes = await self._store.commits.submit(put)

    def _measure(self, connection: sqlite3.Connection) -> int:
        after = _down_bytes(connection)
        # At once for what follows in this thread; less only after the commit, lest custody pay for a moment.
        self._store.down_bytes = max(self._store.down_bytes, after)
        return after


def command_bytes(raw: bytes) -> int:
    """Return what a waiting command takes of COMMAND_BYTES_MAX."""
    return (len(raw) + 64) * 2


def _down_bytes(connection: sqlite3.Connection) -> int:
    return _sum(connection, _BODY_BYTES) + _sum(connection, _COMMAND_BYTES)


def _sum(connection: sqlite3.Connection, sql: str) -> int:
    return connection.execute(sql).fetchone()[0]


def _page_bytes(body: bytes) -> int:
    return (len(body) // 4092 + 2) * 4096
