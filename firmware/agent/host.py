"""What the parts of the agent ask it and tell it: the one place through which they reach each other.

Exchange, adopter, commander, rekeyer and relinker are given the agent and know of it no more than these methods; why each asks is explained
there.

Source: SPEC.md sections 4.4, 5, 6 and 12.6.
"""

import hashlib

from agent.attest import attest
from agent.checkpoint import ADOPT
from agent.checkpoint import BOOT as AT_BOOT
from agent.epoch import RESTORED
from agent.incumbent import NO_SLOT, Incumbent, keeps_notes, read_slot
from agent.parts import Parts
from protocol.command import (
    BULK_UNTIL_S,
    HEARTBEAT_MS,
    LINK_DAY_BYTES,
    OUT_OF_RANGE,
    ROUTINE_CLASS,
    ROUTINE_SEAL_MS,
    SAMPLE_MS,
    UNKNOWN,
)
from protocol.event import ADOPTION, COMMAND, TIME_MARK
from protocol.keys import CRITICAL, ROUTINE
from protocol.manifest import Standing


class Host(Parts):
    """The parts, and what they ask and tell."""

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
            self._roots.held(),
            self._clock.bounds(),
        )

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
        self.attest()
        self._exchange.beat_now()

    def attest(self) -> None:
        """Record what runs here and which release roots are held."""
        hardware, digest = self._config.hardware, self.incumbent.digest
        attest(self._recorder, self._clock, self._board, hardware, digest, self._roots.ids())

    def root_replaced(self) -> None:
        """Another release root is held now: what it did not sign is not adopted any more, and the office is told."""
        self._adopter.distrust()
        self.attest()
        self.seal_steps()

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

    def note_verdict(self) -> int:
        """Return 0 if every agent that could run here without another release would keep a link, or a root, that a command gives.

        UNKNOWN: one would not, and the device would ask over the link of its settings when nobody serves that any more, or take releases of
        a root that was replaced. OUT_OF_RANGE: not while it is open which agent it is. Agents that know links know roots: roots came first.
        """
        board, (active, trial, _starts, _number) = self._board, self._cell.release
        if trial != NO_SLOT:
            return OUT_OF_RANGE
        # Without one of a slot it is the image's that runs, and it is this one.
        is_kept = board.agent is None or board.image_keeps_notes
        held = None if active == NO_SLOT else read_slot(self._slots, active, board.rooms)
        return 0 if is_kept and (held is None or keeps_notes(held[3])) else UNKNOWN

    def has_notes(self) -> bool:
        """Whether a link or a root was given that the settings do not name, in use or about to be."""
        return self._relinker.is_given() or bool(self._keystore.roots())

    def relinked(self) -> None:
        """Another link is in use: until the office knows, gateways serve the one of before too, so it is told at once."""
        self._telemetry.owe()
        self._exchange.beat_now()

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
        if setting == BULK_UNTIL_S:
            return self._exchange.bulk.open_until_s
        if setting == ROUTINE_CLASS:
            return self._journal.routine_class
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
        elif setting == BULK_UNTIL_S:
            self._exchange.bulk.open_until_s = value
        elif setting == ROUTINE_CLASS:
            self._journal.want_class(value)
        else:
            assert setting == ROUTINE_SEAL_MS
            self._config.routine_seal_ms = value
