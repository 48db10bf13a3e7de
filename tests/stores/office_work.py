"""An office's database and keystore at work: enrols, ingests, records findings, gives commands; and what must be there after a cut.

Both files lie on one disk and are cut together. The log is written back after 30 pages instead of 1,000, as in gateway_work.
"""

import contextlib
import sqlite3

from office_ingest.errors import OfficeError
from office_ingest.govern.commands import give_command
from office_ingest.prove.verify import verify_database
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.storage.downward import RUNNING, Downward, Rollout, Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.command import REPORT
from protocol.messages import parse_receipt
from protocol.uplink import DUPLICATE, STORED
from tests.stores.promises import contents
from tests.support.device_model import DeviceModel
from tests.support.office_desk import PATIENCE, TOKEN

NAME = "office"
CHECKPOINT_PAGES = 30
ATTEMPTS = 20
# The auditor's walk costs more than all else here: it is done at every so many images.
VERIFY_EVERY = 16
# What says that the disk did not do what it was asked: the second where something only had to be read; the API answers 503.
REFUSALS = (OfficeError, sqlite3.OperationalError)


class Desk:
    """The office's two files, opened as shipped."""

    def __init__(self, folder, *, create=False, reach=None):
        database, keystore = folder / "office.db", folder / "keystore.db"
        with contextlib.ExitStack() as opened:
            self.store = SqliteStore.create(database) if create else SqliteStore.open(database)
            opened.callback(self.store.close)
            self.keystore = Keystore.create(keystore) if create else Keystore.open(keystore)
            opened.callback(self.keystore.close)
            self._start(reach)
            opened.pop_all()

    def _start(self, reach):
        self.store.connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self.now_ms = 1_700_000_000_000
        more = {"reach": reach} if reach else {}
        takings = Takings(self.store, patience=PATIENCE)
        self.ingest = Ingest(self.store, self.keystore, wall_ms=self.wall_ms, takings=takings, **more)
        self.registry = Registry(self.store)

    def wall_ms(self):
        self.now_ms += 1
        return self.now_ms

    def close(self):
        self.store.close()
        self.keystore.close()


class Work:
    """One run in a folder. ready(error): called when the store refused, before another try."""

    def __init__(self, folder, promises, *, ready=None, states=True):
        self.folder = folder
        self.promises = promises
        self.ready = ready
        # As in gateway_work.
        self._states = states
        self.refusals = []
        self.desk = None
        self.devices = [DeviceModel(seed) for seed in (1, 2)]

    def found(self):
        """Make the office and register its gateway and devices."""
        self.desk = Desk(self.folder, create=True, reach=self._reach)
        self._committed()
        self._do(lambda: self.desk.registry.add_gateway("gw-1", name="gw-1", site="s", token=TOKEN, now_ms=1))
        for n, device in enumerate(self.devices):
            self._register(device, f"device {n}")

    def _register(self, device, name):
        registry = self.desk.registry
        self._do(lambda: registry.add_device(device.device, name=name, site="s", now_ms=1))
        self._do(lambda: registry.put_traits(device.device, Traits("kind", "cohort", "unix")))
        self._do(lambda: device.enrol(self.desk.keystore), ("enrolled", device.device))

    def open(self):
        """Open both files; where one says by name that it cannot be used, try again once the disk is mended."""
        for _ in range(ATTEMPTS):
            try:
                self.desk = Desk(self.folder, reach=self._reach)
                self._committed()
                return
            except REFUSALS as error:
                self._refused(error)
        raise AssertionError(f"{ATTEMPTS} attempts in vain: {self.refusals[-1]}")

    def _refused(self, error):
        self.refusals.append(error)
        if self.ready is None:
            raise error
        self.ready(error)

    def _reach(self, name):
        if name == "after_commit":
            self._committed()

    def _committed(self):
        if self.promises is not None and self._states:
            self.promises.committed(NAME, contents(self.desk.store.connection))

    def _do(self, call, *facts):
        for _ in range(ATTEMPTS):
            try:
                result = call()
            except REFUSALS as error:
                self._refused(error)
                continue
            self._told(facts)
            return result
        raise AssertionError(f"{ATTEMPTS} attempts in vain: {self.refusals[-1]}")

    def _told(self, facts):
        if self.promises is not None:
            self.promises.told(NAME, facts, contents(self.desk.store.connection) if self._states else None)

    def run(self, rounds):
        """Found an office, or open the one that was founded, and work; it is closed and opened again in the middle."""
        if self.desk is None:
            self.found()
        else:
            self.open()
        for number in range(rounds):
            if number == rounds // 2 and number:
                self.desk.close()
                self.open()
            self._ingest(number)
            self._direct(number)
        self.desk.close()

    def _ingest(self, number):
        device = self.devices[number % len(self.devices)]
        raws = [device.seal(n % 2) for n in range(4)]
        # One is held back, so that a gap opens; the next round of this device fills it.
        late = raws.pop() if number % 4 < 2 else None
        raws += getattr(device, "late", [])
        device.late = [late] if late else []
        forged = bytearray(raws[0])
        forged[-1] ^= 1
        heartbeats = [device.heartbeat()]
        answer = self._do(lambda: self._take([*raws, bytes(forged)], heartbeats))
        # Where an answer could not be read after its commit, the second says that they are held.
        assert set(answer.outcomes[: len(raws)]) in ({STORED}, {DUPLICATE}), answer.outcomes
        if number % 3 == 2:
            # The next period: the ratchet moves on, and what it was is overwritten.
            device.period += 1

    def _take(self, raws, heartbeats):
        answer = self.desk.ingest.take("gw-1", raws, heartbeats)
        if self.promises is not None:
            for raw in raws[:-1]:
                self.promises.kept(NAME, "segment", raw)
            for raw in answer.receipts:
                self.promises.kept(NAME, "receipt", raw)
        return answer

    def _direct(self, number):
        device = self.devices[number % len(self.devices)]
        down = Downward(self.desk.store)
        self._do(
            lambda: give_command(
                self.desk.store,
                self.desk.keystore,
                device.device,
                [REPORT],
                author="a",
                now_ms=self.desk.now_ms,
                lasts_ms=60_000,
            )
        )
        self._do(lambda: self._roll_out(down, number + 1))
        if number % 3 == 2:
            period, view_class = device.period - 1, device.view_class[0]
            self._do(
                lambda: self.desk.keystore.erase_period(device.device, view_class, period),
                ("erased", device.device, view_class, period),
            )

    def _roll_out(self, down, number):
        with self.desk.store.transaction():
            down.put_rollout(Rollout(number, RUNNING, "a", self.desk.now_ms, self.desk.now_ms))


