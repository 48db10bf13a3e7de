"""A gateway's store at work: takes custody, settles with the office, shelves what goes down; and what must be there after a cut.

Everything goes through the store's own methods. The store's `connect` is its own too; the log is written back into the
database after 30 pages instead of 1,000, so that a short run meets as many checkpoints as a long one.
"""

import asyncio
import hashlib

from gateway.errors import StoreFailed, StoreFull
from gateway.reconcile import Lane, Offer, Want, reconcile
from gateway.shelf import Shelf
from gateway.store import STORED
from gateway.store_down import StoreDown
from gateway.store_file import connect
from protocol.command import REPORT, Command, seal_command
from protocol.diagnostic import DiagnosticError
from protocol.keys import downlink_key
from protocol.manifest import MODEL
from protocol.messages import parse_heartbeat, parse_receipt
from protocol.segment import genesis, parse_segment
from tests.agent.release_bench import make_release
from tests.gateway.site import DOWNLINK, TestClock, device_id, heartbeat, new_store, receipt, segment
from tests.stores.promises import contents

NAME = "gateway"
CHECKPOINT_PAGES = 30
LANES = [(device_id(n), lane) for n in (1, 2) for lane in (0, 1)]
CONTEXT = b"context1"
ATTEMPTS = 20


def _releases():
    bodies = [bytes((n, *range(250))) * 12 for n in range(3)]
    return [make_release(number, [bodies[number - 1]], kinds=[MODEL]) for number in (1, 2, 3)]


RELEASES = _releases()


