"""The devices' keys: an SQLite file of its own, apart from the database, readable by its owner alone.

Kept for each device: the downlink key; of each lane's seal chain k(0) and every generation_kept_every-th (4,096th) key;
of each view ratchet one row for every vk, and only the newest r; its link secrets, which gateways of its site are told
(`govern.links`). The roots are used once, at enrolment, and not kept:
whoever steals this file learns no view key that was erased from it.

Any seal key is derived from the nearest kept or remembered one below it. Remembered keys are few and the eldest go
first, so that consecutive generations cost one step and memory stays bounded.

A rekey that was given lies here as pending: what is random in it, and where its keys begin; its root follows from the downlink key of
the moment, for its command is sealed anew whenever that changes. Settled, it becomes one more kept key of each lane,
and the ratchets that go on; so what was sealed before is verified by the chain of before, without anybody choosing. The downlink keys
of before stay, for what was sealed under them lies in the database. A settled row stays until the database followed (`receive.rekeys`).
A relink that was given is a second link, and a row that says which command it is of, until it is known what came of it (`receive.relinks`).
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from office_ingest.errors import KeyUnknown, NotAnOfficeDatabase, StoreUnavailable, check_readable
from protocol import keys
from protocol.command import REKEY
from protocol.errors import FAR_GENERATION, PERIOD, ProtocolError
from protocol.limits import device_links_max, generation_ahead_max, generation_kept_every
from protocol.sqlite_door import READ, WRITE, open_database

APPLICATION_ID = 0x4F55544B
VERSION = 1
# Once a device was given other keys: an older program would look them up wrongly, and so does not take the file.
VERSION_REKEYED = 2
# View periods that may be skipped at once: eleven years of days, and each costs one row.
PERIODS_AHEAD_MAX = 4096
# Derived seal keys remembered for each lane: enough for a backlog that arrives in several places at once.
REMEMBERED_PER_LANE = 16
# Lanes whose derived keys are remembered.
LANES_REMEMBERED = 8192

_SCHEMA = """
CREATE TABLE devices (id BLOB PRIMARY KEY, downlink BLOB NOT NULL) STRICT;
CREATE TABLE seal_keys (device BLOB NOT NULL, lane INTEGER NOT NULL, generation INTEGER NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (device, lane, generation)) STRICT;
CREATE TABLE view_keys (device BLOB NOT NULL, class INTEGER NOT NULL, period INTEGER NOT NULL, vk BLOB NOT NULL,
    PRIMARY KEY (device, class, period)) STRICT;
CREATE TABLE ratchets (device BLOB NOT NULL, class INTEGER NOT NULL, period INTEGER NOT NULL, r BLOB NOT NULL,
    PRIMARY KEY (device, class)) STRICT;
"""
# Beside the others since gateways are told links by the office. An older program passes it over, so the version is the same.
# While a secret is replaced a device has two rows, the old and the new one: that is why the key is not the device alone.
_LINKS_SCHEMA = """
CREATE TABLE IF NOT EXISTS links (device BLOB NOT NULL, kid BLOB NOT NULL, secret BLOB NOT NULL, added_ms INTEGER NOT NULL,
    PRIMARY KEY (device, kid)) STRICT;
CREATE TABLE IF NOT EXISTS relinks (device BLOB PRIMARY KEY, number INTEGER NOT NULL, random BLOB NOT NULL, kid BLOB NOT NULL) STRICT;
"""

# (device, kid, secret): identity, OSCORE sender ID of 1..7 bytes, OSCORE master secret of 16.
Link = tuple[bytes, bytes, bytes]

# Beside the others since devices are given other keys. As long as none was, the version is that of an older program.
_REKEY_SCHEMA = """
CREATE TABLE IF NOT EXISTS rekeys (device BLOB NOT NULL, number INTEGER NOT NULL, generation INTEGER NOT NULL, period INTEGER NOT NULL,
    random BLOB NOT NULL, settled INTEGER NOT NULL, PRIMARY KEY (device, number)) STRICT;