def lost(desk, facts):
    """Return the facts that the two files do not bear out."""
    rows = desk.store.connection.execute
    segments = {raw for (raw,) in rows("SELECT raw FROM segments")}
    receipts = {tuple(row[:3]): row[3] for row in rows("SELECT device, lane, epoch, number FROM receipts")}
    enrolled = set(desk.keystore.devices())
    missing = []
    for _, kind, *fact in facts:
        if kind == "segment":
            is_there = fact[0] in segments
        elif kind == "receipt":
            f = parse_receipt(fact[0]).fields
            is_there = receipts.get((f.device, f.lane, f.epoch), -1) >= f.number
        elif kind == "enrolled":
            is_there = fact[0] in enrolled
        else:
            is_there = desk.keystore.view_key(*fact) is None
        if not is_there:
            missing.append((kind, *(one for one in fact if not isinstance(one, bytes))))
    return missing


class Look:
    """Opens what a cut left by the shipped code, and says what is wrong with it and what was lost."""

    def __init__(self, verify_every=VERIFY_EVERY):
        self._verify_every = verify_every
        self._images = 0

    async def __call__(self, folder, promises, cut):
        self._images += 1
        desk = Desk(folder)
        try:
            wrong = [
                f"integrity_check of {name}: {line}"
                for name, connection in (
                    ("office", desk.store.connection),
                    ("keystore", desk.keystore._connection),
                )
                for (line,) in connection.execute("PRAGMA integrity_check")
                if line != "ok"
            ]
            state = promises.wrong_state(cut, NAME, contents(desk.store.connection))
            wrong += [state] if state else []
            due = promises.due(cut)
            gone = lost(desk, due)
            if self._images % self._verify_every == 0:
                report = verify_database(desk.store.connection, desk.keystore)
                wrong += [f"verify: {one}" for one in report.findings if "is not registered" not in str(one)]
            wrong += _still_works(desk)
        finally:
            desk.close()
        return wrong, gone


def _still_works(desk):
    device = DeviceModel(77)
    desk.registry.add_device(device.device, name="one more", site="s", now_ms=1)
    device.enrol(desk.keystore)
    outcomes = desk.ingest.take("gw-1", [device.seal(0)], []).outcomes
    return [] if outcomes == [STORED] else [f"the office takes no more: {outcomes}"]
