"""Writes checkpoints, and ends view periods with one: when, and of what.

Source: SPEC.md sections 4.4 and 10.
"""

from agent.checkpoint import COUNT, PERIOD, PRUNE, Checkpoint, cut_parts, encode_checkpoint
from agent.clock import RULE_TICK_MS
from agent.journal import NoRoom
from agent.unset import unset
from protocol.event import CHECKPOINT
from protocol.keys import CRITICAL
from rules import VERSION as SEMANTICS


class Checkpointer:
    """recorder, journal, clock, actuators, decider, commander: whose state it is. schema, agent: digests.

    incumbent: whose rules decide; set anew when others take over. period_start: rule tick at which the view period began.
    """

    def __init__(self, recorder, journal, clock, actuators, decider, commander, schema: bytes, agent: bytes):
        self._recorder = recorder
        self._journal = journal
        self._clock = clock
        self._actuators = actuators
        self._decider = decider
        self._commander = commander
        self._schema = schema
        self._agent = agent
        self.incumbent = unset()
        self.period_start = 0
        journal.write_checkpoint = self.write_to_prune

    def write(self, reason: int) -> None:
        """Record the state as it is, all parts, and seal them."""
        tick_ms = self._clock.tick_ms()
        point = Checkpoint(
            reason,
            self._clock.rule_tick(tick_ms),
            (self.incumbent.bundle.version, self.incumbent.digest),
            self._schema,
            self._agent,
            SEMANTICS,
            self.incumbent.engine.state(),
            self._actuators.positions,
            self.period_start,
            self._decider.pending,
            self._commander.taken,
            self._commander.settings,
        )
        for part in cut_parts(encode_checkpoint(point)):
            self._recorder.record(CRITICAL, tick_ms, CHECKPOINT, part)
        self._recorder.seal(CRITICAL)

    def write_to_prune(self) -> None:
        """Record the state because the newest checkpoint is about to be pruned."""
        self.write(PRUNE)

    def write_when_whole(self) -> None:
        """Record the state because the samples from here on are recorded without a hole again."""
        self.write(COUNT)

    def write_if_due(self, period_ms: int) -> None:
        """Begin another view period after so much device time; else write a checkpoint if the journal wants one."""
        now = self._clock.rule_tick(self._clock.tick_ms())
        if (now - self.period_start) * RULE_TICK_MS >= period_ms:
            self._switch_period()
        elif self._journal.checkpoint_due:
            self.write(COUNT)

    def _switch_period(self) -> None:
        try:
            self._journal.switch_period(self.begin_period)
        except NoRoom:
            # The period goes on until there is room for the checkpoint of the next one.
            return

    def begin_period(self) -> None:
        """Write the checkpoint with which a view period begins: now."""
        self.period_start = self._clock.rule_tick(self._clock.tick_ms())
        self.write(PERIOD)
