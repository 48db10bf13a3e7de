"""Boots the agent and runs its loop, over the parts that parts.py builds and that meet in host.py.

Boot, in this order: the cell, which says whose rules decide; keys, journal; the state as a fold of what is durable; a new epoch if
the journal says so; the actuators to where they were decided to be; boot event and checkpoint. Only then the first sample, and
beside it the exchange.

One asyncio loop. Recording, deciding and sealing happen between two awaits, so that no other part ever sees half of it.

Source: SPEC.md sections 4.4, 5, 6 and 12.6.
"""

import asyncio

from agent.actuators import UNKNOWN
from agent.checkpoint import BOOT as AT_BOOT
from agent.coap_client import longest_request_ms
from agent.fold import Fold
from agent.host import Host
from agent.recovery import newest_event
from protocol._const import const
from protocol.event import BOOT
from protocol.keys import CRITICAL, ROUTINE

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


class Agent(Host):
    """One boot of one device. config: Config; board: Board. Building it boots; run() goes on until stop()."""

    def __init__(self, config, board):
        Host.__init__(self, config, board)
        self._boot()

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
        self.attest()
        self._checkpointer.write(AT_BOOT)

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
