"""One device and one gateway through thousands of power cuts and crashes: no key ever seals two texts under one nonce.

Both sides are the real ones: the device's `Session` over the power-safe cell on raw flash, the gateway's `Sessions` over its SQLite store.
Each seal of either side is noted where it happens, in the cipher: key and nonce. A device's power fails at a random flash
operation, torn as the dice fall; the gateway's dies before or after a commit took effect; now and then its store is lost altogether or
put back from an older copy, so is the device's flash, the device doubts its session, and the network delivers old requests again.
"""

import os
import random
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from agent.cell import Cell
from agent.flash import MODES, PowerCut
from agent.session import Session
from gateway import sessions as gateway_sessions
from gateway.config import Link
from gateway.sessions import Challenged, Refused, Sessions
from gateway.store import open_store
from protocol import aes_host, coap, oscore
from protocol.aead import AesCcm
from protocol.aes_host import Aes128
from protocol.errors import ProtocolError
from tests.both.flash_site import StrictFlash
from tests.both.seeded_bytes import Dice

_SECRET = bytes(range(16))
_KID = b"\x01"
_DEVICE = b"device-1"
_REQUESTS_MAX = 12
# One in so many: requests at which the gateway dies, starts after which a commit kills it, crashes that lose the store, boots that
# doubt their session, requests after which an old one is delivered again; boots that begin from an older copy of the flash, or leave one,
# and crashes after which the store is an older copy, or leave one.
_CRASH_EVERY = 12
_DEADLY_COMMIT_EVERY = 4
_LOSS_EVERY = 64
_DOUBT_EVERY = 12
_REPLAY_EVERY = 5
_PUT_BACK_EVERY = 12
_COPY_EVERY = 10
_RECENT = 8
# A process that dies loses nothing that its kernel has; what a disk does is tested with the store.
_MEMORY = "/dev/shm"


class Crash(BaseException):
    """The gateway's process is no more. No handler of its own may see it."""


@dataclass
class Cycles:
    """What was lived through: boots of the device, cuts within its flash work, starts and crashes of the gateway, seals, reuses."""

    seed: int
    boots: int = 0
    cuts: int = 0
    starts: int = 0
    crashes: int = 0
    in_commit: int = 0
    losses: int = 0
    flashes_put_back: int = 0
    stores_put_back: int = 0
    renewals: int = 0
    replays: int = 0
    seals: int = 0
    answered: int = 0
    reused: int = 0


class _KeyedAes(Aes128):
    def __init__(self, key):
        Aes128.__init__(self, key)
        self.key = key


class _Nonces:
    """Notes every seal: (key, nonce)."""

    def __init__(self, tally):
        self._tally = tally
        self._used = set()

    @contextmanager
    def watch(self):
        """Let every AES-CCM context of both sides be noted."""
        note = self._note

        class NotingCcm(AesCcm):
            def seal(self, nonce, text, aad):
                note(self._aes.key, nonce)
                return AesCcm.seal(self, nonce, text, aad)

        whole = aes_host.Ccm

        class NotingWhole(whole):
            def __init__(self, key):
                whole.__init__(self, key)
                self._key = key

            def seal(self, nonce, text, aad):
                note(self._key, nonce)
                return whole.seal(self, nonce, text, aad)

        with (
            patch.object(oscore, "AesCcm", NotingCcm),
            patch.object(aes_host, "Ccm", NotingWhole),
            patch.object(gateway_sessions, "Aes128", _KeyedAes),
        ):
            yield

    def _note(self, key, nonce):
        self._tally.seals += 1
        self._tally.reused += (key, nonce) in self._used
        self._used.add((key, nonce))


class _DyingConnection(sqlite3.Connection):
    """Dies within a later COMMIT: before it, or after it took effect. die_in: commits left, -1 for never; after: which."""

    die_in = -1
    after = False

    def execute(self, sql, *arguments):
        if sql != "COMMIT" or self.die_in < 0:
            return super().execute(sql, *arguments)
        type(self).die_in -= 1
        if type(self).die_in >= 0:
            return super().execute(sql, *arguments)
        if self.after:
            super().execute(sql, *arguments)
        raise Crash


def _connect(path):
    return sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False, factory=_DyingConnection
    )


class _Clock:
    now = 0.0

    def monotonic(self):
        # Far apart: limits of rate are not what is looked at here.
        self.now += 5
        return self.now

    def wall_ms(self):
        return 1_700_000_000_000