CREATE TABLE IF NOT EXISTS downlinks (device BLOB NOT NULL, number INTEGER NOT NULL, generation INTEGER NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (device, number)) STRICT;
"""


class Rekey(NamedTuple):
    """One rekey that was given. number: of its command; generation, period: where its keys begin; root: SPEC.md section 10.1."""

    number: int
    generation: int
    period: int
    root: bytes

    def seal_key(self, lane: int, generation: int) -> bytes:
        """Return k(generation) of a lane; at most generation_ahead_max steps from where it begins, else the caller is wrong."""
        assert 0 <= generation - self.generation <= generation_ahead_max
        return keys.seal_ahead(keys.rekeyed(self.root)[lane], generation - self.generation)


class Keystore:
    """Derives seal keys, hands out view keys, and remembers no more than it must."""

    def __init__(self, connection: sqlite3.Connection, *, read_only: bool = False):
        self._connection = connection
        self._read_only = read_only
        self._near: OrderedDict[tuple[bytes, int], OrderedDict[int, bytes]] = OrderedDict()

    @classmethod
    def create(cls, path: Path) -> "Keystore":
        """Make a new, empty keystore with mode 0600. Raises FileExistsError if there is one."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = _connect(path, read_only=False)
        _make_durable(connection)
        connection.executescript(
            f"BEGIN; {_SCHEMA} {_LINKS_SCHEMA} {_REKEY_SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {VERSION}; COMMIT;"
        )
        return cls(connection)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> "Keystore":
        """Open a keystore. read_only: view keys not yet handed out are derived and forgotten again.

        Raises NotAnOfficeDatabase for any other file.
        """
        if not path.is_file():
            raise NotAnOfficeDatabase(f"{path} is not a file")
        check_readable(path)
        try:
            connection = _connect(path, read_only=read_only)
        except sqlite3.DatabaseError as error:
            raise NotAnOfficeDatabase(f"{path} cannot be used: {error}") from None
        try:
            if not read_only:
                _make_durable(connection)
            found = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            connection.close()
            raise NotAnOfficeDatabase(f"{path} is not a keystore: {error}") from None
        if found != APPLICATION_ID or version not in (VERSION, VERSION_REKEYED):
            connection.close()
            raise NotAnOfficeDatabase(f"{path} is not a keystore of version {VERSION}")
        if not read_only:
            connection.executescript(_LINKS_SCHEMA + _REKEY_SCHEMA)
        return cls(connection, read_only=read_only)

    @property
    def connection(self) -> sqlite3.Connection:
        """What tables of others in this file are read and written by: claims."""
        return self._connection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def enrol(self, device: bytes, seal_root: bytes, view_root: bytes, downlink: bytes) -> None:
        """Take the keys of a new device (8 bytes) from its roots (32 bytes each), which are not kept.

        Raises sqlite3.IntegrityError if the device is enrolled already.
        """
        with self.writing():
            self._connection.execute("INSERT INTO devices VALUES (?, ?)", (device, downlink))
            for lane in keys.LANES:
                first = keys.seal_start(seal_root, lane)
                self._connection.execute("INSERT INTO seal_keys VALUES (?, ?, 0, ?)", (device, lane, first))
            for view_class in (keys.SITE, keys.OFFICE):
                first = keys.view_start(view_root, view_class)
                self._connection.execute(
                    "INSERT INTO ratchets VALUES (?, ?, 0, ?)", (device, view_class, first)
                )

    def forget(self, device: bytes) -> None:
        """Delete the keys of a device that was never registered: its provisioning was cut off. Nothing happens if there are none."""
        with self.writing():
            self._connection.execute("DELETE FROM devices WHERE id = ?", (device,))
            for table in ("seal_keys", "view_keys", "ratchets", "links", "relinks", "rekeys", "downlinks"):
                self._connection.execute(f"DELETE FROM {table} WHERE device = ?", (device,))  # noqa: S608 - names are ours

    def devices(self) -> list[bytes]:
        """Return the identities that have keys here, in order."""
        return [row[0] for row in self._connection.execute("SELECT id FROM devices ORDER BY id")]

    def downlink(self, device: bytes) -> bytes:
        """Return the downlink key (32 bytes). Raises KeyUnknown."""
        row = self._connection.execute("SELECT downlink FROM devices WHERE id = ?", (device,)).fetchone()
        if row is None:
            raise KeyUnknown(f"the keystore holds nothing for device {device.hex()}")
        return row[0]

    def links(self) -> list[Link]:
        """Return every link that gateways may be told, by device, the newest of a device last."""
        if not self._has("links"):
            return []
        return self._connection.execute(
            "SELECT device, kid, secret FROM links ORDER BY device, added_ms, kid"
        ).fetchall()

    def version(self) -> tuple[int, int]:
        """Return what changes whenever this file may have been written, by whichever process."""
        others = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return others, self._connection.total_changes

    def add_link(self, device: bytes, kid: bytes, secret: bytes, now_ms: int) -> None:
        """Take a link of a device beside those that it has: gateways accept each until drop_link(). At most device_links_max.

        Raises ValueError: the device has as many as it may, or the kid is another link's.
        """
        with self.writing():
            held = self._connection.execute(
                "SELECT device FROM links WHERE device = ? OR kid = ?", (device, kid)
            )
            owners = [row[0] for row in held]
            if owners.count(device) >= device_links_max or len(set(owners) - {device}):
                raise ValueError(f"device {device.hex()} has its links already, or another one has this kid")
            self._connection.execute("INSERT INTO links VALUES (?, ?, ?, ?)", (device, kid, secret, now_ms))

    def drop_link(self, device: bytes, kid: bytes) -> bool:
        """Forget one link of a device, so that gateways accept it no more; return whether there was one."""
        with self.writing():
            gone = self._connection.execute("DELETE FROM links WHERE device = ? AND kid = ?", (device, kid))
        return gone.rowcount == 1

    def _has(self, table: str) -> bool:
        # An older keystore that is only read has no such table yet.
        found = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,))
        return found.fetchone() is not None

    def downlinks(self, device: bytes) -> list[bytes]:
        """Return the downlink key and those that rekeys ended, the newest first. Raises KeyUnknown."""
        rows = (
            self._connection.execute(
                "SELECT key FROM downlinks WHERE device = ? ORDER BY number DESC", (device,)
            )
            if self._has("downlinks")
            else []
        )
        return [self.downlink(device), *(row[0] for row in rows)]

    # rekeys

    def add_rekey(self, device: bytes, number: int, demand: list[int]) -> None:
        """Keep that a rekey command of this number and demand is given; over one of its number that never was. Raises KeyUnknown."""
        self.downlink(device)
        _kind, generation, period, high, low = demand
        random = high.to_bytes(8, "big") + low.to_bytes(8, "big")
        with self.writing():
            self._connection.execute(f"PRAGMA user_version = {VERSION_REKEYED}")
            self._connection.execute(
                "INSERT OR REPLACE INTO rekeys VALUES (?, ?, ?, ?, ?, 0)",
                (device, number, generation, period, random),
            )

    def drop_rekey(self, device: bytes, number: int) -> None:
        """Forget a pending rekey: the device refused it. Nothing happens if there is none, or if it is settled."""
        with self.writing():
            self._connection.execute(
                "DELETE FROM rekeys WHERE device = ? AND number = ? AND NOT settled", (device, number)
            )

    def pending_rekeys(self, device: bytes) -> list[Rekey]:
        """Return what was given to a device and is not proved, the newest first."""
        rows = self._connection.execute(
            "SELECT number, generation, period, random FROM rekeys WHERE device = ? AND NOT settled"
            " ORDER BY number DESC",
            (device,),
        )
        return [self._rekey(device, *row) for row in rows]

    def _rekey(self, device: bytes, number: int, generation: int, period: int, random: bytes) -> Rekey:
        halves = [int.from_bytes(random[at : at + 8], "big") for at in (0, 8)]
        root = keys.rekey_root(self.downlink(device), device, number, [REKEY, generation, period, *halves])
        return Rekey(number, generation, period, root)

    def period_ahead(self, device: bytes, view_class: int) -> int:
        """Return the lowest period whose view key was not handed out yet. Raises KeyUnknown."""
        row = self._connection.execute(
            "SELECT period FROM ratchets WHERE device = ? AND class = ?", (device, view_class)
        ).fetchone()
        if row is None:
            raise KeyUnknown(f"the keystore holds no ratchet for device {device.hex()}")
        return row[0]

    def rekey_generations(self, device: bytes) -> list[int]:
        """Return where the keys of each settled rekey of a device begin."""
        rows = self._connection.execute("SELECT generation FROM downlinks WHERE device = ?", (device,))
        return [row[0] for row in rows]

    def settle_rekey(self, device: bytes, rekey: Rekey) -> None:
        """Let the keys of a rekey be the device's from its generation and period on, in one transaction; drop what was given before it.

        The view keys of before become rows up to its period, so that nothing that was sealed is lost with their ratchets.
        """
        fresh = keys.rekeyed(rekey.root)
        for view_class in (keys.SITE, keys.OFFICE):
            self._keep_views_below(device, view_class, rekey.period)
        with self.writing():
            write = self._connection.execute
            write(
                "INSERT INTO downlinks VALUES (?, ?, ?, ?)",
                (device, rekey.number, rekey.generation, self.downlink(device)),
            )
            write("UPDATE devices SET downlink = ? WHERE id = ?", (fresh[4], device))
            for lane in keys.LANES:
                # Of the chain of before nothing may be left above: a later key would be derived from it.
                write(
                    "DELETE FROM seal_keys WHERE device = ? AND lane = ? AND generation >= ?",
                    (device, lane, rekey.generation),
                )
                write(
                    "INSERT INTO seal_keys VALUES (?, ?, ?, ?)", (device, lane, rekey.generation, fresh[lane])
                )
            for view_class in (keys.SITE, keys.OFFICE):
                write(
                    "DELETE FROM view_keys WHERE device = ? AND class = ? AND period >= ?",
                    (device, view_class, rekey.period),
                )
                write(
                    "UPDATE ratchets SET period = ?, r = ? WHERE device = ? AND class = ?",
                    (rekey.period, fresh[1 + view_class], device, view_class),
                )
            write("DELETE FROM rekeys WHERE device = ? AND number < ?", (device, rekey.number))
            write("UPDATE rekeys SET settled = 1 WHERE device = ? AND number = ?", (device, rekey.number))
        for lane in keys.LANES:
            self._near.pop((device, lane), None)

    def _keep_views_below(self, device: bytes, view_class: int, period: int) -> None:
        at = self._connection.execute(
            "SELECT period FROM ratchets WHERE device = ? AND class = ?", (device, view_class)
        ).fetchone()
        if at is not None and at[0] < period:
            self.view_key(device, view_class, period - 1)

    def settled_rekeys(self) -> list[bytes]:
        """Return the devices whose rekey was settled and whose database did not follow yet."""
        rows = self._connection.execute("SELECT DISTINCT device FROM rekeys WHERE settled ORDER BY device")
        return [row[0] for row in rows]

    def finish_rekey(self, device: bytes) -> None:
        """The database followed: forget the settled row."""
        with self.writing():
            self._connection.execute("DELETE FROM rekeys WHERE device = ? AND settled", (device,))

    def seal_key(self, device: bytes, lane: int, generation: int) -> bytes:
        """Return k(generation) of a lane, at most two times 4,096 steps from a key that is kept or remembered.

        The caller bounds generation: it costs time, and each 4,096th key on the way becomes a row.
        Raises KeyUnknown; ProtocolError(FAR_GENERATION) beyond what is kept plus those steps.
        """
        near = self._remembered(device, lane)
        known, key = generation, near.get(generation, b"")
        if not key:
            known, key = self._kept(device, lane, generation)
            # A kept key may begin another chain: nothing that is remembered below it leads there.
            known = max((g for g in near if known <= g < generation), default=known)
            key = near.get(known, key)
        if generation - known > 2 * generation_ahead_max:
            raise ProtocolError(FAR_GENERATION, f"generation {generation} is beyond the kept keys ({known})")
        while known < generation:
            key = keys.seal_next(key)
            known += 1
            if known % generation_kept_every == 0:
                self._keep(device, lane, known, key)
        near[generation] = key
        near.move_to_end(generation)
        if len(near) > REMEMBERED_PER_LANE:
            near.popitem(last=False)
        return key

    def tag_key(self, device: bytes, lane: int, generation: int) -> bytes:
        """Return the key of segment tags of a generation. Raises as seal_key."""
        return keys.tag_key(self.seal_key(device, lane, generation))

    def view_key(self, device: bytes, view_class: int, period: int) -> bytes | None:
        """Return vk(period), or None if it was erased.

        A period above the ratchet moves it forward; each vk on the way becomes a row, the old r is overwritten.
        Raises KeyUnknown; ProtocolError(PERIOD) more than PERIODS_AHEAD_MAX above the ratchet.
        """
        row = self._connection.execute(
            "SELECT vk FROM view_keys WHERE device = ? AND class = ? AND period = ?",
            (device, view_class, period),
        ).fetchone()
        if row is not None:
            return row[0]
        ratchet = self._connection.execute(
            "SELECT period, r FROM ratchets WHERE device = ? AND class = ?", (device, view_class)
        ).fetchone()
        if ratchet is None:
            raise KeyUnknown(f"the keystore holds no ratchet for device {device.hex()}")
        if period < ratchet[0]:
            return None
        if period - ratchet[0] > PERIODS_AHEAD_MAX:
            raise ProtocolError(
                PERIOD, f"period {period} is more than {PERIODS_AHEAD_MAX} above {ratchet[0]}"
            )
        return self._advance(device, view_class, ratchet[0], ratchet[1], period)

    def erase_period(self, device: bytes, view_class: int, period: int) -> None:
        """Delete vk(period): what the bodies of that class and period said is unreadable from then on."""
        self.view_key(device, view_class, period)
        with self.writing():
            self._connection.execute(
                "DELETE FROM view_keys WHERE device = ? AND class = ? AND period = ?",
                (device, view_class, period),
            )

    def _advance(self, device: bytes, view_class: int, at: int, r: bytes, period: int) -> bytes:
        rows = []
        vk = b""
        while at <= period:
            vk = keys.view_key(r)
            rows.append((device, view_class, at, vk))
            r = keys.view_next(r)
            at += 1
        if not self._read_only:
            with self.writing():
                self._connection.executemany("INSERT INTO view_keys VALUES (?, ?, ?, ?)", rows)
                self._connection.execute(
                    "UPDATE ratchets SET period = ?, r = ? WHERE device = ? AND class = ?",
                    (at, r, device, view_class),
                )
        return vk

    def _remembered(self, device: bytes, lane: int) -> OrderedDict[int, bytes]:
        near = self._near.setdefault((device, lane), OrderedDict())
        self._near.move_to_end((device, lane))
        if len(self._near) > LANES_REMEMBERED:
            self._near.popitem(last=False)
        return near

    def _kept(self, device: bytes, lane: int, generation: int) -> tuple[int, bytes]:
        row = self._connection.execute(
            "SELECT generation, key FROM seal_keys WHERE device = ? AND lane = ? AND generation <= ?"
            " ORDER BY generation DESC LIMIT 1",
            (device, lane, generation),
        ).fetchone()
        if row is None:
            raise KeyUnknown(f"the keystore holds no seal key for device {device.hex()}")
        return row

    def _keep(self, device: bytes, lane: int, generation: int, key: bytes) -> None:
        if self._read_only:
            return
        with self.writing():
            self._connection.execute(
                "INSERT OR IGNORE INTO seal_keys VALUES (?, ?, ?, ?)", (device, lane, generation, key)
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Give one transaction: all of what is written in it, or nothing. Within another one it is a part of that.

        Raises StoreUnavailable: disk or another process do not let us.
        """
        if self._connection.in_transaction:
            yield
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._undo()
            raise StoreUnavailable(f"the keystore did not take it: {error}") from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        # A commit that a reader kept waiting too long fails and leaves the transaction open.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    return open_database(path, READ if read_only else WRITE)


def _make_durable(connection: sqlite3.Connection) -> None:
    # EXTRA, not FULL: without a sync of the folder after it, a power cut brings the deleted journal back, and with it the
    # state before the commit: an enrolled device would be unknown again, an erased key readable.
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA secure_delete = ON")  # an erased key must not stay in a free page
