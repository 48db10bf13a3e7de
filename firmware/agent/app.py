"""Builds the parts of the agent and runs the loop: the only place where they meet.

Boot, in this order: cell, keys, journal; the state as a fold of what is durable; a new epoch if the journal says so; the
actuators to where they were decided to be; boot event and checkpoint. Only then the first sample, and beside it the exchange.

One asyncio loop. Recording, deciding and sealing happen between two awaits, so that no other part ever sees half of it.

Source: SPEC.md sections 4.4, 5 and 6.
"""

import asyncio
import hashlib

from agent.actuators import UNKNOWN, Actuators
from agent.cell import Cell
from agent.checkpoint import BOOT as AT_BOOT
from agent.checkpoint import COUNT, PERIOD, PRUNE, Checkpoint, cut_parts, encode_checkpoint
from agent.clock import RULE_TICK_MS, Clock
from agent.exchange import Exchange, ExchangeSettings
from agent.fold import Fold
from agent.journal import Journal, NoRoom
from agent.keystore import Keystore
from agent.recorder import Decider, Recorder
from agent.recovery import newest_event
from agent.sampler import Sampler
from agent.schema import read_schema
from agent.session import Session
from agent.watchdog import Watchdog
from protocol._const import const
from protocol.aead import ctr
from protocol.errors import RULE, ProtocolError
from protocol.event import BOOT, CHECKPOINT, HEALTH, TIME_MARK
from protocol.keys import CRITICAL, ROUTINE
from rules import VERSION as SEMANTICS
from rules.bundle import read_bundle
from rules.engine import Engine

_RESTORED = const(1)
# Samples in one turn: then the exchange and the watchdog have theirs.
_TURN_SAMPLES = const(8)
# Longest sleep: the watchdog is fed, and a stop is seen, at least so often. Real milliseconds.
_SLEEP_MS = const(50)
# How often the counters are recorded as an event: a minute, real.
_HEALTH_MS = const(60000)
# Receipts come with the answers to heartbeats: who drains asks twice a second.
_DRAIN_HEARTBEAT_MS = const(500)
# A part that does not come by for a minute hangs; the exchange may wait for its last retransmission, twice the RFC's longest.
_AWAY_MS = const(60000)
_EXCHANGE_AWAY_MS = const(250000)