class Gateway:
    """A gateway's sessions over its store. start, crash, lose the store."""

    def __init__(self, folder, dice, tally):
        self._folder = folder
        self._dice = dice
        self._tally = tally
        self._clock = _Clock()
        self._link = Link(_DEVICE, _KID, _SECRET)
        self.start()

    def start(self):
        """Open the store and begin with no session in memory."""
        self._tally.starts += 1
        _DyingConnection.die_in = -1
        rng = random.Random(self._dice.below(1 << 30))
        path = self._folder / "store.db"
        self._store = open_store(
            path, bytes_max=1 << 30, clock=self._clock, rng=rng, point=lambda name: None, connect=_connect
        )
        self.sessions = Sessions(self._store, [self._link], secret=self._dice.bytes(32), clock=self._clock)
        if self._dice.below(_DEADLY_COMMIT_EVERY) == 0:
            _DyingConnection.die_in = self._dice.below(3)
            _DyingConnection.after = bool(self._dice.below(2))

    def stop(self):
        """Let go of the store as a process that dies: what was not committed is gone."""
        self._store.commits._worker.shutdown()
        self._store._connection.close()
        os.close(self._store._guard)

    def crash(self):
        """Die and start again; sometimes the store is lost with it."""
        self._tally.crashes += 1
        self.stop()
        if self._dice.below(_LOSS_EVERY) == 0:
            self._tally.losses += 1
            shutil.rmtree(self._folder)
            self._folder.mkdir()
        self._put_back()
        self.start()

    def _put_back(self):
        """Leave a copy of the store, or go on from an older one; no process has it now."""
        copy = self._folder.with_name("copy")
        if self._dice.below(_COPY_EVERY) == 0:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self._folder, copy)
        elif copy.exists() and self._dice.below(_PUT_BACK_EVERY) == 0:
            self._tally.stores_put_back += 1
            shutil.rmtree(self._folder)
            shutil.copytree(copy, self._folder)

    def answer(self, request):
        """Return the protected answer to a request, or None: refused, or dead meanwhile, maybe just before it was sent."""
        answer = self._answer(request)
        if self._dice.below(_CRASH_EVERY) == 0:
            self.crash()
            return None
        return answer

    def _answer(self, request):
        try:
            opened = self.sessions.open(request)
            self._tally.answered += 1
            return opened.protect(coap.Message(coap.ACK, coap.CHANGED, 0, b"", [], b"taken"))
        except Challenged as challenged:
            return challenged.message
        except Refused:
            return None
        except Crash:
            self._tally.in_commit += 1
            self.crash()
            return None


class Device:
    """A device that boots, sends and loses power, over and over, on one flash."""

    def __init__(self, gateway, dice, tally):
        self._gateway = gateway
        self._dice = dice
        self._tally = tally
        self._image = None
        self._copy = None
        self._recent = []

    def live_once(self):
        """Boot, send some requests, and be cut: within a flash operation, or between two."""
        self._tally.boots += 1
        self._put_back()
        flash = StrictFlash(2, self._image)
        self._image = flash.image
        flash.cut_after(self._dice.below(5), MODES[self._dice.below(3)], self._dice.below(1 << 30) + 1)
        try:
            self._run(flash)
        except PowerCut:
            self._tally.cuts += 1

    def _put_back(self):
        if self._image is not None and self._dice.below(_COPY_EVERY) == 0:
            self._copy = bytearray(self._image)
        elif self._copy is not None and self._dice.below(_PUT_BACK_EVERY) == 0:
            self._tally.flashes_put_back += 1
            self._image = bytearray(self._copy)

    def _run(self, flash):
        cell = Cell(flash, 0)
        cell.load()
        cell.store(boot=cell.boot + 1)
        session = Session(None, cell.boot, _KeyedAes, _SECRET, _KID, lambda: 0, self._dice.bytes, 1000)
        doubts = self._dice.below(_DOUBT_EVERY) == 0
        requests = self._dice.below(_REQUESTS_MAX) if self._dice.below(8) else 70 + self._dice.below(70)
        for number in range(requests):
            self._ask(session, [])
            if doubts and number == 1:
                self._tally.renewals += 1
                session.renew()
            if number % 8 == 3:
                # As the recorder does between requests.
                cell.store(order_reserved=cell.order_reserved + 1)

    def _ask(self, session, options):
        context = session._client.context
        message = coap.Message(coap.CON, coap.POST, 1, b"", coap.path_options("h") + options, b"")
        request, exchange = context.protect_request(message)
        self._recent = [*self._recent[1 - _RECENT :], request]
        answer = self._gateway.answer(request)
        if self._dice.below(_REPLAY_EVERY) == 0:
            self._tally.replays += 1
            self._gateway.answer(self._recent[self._dice.below(len(self._recent))])
        echo = _echo_of(context, answer, exchange)
        if echo is not None and not options:
            self._ask(session, [(coap.ECHO, echo)])


def _echo_of(context, answer, exchange):
    """Return the Echo of an answer, or None: another answer, or none."""
    if answer is None:
        return None
    try:
        return coap.option(context.unprotect_response(answer, exchange).options, coap.ECHO)
    except ProtocolError:
        return None


def run_cycles(cycles, seed=1):
    """Let a device boot so many times; return the Cycles."""
    tally = Cycles(seed)
    dice = Dice(seed)
    folder = Path(tempfile.mkdtemp(prefix="cuts-", dir=_MEMORY if os.path.isdir(_MEMORY) else None))
    store = folder / "gateway"
    store.mkdir()
    try:
        with _Nonces(tally).watch():
            gateway = Gateway(store, dice, tally)
            device = Device(gateway, dice, tally)
            for _ in range(cycles):
                device.live_once()
            gateway.stop()
    finally:
        shutil.rmtree(folder)
    return tally
