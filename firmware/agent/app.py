"""Builds the parts of the agent and runs the loop: the only place where they meet.

Boot, in this order: the cell, which says whose rules decide; keys, journal; the state as a fold of what is durable; a new epoch if
the journal says so; the actuators to where they were decided to be; boot event and checkpoint. Only then the first sample, and
beside it the exchange.

One asyncio loop. Recording, deciding and sealing happen between two awaits, so that no other part ever sees half of it.

Source: SPEC.md sections 4.4, 5, 6 and 12.6.
"""

import asyncio
import hashlib

from agent.actuators import UNKNOWN, Actuators
from agent.adopter import Adopter
from agent.attest import attest
from agent.cell import Cell
from agent.checkpoint import ADOPT
from agent.checkpoint import BOOT as AT_BOOT
from agent.checkpointer import Checkpointer
from agent.clock import Clock
from agent.coap_client import longest_request_ms
from agent.commander import Commander
from agent.epoch import RESTORED
from agent.exchange import Exchange, ExchangeSettings
from agent.flash import Window
from agent.fold import Fold
from agent.incumbent import Incumbent, choose_at_boot
from agent.journal import Journal
from agent.keystore import Keystore
from agent.layout import CELL_SECTOR, KEY_SECTOR, RING_SECTOR, SLOTS_SECTORS
from agent.recorder import Decider, Recorder
from agent.recovery import newest_event
from agent.rekeyer import Rekeyer
from agent.resources import BATTERY, FLASH, LINK
from agent.sampler import Sampler
from agent.schema import read_schema
from agent.session import Session
from agent.slots import Slots
from agent.steward import Steward
from agent.telemetry import Telemetry
from agent.watchdog import Watchdog
from protocol._const import const
from protocol.aead import ctr
from protocol.command import HEARTBEAT_MS, LINK_DAY_BYTES, ROUTINE_SEAL_MS, SAMPLE_MS
from protocol.event import ADOPTION, BOOT, COMMAND, TIME_MARK
from protocol.keys import CRITICAL, ROUTINE
from protocol.manifest import Standing

# Samples in one turn: then the exchange and the watchdog have theirs.
_TURN_SAMPLES = const(8)
# Longest sleep: the watchdog is fed, and a stop is seen, at least so often. Real milliseconds.
_SLEEP_MS = const(50)
# An agent that runs so long is healthy: while a gateway answers, or without one. Real milliseconds.
_HEALTHY_MS = const(60000)
_ALONE_MS = const(600000)
# Receipts come with the answers to heartbeats: who drains asks twice a second.
_DRAIN_HEARTBEAT_MS = const(500)
# A part that does not come by for a minute hangs; the exchange comes by before each request, and may wait for the last word of one.
_AWAY_MS = const(60000)