class Work:
    """One run in a folder. promises: where it is noted, or None. ready(error): called when the store refused, before another try."""

    def __init__(self, folder, promises, *, ready=None, states=True):
        self.folder = folder
        self.promises = promises
        self.ready = ready
        # Whether each committed content is noted; where the disk fails, one may be there that nobody was told of.
        self._states = states
        self.clock = TestClock()
        self.refusals = []
        self.connection = None
        self.store = None
        self._chains = {key: (0, genesis(key[0], key[1], 0)) for key in LANES}
        self._raws = {}

    # the store, opened as shipped

    def _connect(self, path):
        self.connection = connect(path)
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return self.connection

    def open(self):
        """Open the store; where it says by name that it cannot be, try again once the disk is mended."""
        for _ in range(ATTEMPTS):
            try:
                self._open()
                return
            except DiagnosticError as error:
                self._refused(error)
        raise AssertionError(f"{ATTEMPTS} attempts in vain: {self.refusals[-1]}")

    def _refused(self, error):
        self.refusals.append(error)
        if self.ready is None:
            raise error
        self.ready(error)
        self.clock.now += 2

    def _open(self):
        self.store = new_store(
            self.folder, clock=self.clock, point=self._point, connect=self._connect, bytes_max=1 << 24
        )
        # What the schema steps of an empty store leave, and what an opened one holds.
        self._point("after_commit")

    def _point(self, name):
        if name == "after_commit" and self.promises is not None and self._states:
            self.promises.committed(NAME, contents(self.connection))

    # telling what was told

    async def _do(self, call, *facts):
        """Await call() until the store takes it, then note the facts."""
        for _ in range(ATTEMPTS):
            try:
                result = call()
                if asyncio.iscoroutine(result):
                    result = await result
            except (StoreFull, StoreFailed) as error:
                self._refused(error)
                continue
            self._told(facts)
            return result
        raise AssertionError(f"{ATTEMPTS} attempts in vain: {self.refusals[-1]}")

    def _told(self, facts):
        if self.promises is not None:
            self.promises.told(NAME, facts, contents(self.connection) if self._states else None)

    # the work

    async def run(self, rounds):
        """Work for so many rounds; the store is closed and opened again in the middle."""
        shelf = await self._begin()
        for number in range(rounds):
            if number == rounds // 2 and number:
                await self.store.close()
                shelf = await self._begin()
            await self._custody(3 + number % 3)
            await self._heartbeat(number + 1)
            await self._do(lambda: self.store.reserve_sequence(device_id(), CONTEXT, 64))
            if number % 2:
                await self._settle()
            if number % 3 == 0:
                await self._shelve(shelf, number // 3)
        await self.store.close()

    async def fill(self, rounds):
        """Take custody in so many rounds; of the first, most is released again, all else waits for a receipt."""
        shelf = await self._begin()
        await self._shelve(shelf, 0)
        for number in range(rounds):
            await self._custody(8)
            await self._heartbeat(number + 1)
            if number == 0:
                await self._settle()
        await self._do(lambda: self.store.reserve_sequence(device_id(), CONTEXT, 64))
        await self.store.close()

    async def _begin(self):
        self.open()
        shelf = Shelf(StoreDown(self.store))
        await self._do(shelf.load)
        return shelf

    async def _custody(self, count):
        calls = []
        for n in range(count):
            key = LANES[n % len(LANES)]
            number, previous = self._chains[key]
            raw = segment(number, device=key[0], lane=key[1], previous=previous, size=40 + 60 * (n % 5))
            self._chains[key] = (number + 1, hashlib.sha256(raw).digest())
            self._raws[*key, number] = raw
            calls.append(self._take(key, number, raw))
        await asyncio.gather(*calls)

    async def _take(self, key, number, raw):
        await self._do(
            lambda: self.store.add_segment(parse_segment(raw)),
            ("segment", *key, 0, number, raw),
        )

    async def _heartbeat(self, counter):
        raw = heartbeat(counter=counter)
        fact = ("heartbeat", device_id(), counter)
        await self._do(lambda: self.store.add_heartbeat(parse_heartbeat(raw)), fact)

    async def _settle(self):
        batch = await self._do(lambda: self.store.next_batch(512, 256))
        keys = [key for key in LANES if self._chains[key][0]]
        receipts, facts = [], []
        for key in keys:
            number = self._chains[key][0] - 2
            if number >= 0:
                raw = receipt(number, self._raws[*key, number], device=key[0], lane=key[1])
                receipts.append(parse_receipt(raw))
                facts.append(("receipt", *key, 0, number + 1))
        outcomes = [(row, 0) for row, _ in batch.segments]
        beats = [row for row, _ in batch.heartbeats]
        await self._do(lambda: self.store.settle(outcomes, beats, receipts, []), *facts)

    async def _shelve(self, shelf, turn):
        release, bodies = RELEASES[turn % len(RELEASES)]
        number = turn % len(RELEASES) + 1
        order = Command(device_id(), turn + 1, 1 << 50, [REPORT])
        commands = [seal_command(order, downlink_key(DOWNLINK, "command"))]
        await self._do(lambda: shelf.replace([(device_id(), number)], commands))
        for raw in (release, *bodies):
            lacking = shelf.lacking()
            if lacking:
                await self._do(lambda raw=raw, lacking=lacking: shelf.put(lacking[0], raw))


def lost(connection, facts):
    """Return the facts that a database does not bear out."""
    rows = connection.execute("SELECT device, lane, epoch, number, raw, digest, outcome FROM segments")
    # Whose bytes a full store gave up: only where the office said that it has them.
    held = {tuple(row[:4]): row[4] or (row[5] if row[6] is not None else None) for row in rows}
    receipted = {
        tuple(row[:3]): row[3]
        for row in connection.execute("SELECT device, lane, epoch, receipted FROM lanes")
    }
    counters = dict(connection.execute("SELECT device, counter FROM devices"))
    missing = []
    for _, kind, *fact in facts:
        if kind == "segment":
            *key, number, raw = fact
            # Released: a receipt covers it.
            is_held = held.get((*key, number)) in (raw, hashlib.sha256(raw).digest())
            is_there = is_held or receipted.get(tuple(key), 0) > number
        elif kind == "receipt":
            is_there = receipted.get(tuple(fact[:3]), 0) >= fact[3]
        else:
            is_there = (counters.get(fact[0]) or 0) >= fact[1]
        if not is_there:
            missing.append((kind, *(one for one in fact if not isinstance(one, bytes))))
    return missing


async def look(folder, promises, cut):
    """Open what a cut left by the shipped code; return what is wrong with it (texts) and what was lost (facts)."""
    work = Work(folder, None)
    work.open()
    try:
        verdict = [line for (line,) in work.connection.execute("PRAGMA integrity_check")]
        wrong = [] if verdict == ["ok"] else [f"integrity_check: {verdict[0]}"]
        state = promises.wrong_state(cut, NAME, contents(work.connection))
        wrong += [state] if state else []
        gone = lost(work.connection, promises.due(cut))
        await Shelf(StoreDown(work.store)).load()
        kind = await work.store.add_segment(parse_segment(segment(9_999, device=device_id(9))))
        wrong += [] if kind == STORED else [f"the store takes no more: {kind}"]
    finally:
        await work.store.close()
    return wrong, gone


class LyingLook:
    """Looks after cuts of a disk that lies about its syncs: what was lost, and who notices.

    Nobody can notice before the cut. After it the check of the start finds what is damaged, and a device's next heartbeat names
    its newest segment, so that whatever is missing below it is asked of the device again. unnoticed: neither happened.
    """

    def __init__(self):
        self.cuts_that_lost_segments = 0
        self.segments_lost = 0
        self.found_by_the_check = 0
        self.asked_of_the_device = 0
        self.unnoticed = 0

    async def __call__(self, folder, promises, cut):
        work = Work(folder, None)
        work.open()
        try:
            due = promises.due(cut)
            gone = lost(work.connection, due)
            missing = {one[1:] for one in lost_segments(work.connection, due)}
            if missing:
                self.cuts_that_lost_segments += 1
                self.segments_lost += len(missing)
                self.found_by_the_check += work.store.repaired
                asked = missing & asked_of_devices(work.store, due)
                self.asked_of_the_device += len(asked)
                self.unnoticed += len(missing - asked)
        finally:
            await work.store.close()
        return [], gone

    def document(self):
        """Return the figures for build/stores.json."""
        return dict(vars(self))


def lost_segments(connection, facts):
    """Return ("segment", device, lane, epoch, number) of each segment that a database does not bear out."""
    return [("segment", *fact[2:6]) for fact in facts if fact[1] == "segment" and lost(connection, [fact])]


def asked_of_devices(store, facts):
    """Return (device, lane, epoch, number) of all that is asked for once every device has told its newest segment."""
    newest = {}
    for _, kind, *fact in facts:
        if kind == "segment":
            device, lane, epoch, number, raw = fact
            newest[device, lane, epoch] = max(newest.get((device, lane, epoch), (-1, b"")), (number, raw))
    asked = set()
    for key, (number, raw) in newest.items():
        offer = Offer(0, number, hashlib.sha256(raw).digest())
        for action in reconcile(store.lanes.get(key, Lane()), offer):
            if isinstance(action, Want):
                asked.update((*key, at) for at in range(action.start, action.stop))
    return asked