class Agent:
    """One boot of one device. config: Config; board: Board. Building it boots; run() goes on until stop()."""

    def __init__(self, config, board):
        self._config = config
        self._board = board
        self._is_stopping = False
        # False only while nothing but waiting and link code runs. Whoever is interrupted while it is True (Ctrl-C) may have
        # left flash and memory apart, and starts over from flash.
        self.is_recording = True
        self._clock = Clock(board.ticks_ms, board.ticks_diff, config.clock_scale)
        self._read_rules()
        self._open_flash()
        self._recorder = Recorder(self._journal, self._clock, board.note)
        self._build_exchange()
        self._build_sampling()
        self._boot()

    @property
    def boot(self) -> int:
        """How often this device has started."""
        return self._clock.boot

    def _read_rules(self) -> None:
        board = self._board
        self._channels = read_schema(board.schema)
        self._schema_digest = hashlib.sha256(board.schema).digest()
        self._bundle_digest = hashlib.sha256(board.bundle).digest()
        self._bundle = read_bundle(board.bundle)
        if self._bundle.schema != self._schema_digest[:8] or self._bundle.channels != len(self._channels):
            raise ProtocolError(RULE, "bundle {} is for another schema".format(self._bundle.version))
        self.engine = Engine(self._bundle)

    def _open_flash(self) -> None:
        board = self._board
        self._cell = Cell(board.flash, 0)
        self._cell.load()
        self._cell.store(boot=self._cell.boot + 1)
        self._clock.boot = self._cell.boot
        self._keystore = Keystore(board.flash, 2)
        self._keystore.open()
        config = self._config
        self._journal = Journal(
            board.flash,
            self._cell,
            self._keystore,
            config.device,
            config.classes,
            lambda key, iv, text: ctr(board.aes(key), iv, text),
            point=board.point,
        )

    def _build_session(self) -> None:
        config = self._config
        board = self._board
        self._session = Session(
            board.link,
            self._cell,
            self._store,
            board.aes,
            config.secret,
            config.kid,
            board.ticks_ms,
            board.random_bytes,
            config.ack_timeout_ms,
        )

    def _build_exchange(self) -> None:
        config = self._config
        board = self._board
        self._build_session()
        self._exchange = Exchange(
            self._request,
            self._journal,
            config.device,
            self._keystore.downlink(),
            self._clock,
            board.random_bytes,
            ExchangeSettings(config.heartbeat_ms, config.ack_timeout_ms),
            self._report,
            self,
            board.point,
        )

    def _build_sampling(self) -> None:
        board = self._board
        safe = {gate.action: gate.safe for gate in self._bundle.gates}
        self.actuators = Actuators(safe, board.move)
        self._sampler = Sampler(board.sensor, self._channels, self._config.sample_ms)
        self._decider = Decider(
            self._recorder,
            self._journal,
            self._clock,
            self.engine,
            self._bundle_digest,
            self.actuators,
            self._clock.is_trusted,
            self._exchange.is_online,
            board.point,
        )
        self._watchdog = Watchdog(board.feed, board.starve)
        self._health_at = _HEALTH_MS

    async def _request(self, code: int, path: str, payload: bytes):
        self.is_recording = False
        try:
            response = await self._session.request(code, path, payload)
        except Exception:
            # Not `finally`: an interrupt must leave the mark as it found it.
            self.is_recording = True
            raise
        self.is_recording = True
        return response

    def _store(self, **changes) -> None:
        was_recording = self.is_recording
        self.is_recording = True
        self._cell.store(**changes)
        self.is_recording = was_recording

    async def _pause(self, real_ms: int) -> None:
        self.is_recording = False
        await self._board.sleep_ms(real_ms)
        self.is_recording = True

    # ---- boot

    def _boot(self) -> None:
        reason = self._journal.open()
        self._journal.write_checkpoint = self._write_prune_checkpoint
        fold = Fold(self.engine, self._bundle_digest)
        for _number, boot, event in self._journal.replay_critical():
            fold.take(boot, event)
        # No rule tick of a routine event may return either.
        newest = newest_event(self._journal, ROUTINE)
        if newest is not None:
            fold.take_time(newest[0], newest[1][1])
        self._clock.now_base = fold.now_next
        # Where no checkpoint says when the view period began, it begins now.
        self._period_start = fold.now_next if fold.period_start is None else fold.period_start
        if reason is not None:
            self._journal.start_epoch(reason, self._clock.tick_ms())
        decided = dict(fold.positions)
        for _order, action, value in fold.pending:
            decided[action] = value
        self.actuators.assert_at_boot(decided)
        self._record_boot(fold.pending)

    def _record_boot(self, pending: list) -> None:
        self._decider.pending = list(pending)
        cause = (self._board.reset_cause, self._clock.now_base)
        self._recorder.record(CRITICAL, self._clock.tick_ms(), BOOT, cause)
        for i in range(len(pending)):
            order, action, value = pending[i]
            is_last = not [later for later in pending[i + 1 :] if later[1] == action]
            result = self.actuators.carry_out(action, value) if is_last else UNKNOWN
            self._decider.tell_action(order, action, value, result)
        self._write_checkpoint(AT_BOOT)

    # ---- checkpoints and periods

    def _write_checkpoint(self, reason: int) -> None:
        tick_ms = self._clock.tick_ms()
        point = Checkpoint(
            reason,
            self._clock.rule_tick(tick_ms),
            (self._bundle.version, self._bundle_digest),
            self._schema_digest,
            self._board.agent_digest,
            SEMANTICS,
            self.engine.state(),
            self.actuators.positions,
            self._period_start,
            self._decider.pending,
        )
        for part in cut_parts(encode_checkpoint(point)):
            self._recorder.record(CRITICAL, tick_ms, CHECKPOINT, part)
        self._recorder.seal(CRITICAL)

    def _write_prune_checkpoint(self) -> None:
        self._write_checkpoint(PRUNE)

    def _write_period_checkpoint(self) -> None:
        self._period_start = self._clock.rule_tick(self._clock.tick_ms())
        self._write_checkpoint(PERIOD)

    # ---- what the exchange tells

    def time_marked(self, wall_ms: int, error_ms: int) -> None:
        """The office's clock is known anew."""
        if self._is_stopping:
            # Each new event would want a receipt of its own, and with it the next time token: draining would have no end.
            return
        self._recorder.record(CRITICAL, self._clock.tick_ms(), TIME_MARK, (wall_ms, error_ms))
        self._recorder.seal(CRITICAL)

    def restored(self, receipts: list) -> None:
        """The office knows more of this device than its flash: it was restored or cloned. A new epoch begins above."""
        above = max([receipt.generation for receipt in receipts])
        self._journal.start_epoch(_RESTORED, self._clock.tick_ms(), above)
        self._write_checkpoint(AT_BOOT)
        self._session.renew()

    def link_doubted(self) -> None:
        """The gateway does not know this session any more."""
        self._session.renew()

    def _report(self) -> tuple:
        return (self._bundle.version, self._bundle_digest), self.health()

    def health(self) -> dict:
        """Return the counters of SPEC.md section 5.1."""
        flash = self._board.flash
        return {
            0: self._board.free_heap(),
            1: flash.erases,
            2: flash.programmed,
            3: self._session.sent_again(),
            4: self._exchange.failed,
            5: self._recorder.thinned,
            6: self._sampler.not_good,
            7: self._exchange.waiting(),
            8: self._journal.torn_pages,
        }

    # ---- the loop

    def stop(self) -> None:
        """Let run() end in order: no more samples, all sealed, exchanged until receipted or drain_ms have passed."""
        self._is_stopping = True

    async def run(self) -> None:
        """Sample, decide and exchange until stop(); then drain."""
        self._watchdog.expect("sampling", _AWAY_MS, self._clock.real_ms())
        self._watchdog.expect("exchange", _EXCHANGE_AWAY_MS, self._clock.real_ms())
        exchange = asyncio.create_task(self._exchange_loop())
        try:
            while not self._is_stopping:
                await self._pause(self._take_turn())
                await _raise_from(exchange)
            await self._drain(exchange)
        finally:
            exchange.cancel()

    async def drain(self) -> None:
        """Only drain: what is left to do after an interrupted run()."""
        # A task that an interrupt took away in the middle of a request never gives back what it held.
        self._board.link.close()
        self._build_session()
        exchange = asyncio.create_task(self._exchange_loop())
        try:
            await self._drain(exchange)
        finally:
            exchange.cancel()

    def _take_turn(self) -> int:
        """Do what is due; return how long to sleep, real milliseconds."""
        is_behind = self._take_samples()
        self._keep_house()
        self._watchdog.check_in("sampling", self._clock.real_ms())
        self._watchdog.watch(self._clock.real_ms())
        if is_behind:
            return 0
        return max(1, min(_SLEEP_MS, self._clock.real_until(self._sampler.next_tick_ms)))

    def _take_samples(self) -> bool:
        for _ in range(_TURN_SAMPLES):
            taken = self._sampler.take(self._clock.tick_ms())
            if taken is None:
                return False
            self._decider.take(taken[0], taken[1], taken[2])
        return True

    def _keep_house(self) -> None:
        self._recorder.note_skipped(self._sampler.take_skipped())
        self._recorder.record_dropped()
        tick_ms = self._clock.tick_ms()
        if self._clock.real_ms() >= self._health_at:
            self._health_at += _HEALTH_MS
            self._recorder.record(ROUTINE, tick_ms, HEALTH, (self.health(),))
        oldest = self._journal.oldest_open_tick(ROUTINE)
        if oldest is not None and tick_ms - oldest >= self._config.routine_seal_ms:
            self._recorder.seal(ROUTINE)
        self._recorder.seal(CRITICAL)
        in_period_ms = (self._clock.rule_tick(tick_ms) - self._period_start) * RULE_TICK_MS
        if in_period_ms >= self._config.period_s * 1000:
            self._switch_period()
        elif self._journal.checkpoint_due:
            self._write_checkpoint(COUNT)

    def _switch_period(self) -> None:
        try:
            self._journal.switch_period(self._write_period_checkpoint)
        except NoRoom:
            # The period goes on until there is room for the checkpoint of the next one.
            return

    async def _exchange_loop(self) -> None:
        while True:
            self._watchdog.check_in("exchange", self._clock.real_ms())
            await self._exchange.work()
            await self._pause(self._config.exchange_idle_ms)

    async def _drain(self, exchange) -> None:
        self._is_stopping = True
        self.is_recording = True
        self._recorder.seal(CRITICAL)
        self._recorder.seal(ROUTINE)
        self._exchange.hurry(_DRAIN_HEARTBEAT_MS)
        deadline = self._clock.real_ms() + self._config.drain_ms
        while not self._exchange.is_done() and self._clock.real_ms() < deadline:
            await self._pause(_SLEEP_MS)
            await _raise_from(exchange)


async def _raise_from(task) -> None:
    """Raise what ended a task that has no end of its own."""
    if task.done():
        await task