class Agent:
    """One boot of one device. config: Config; board: Board. Building it boots; run() goes on until stop()."""

    def __init__(self, config, board):
        self._config = config
        self._board = board
        self._is_stopping = False
        self._has_sampled = False
        # False only while nothing but waiting and link code runs. Whoever is interrupted while it is True (Ctrl-C) may have
        # left flash and memory apart, and starts over from flash.
        self.is_recording = True
        self._clock = Clock(board.ticks_ms, board.ticks_diff, config.clock_scale)
        self._channels = read_schema(board.schema)
        self._schema_digest = hashlib.sha256(board.schema).digest()
        self._choose_rules()
        self._open_flash()
        self._recorder = Recorder(self._journal, self._clock, board.note)
        self._build_exchange()
        self._build_sampling()
        self._build_way_down()
        self._build_economy()
        self._boot()

    @property
    def boot(self) -> int:
        """How often this device has started."""
        return self._clock.boot

    @property
    def engine(self):
        """The engine that decides."""
        return self.incumbent.engine

    def _choose_rules(self) -> None:
        board = self._board
        self._cell = Cell(board.flash, CELL_SECTOR)
        self._cell.load()
        self._slots = Slots(board.flash)
        before = self._cell.release[:2]
        self.incumbent, changes = choose_at_boot(
            self._cell, self._slots, board.reset_cause, self.take, board.rooms, board.is_counted
        )
        self._cell.store(boot=self._cell.boot + 1, **changes)
        self._clock.boot = self._cell.boot
        if self.incumbent.agent != board.agent and self._cell.release[:2] != before:
            # A trial or slot was found to be over in this boot, and another agent goes with what decides now.
            board.restart()

    def _open_flash(self) -> None:
        board = self._board
        self._keystore = Keystore(board.flash, KEY_SECTOR)
        self._keystore.open()
        config = self._config
        self._journal = Journal(
            Window(board.flash, board.flash.sectors - SLOTS_SECTORS),
            self._cell,
            self._keystore,
            config.device,
            config.classes,
            lambda key, iv, text: ctr(board.aes(key), iv, text),
            point=board.point,
            first_sector=RING_SECTOR,
        )

    def _build_session(self) -> None:
        config = self._config
        board = self._board
        self._session = Session(
            board.link,
            self._cell.boot,
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
        self.actuators = Actuators(self.incumbent.safe_positions(), board.move)
        self._sampler = Sampler(board.sensor, self._channels, self._config.sample_ms)
        self._decider = Decider(
            self._recorder,
            self._journal,
            self._clock,
            self.incumbent,
            self.actuators,
            self._clock.is_trusted,
            self._exchange.is_online,
            board.point,
        )
        self._watchdog = Watchdog(board.feed, board.starve)

    def _build_way_down(self) -> None:
        config = self._config
        rooms = self._board.rooms
        self._adopter = Adopter(self._cell, self._store, self._slots, self, config.adopt, rooms)
        rekeyer = Rekeyer(config.device, self._keystore, self._journal, self)
        downlink = self._keystore.downlink()
        self._commander = Commander(config.device, downlink, self._cell, self._store, self, rekeyer)
        self._exchange.errands = (self._commander, self._adopter)
        self._checkpointer = Checkpointer(
            self._recorder,
            self._journal,
            self._clock,
            self.actuators,
            self._decider,
            self._commander,
            self._schema_digest,
            self._board.agent_digest,
        )
        self._checkpointer.incumbent = self.incumbent

    def _build_economy(self) -> None:
        config = self._config
        self._telemetry = Telemetry(
            self._channels, self.health, self._moved, self._clock.real_ms, config.inputs_ms
        )
        self._steward = Steward(
            self._board,
            self._recorder,
            self._journal,
            self._clock,
            self._exchange,
            self._telemetry,
            self._hold_releases,
            self._checkpointer.write_when_whole,
            config,
        )

    def _moved(self) -> int:
        return self._steward.moved()

    def _hold_releases(self, is_held: bool) -> None:
        if not self._is_stopping:
            self._exchange.errands = (self._commander,) if is_held else (self._commander, self._adopter)

    async def _request(self, code: int, path: str, payload: bytes, options):
        # Before each: a backlog after an outage is thousands of requests without a pause.
        self._watchdog.check_in("exchange", self._clock.real_ms())
        self.is_recording = False
        try:
            response = await self._session.request(code, path, payload, options)
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
        fold = Fold(self.engine, self.incumbent.digest)
        for _number, boot, event in self._journal.replay_critical():
            fold.take(boot, event)
        # No rule tick of a routine event may return either.
        newest = newest_event(self._journal, ROUTINE)
        if newest is not None:
            fold.take_time(newest[0], newest[1][1])
        self._clock.now_base = fold.now_next
        # Where no checkpoint says when the view period began, it begins now.
        self._checkpointer.period_start = fold.now_next if fold.period_start is None else fold.period_start
        if reason is not None:
            self._journal.start_epoch(reason, self._clock.tick_ms())
        decided = dict(fold.positions)
        for _order, action, value in fold.pending:
            decided[action] = value
        self.actuators.assert_at_boot(decided)
        self._commander.resume(fold.commands, fold.settings)
        self._record_boot(fold.pending)
        self._adopter.resume()

    def _record_boot(self, pending: list) -> None:
        self._decider.pending = list(pending)
        cause = (self._board.reset_cause, self._clock.now_base)
        self._recorder.record(CRITICAL, self._clock.tick_ms(), BOOT, cause)
        for i in range(len(pending)):
            order, action, value = pending[i]
            is_last = not [later for later in pending[i + 1 :] if later[1] == action]
            result = self.actuators.carry_out(action, value) if is_last else UNKNOWN
            self._decider.tell_action(order, action, value, result)
        attest(self._recorder, self._clock, self._board, self._config.hardware, self.incumbent.digest)
        self._checkpointer.write(AT_BOOT)

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
        self._journal.start_epoch(RESTORED, self._clock.tick_ms(), above)
        self._checkpointer.write(AT_BOOT)
        self._session.renew()

    def link_doubted(self) -> None:
        """The gateway does not know this session any more."""
        self._session.renew()

    def _report(self) -> tuple:
        return (self.incumbent.bundle.version, self.incumbent.digest), self._telemetry.said()

    def health(self) -> dict:
        """Return the counters of SPEC.md section 5.1."""
        flash = self._board.flash
        counters = {
            0: self._board.free_heap(),
            1: flash.erases,
            2: flash.programmed,
            3: self._session.sent_again(),
            4: self._exchange.failed + self._commander.refused,
            5: self._recorder.thinned,
            6: self._sampler.not_good,
            7: self._exchange.waiting(),
            8: self._journal.torn_pages,
            13: self._exchange.spaced_ms,
        }
        self._add_later(counters)
        return counters

    def _add_later(self, counters: dict) -> None:
        steward = self._steward
        levels = steward.levels
        for key, value in (
            (9, self._board.reset_cause),
            (10, steward.heap_lowest),
            (11, levels.lowest[FLASH]),
            (12, levels.packed()),
            (16, steward.moved()),
            (17, self._sampler.driver_faults()),
            (18, self._board.link.lost),
            (19, self._exchange.answer_ms),
        ):
            if value:
                counters[key] = value
        for key, resource in ((14, BATTERY), (15, LINK)):
            if steward.left[resource] is not None:
                counters[key] = steward.left[resource]

    def hinted(self, release, command, is_to_heartbeat: bool) -> None:
        """An answer of the gateway names a release and a command, or none."""
        self._adopter.hint(release, is_to_heartbeat)
        self._commander.hint(command, is_to_heartbeat)

    def heard(self, digest: bytes) -> None:
        """A heartbeat was answered that named the bundle with this digest."""
        self._adopter.heard(digest)
        self._telemetry.heard()

    # ---- what adopter and commander ask and tell; each is explained there

    def real_ms(self) -> int:
        """Real milliseconds since boot."""
        return self._clock.real_ms()

    def is_online(self) -> bool:
        """Whether the gateway answered lately."""
        return self._exchange.is_online()

    def point(self, name: str) -> None:
        """Pass a kill point."""
        self._board.point(name)

    def wall(self):
        """Return (earliest, latest) that wall time may be now, or None while it is not trusted."""
        return self._clock.bounds() if self._clock.is_trusted() else None

    def standing(self) -> Standing:
        """Return what a release is checked against."""
        config = self._config
        return Standing(
            config.device,
            config.cohort,
            config.kind,
            config.hardware,
            self._schema_digest,
            self._cell.version_floor,
            config.roots,
            self._clock.bounds(),
        )

    def take(self, body) -> Incumbent:
        """Return rules that could decide, None: those that the device was provisioned with. Raises ProtocolError."""
        body = self._board.bundle if body is None else body
        return Incumbent(body, self._schema_digest, len(self._channels))

    def find(self, digest: bytes):
        """Return the body of a part that this device holds already, or None."""
        for body in (self.incumbent.body, self._board.bundle):
            if hashlib.sha256(body).digest() == digest:
                return body
        return self._board.find_file(digest)

    @property
    def running_agent(self):
        """Digest of the index of the agent that runs, None: the image's."""
        return self._board.agent

    def pace(self) -> tuple:
        """Return how many real milliseconds lie between two samples, and between two heartbeats."""
        return self._clock.real_span(self._sampler.sample_ms), self._exchange.spaced_ms

    def may_adopt(self) -> bool:
        """Whether the rules that decide say that others may take over now."""
        return self.engine.may_adopt()

    def install(self, incumbent: Incumbent) -> None:
        """Let other rules decide from the next sample on: gates keep their ticks, actuators their positions; a heartbeat says so."""
        if incumbent.agent != self._board.agent:
            # The cell says already which it is; a boot goes on from there.
            self._board.restart()
        incumbent.engine.carry_gates(self.engine.state()[2])
        self.incumbent = incumbent
        self._has_sampled = False
        self._decider.use(incumbent)
        self._checkpointer.incumbent = incumbent
        self.actuators.meet(incumbent.safe_positions())
        self._checkpointer.write(ADOPT)
        attest(self._recorder, self._clock, self._board, self._config.hardware, self.incumbent.digest)
        self._exchange.beat_now()

    def record_step(self, step: int, number: int, digest, detail: int) -> None:
        """Record a step of an adoption."""
        self._recorder.record(CRITICAL, self._clock.tick_ms(), ADOPTION, (step, number, digest, detail))

    def seal_steps(self) -> bool:
        """Make all that is recorded durable; return whether it is."""
        return self._recorder.seal(CRITICAL)

    def seal_lanes(self) -> bool:
        """Make all that is recorded in either lane durable; return whether it is."""
        return self._recorder.seal(ROUTINE) and self._recorder.seal(CRITICAL)

    def has_sampled(self) -> bool:
        """Whether the rules that decide have seen a sample since they took over or this boot began."""
        return self._has_sampled

    def command_tick(self) -> int:
        """Return the tick of a command: now, but before the next sample, which may be late."""
        return min(self._clock.tick_ms(), self._sampler.next_tick_ms)

    def ask(self, tick_ms: int, action: int, value: int) -> list:
        """Put a command's act before its gate."""
        now = self._clock.rule_tick(tick_ms)
        return self.engine.ask(
            action, value, now, trusted_time=self._clock.is_trusted(), online=self._exchange.is_online()
        )

    def append_command(self, tick_ms: int, fields: tuple):
        """Append a command's event, sealed by nobody yet, and return its order, or None if there was no room for it."""
        order = self._journal.next_order()
        return order if self._recorder.append(CRITICAL, tick_ms, COMMAND, fields, order) else None

    def begin_period(self) -> None:
        """Write the checkpoint with which a view period begins."""
        self._checkpointer.begin_period()

    def rekeyed(self) -> None:
        """All keys of the journal are others now, and so is the downlink key."""
        self._exchange.rekeyed(self._keystore.downlink())
        self._commander.use(self._keystore.downlink())

    def expect_act(self, order: int, action: int, value: int) -> None:
        """Note that an act was allowed and is not carried out yet."""
        self._decider.pending.append((order, action, value))

    def carry_out(self, order: int, action: int, value: int) -> None:
        """Move an actuator as the command of this order says."""
        self._decider.carry_out(order, action, value)
        self._recorder.seal(CRITICAL)

    def setting(self, setting: int) -> int:
        """Return the value in force of a setting that commands can change."""
        if setting == HEARTBEAT_MS:
            return self._exchange.heartbeat_ms
        if setting == SAMPLE_MS:
            return self._sampler.sample_ms
        if setting == LINK_DAY_BYTES:
            return self._steward.day_bytes
        assert setting == ROUTINE_SEAL_MS
        return self._config.routine_seal_ms

    def change(self, setting: int, value: int) -> None:
        """Put a setting in force."""
        if setting == HEARTBEAT_MS:
            self._exchange.set_heartbeat(value)
        elif setting == SAMPLE_MS:
            self._sampler.set_pace(value, self._clock.tick_ms())
        elif setting == LINK_DAY_BYTES:
            self._steward.allow(value)
        else:
            assert setting == ROUTINE_SEAL_MS
            self._config.routine_seal_ms = value

    # ---- the loop

    def stop(self) -> None:
        """Let run() end in order: no more samples, all sealed, exchanged until receipted or drain_ms have passed."""
        self._is_stopping = True

    async def run(self) -> None:
        """Sample, decide and exchange until stop(); then drain."""
        self._watchdog.expect("sampling", _AWAY_MS, self._clock.real_ms())
        away_ms = _AWAY_MS + longest_request_ms(self._config.ack_timeout_ms) + self._config.exchange_idle_ms
        self._watchdog.expect("exchange", away_ms, self._clock.real_ms())
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
        now_ms = self._clock.real_ms()
        self._watchdog.check_in("sampling", now_ms)
        self._watchdog.watch(now_ms)
        if is_behind:
            return 0
        return max(1, min(_SLEEP_MS, self._clock.real_until(self._sampler.next_tick_ms)))

    def until_sample_ms(self) -> int:
        """Return real milliseconds until the next sample is due, 0 if it is."""
        return max(0, self._clock.real_until(self._sampler.next_tick_ms))

    def _take_samples(self) -> bool:
        for _ in range(_TURN_SAMPLES):
            taken = self._sampler.take(self._clock.tick_ms())
            if taken is None:
                return False
            decisions = self._decider.take(taken[0], taken[1], taken[2])
            self._telemetry.note(taken[1], taken[2])
            self._has_sampled = True
            self._adopter.sampled(bool(self.engine.faults), decisions)
        return True

    def _keep_house(self) -> None:
        self._recorder.note_skipped(self._sampler.take_skipped())
        self._recorder.record_dropped()
        tick_ms = self._clock.tick_ms()
        self._steward.turn()
        for kind, fields in self._telemetry.rows():
            self._recorder.record(ROUTINE, tick_ms, kind, fields)
        if self._cell.failed:
            self._forget_failures()
        oldest = self._journal.oldest_open_tick(ROUTINE)
        if oldest is not None and tick_ms - oldest >= self._config.routine_seal_ms:
            self._recorder.seal(ROUTINE)
        self._recorder.seal(CRITICAL)
        self._commander.turn()
        self._adopter.turn()
        self._checkpointer.write_if_due(self._config.period_s * 1000)

    def _forget_failures(self) -> None:
        # The image's agent says nothing for one that was given up.
        healthy_ms = _HEALTHY_MS if self._exchange.is_online() else _ALONE_MS
        if self._board.agent is not None and self._clock.real_ms() >= healthy_ms:
            self._store(failed=0)

    async def _exchange_loop(self) -> None:
        while True:
            self._watchdog.check_in("exchange", self._clock.real_ms())
            await self._exchange.work()
            await self._pause(self._config.exchange_idle_ms)

    async def _drain(self, exchange) -> None:
        self._is_stopping = True
        self.is_recording = True
        # What is begun stays on flash and is asked for again after the next boot.
        self._exchange.errands = ()
        self._recorder.note_passed()
        self._recorder.record_dropped()
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
