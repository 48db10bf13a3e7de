"""Faults of both stores and of their repair. Each name says what a broken one would do.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

import asyncio
import contextlib
import sqlite3

from gateway import store as store_module
from gateway import store_check, store_repair
from gateway.errors import StoreFull
from gateway.scrub import Scrub
from gateway.store import STORED, Store
from office_ingest.prove.repair import _Repair
from office_ingest.receive import keystore
from office_ingest.storage import damage, replacement, sqlite
from office_ingest.storage.sqlite import SqliteStore
from protocol import sqlite_file
from tests.planted.register import register

FAULTS, fault = register()


@contextlib.contextmanager
def planted(name):
    """Plant one fault for a while."""
    before = []

    def patch(owner, attribute, value):
        before.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, value)

    FAULTS[name](patch)
    try:
        yield
    finally:
        for owner, attribute, value in reversed(before):
            setattr(owner, attribute, value)


# ---- durability


def _weaken_gateway(patch, mode):
    true_prepare = store_repair.prepare

    def prepare(connection):
        true_prepare(connection)
        connection.execute(f"PRAGMA synchronous = {mode}")

    patch(store_repair, "prepare", prepare)


@fault
def gateway_synchronous_normal(patch):
    """The gateway's commits return before the log is synced."""
    _weaken_gateway(patch, "NORMAL")


@fault
def gateway_synchronous_off(patch):
    """The gateway never syncs."""
    _weaken_gateway(patch, "OFF")


@fault
def gateway_acknowledges_before_commit(patch):
    """Custody is given while the segment only waits for its commit."""
    true_add = Store.add_segment
    tasks = set()

    async def add_segment(self, segment, **options):
        tasks.add(asyncio.create_task(true_add(self, segment, **options)))
        return STORED

    patch(Store, "add_segment", add_segment)


@fault
def gateway_acknowledges_what_did_not_fit(patch):
    """A commit that found the disk full is taken for one that worked."""
    true_transact = Store._transact

    def transact(self, operations, point):
        try:
            return true_transact(self, operations, point)
        except StoreFull:
            return [0] * len(operations)

    patch(Store, "_transact", transact)


@fault
def gateway_believes_any_journal_mode(patch):
    """Where the disk refuses a write-ahead log, the store goes on without one."""

    def prepare(connection):
        connection.execute("PRAGMA secure_delete = ON")
        connection.create_function("session_sum", 4, store_check.session_sum, deterministic=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    patch(store_repair, "prepare", prepare)


@fault
def office_synchronous_normal(patch):
    """The office's commits return before the log is synced."""
    true_connect = sqlite._connect

    def connect(path):
        connection = true_connect(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    patch(sqlite, "_connect", connect)


@fault
def office_receipts_before_commit(patch):
    """The answer is given while the transaction is still open; the next one commits it."""

    @contextlib.contextmanager
    def transaction(self):
        if self.connection.in_transaction:
            self._sums.store(self.connection)
            self.connection.execute("COMMIT")
        self.connection.execute("BEGIN IMMEDIATE")
        yield

    patch(SqliteStore, "transaction", transaction)


@fault
def keystore_synchronous_full(patch):
    """The folder is not synced after the keystore's journal was deleted: a cut brings it back."""
    true_make = keystore._make_durable

    def make_durable(connection):
        true_make(connection)
        connection.execute("PRAGMA synchronous = FULL")

    patch(keystore, "_make_durable", make_durable)


# ---- finding damage


@fault
def gateway_start_checks_nothing(patch):
    """A store is taken for whole because it opens."""
    patch(store_check, "check_store", lambda connection: [])


@fault
def gateway_scrub_skips(patch):
    """The first segment whose bytes do not have its digest is passed over."""
    true_segments = store_check._segments

    def segments(connection):
        return (found for at, found in enumerate(true_segments(connection)) if at)

    (step, checks), *others = store_check._CHECKS
    swapped = tuple(segments if check is true_segments else check for check in checks)
    patch(store_check, "_CHECKS", ((step, swapped), *others))


@fault
def gateway_scrub_tells_nobody(patch):
    """The running gateway counts its scrubs and looks at none of them."""

    async def once(self):
        self._health.count("scrubs")

    patch(Scrub, "once", once)


@fault
def gateway_believes_any_sequence(patch):
    """A session's row is taken as it is."""
    patch(store_check, "is_session", lambda row: True)


@fault
def office_look_skips_bytes(patch):
    """The office compares digests of rows with nothing."""
    patch(damage, "is_row", lambda table, row: True)
    patch(damage, "read_row_sum", lambda connection, table: _any_sum())


class _any_sum:
    def __eq__(self, other):
        return True

    __hash__ = None


# ---- repairing


@fault
def gateway_repair_deletes_what_others_vouch_for(patch):
    """Bytes whose row lost its digest are dropped, although the index or the next segment names them."""
    patch(store_repair._Segments, "_named", lambda self: set())


@fault
def gateway_repair_keeps_anything(patch):
    """Bytes are carried over whether anything vouches for them or not."""
    patch(store_repair._Segments, "_named", lambda self: set(self._doubtful))


@fault
def gateway_repair_stops_at_the_first_bad_page(patch):
    """What lies behind an unreadable row is taken for lost."""

    def read_rows(source, table, columns, key):
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            yield from source.execute(f"SELECT {columns} FROM {table} ORDER BY {key}")

    patch(store_repair, "read_rows", read_rows)
    patch(store_repair._Segments, "_probe", lambda self, columns, row_id: [])


@fault
def gateway_repair_leaves_the_old_log(patch):
    """The damaged store's log lies beside the new file and is played into it."""

    def finish(path, now_ms, kept_max=None, step=lambda name: None):
        repaired = sqlite_file.beside(path, ".repaired")
        if repaired.exists():
            sqlite_file.keep_damaged(path, sqlite_file.beside(path, f".damaged-{now_ms}"), kept_max)
            repaired.replace(path)

    patch(sqlite_file, "finish", finish)


@fault
def gateway_repair_throws_the_damaged_file_away(patch):
    """Nobody can look at the damaged store any more."""
    patch(sqlite_file, "keep_damaged", lambda path, kept, kept_max: None)


@fault
def gateway_repair_is_not_carried_on(patch):
    """A repaired store that a power cut left aside stays aside."""

    def open_whole(path, connect, now_ms, ours=None):
        connection, _ = store_repair._open_checked(path, connect, now_ms)
        return connection, []

    patch(store_module, "open_whole", open_whole)


@fault
def office_repair_deletes_what_is_sealed(patch):
    """Every damaged row goes, whether its seal holds or not."""
    patch(_Repair, "_sealed", lambda self, raw: None)


@fault
def office_repair_opens_no_gap(patch):
    """What was taken out is missed by nobody."""
    patch(_Repair, "_gaps", lambda self: [])


@fault
def office_replacement_stops_at_the_first_bad_page(patch):
    """What lies behind an unreadable row is taken for lost."""

    def copy(source, target, table):
        kinds = {row[1]: row[2] for row in target.execute(f"PRAGMA table_info({table})")}
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            for row in source.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid"):
                replacement._keep_row(target, table, kinds, row)

    patch(replacement, "_copy", copy)
