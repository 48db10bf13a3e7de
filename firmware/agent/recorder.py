"""Turns what happens on the device into events, in the one order that makes replay exact.

A sample comes first, then what the rules made of it: faults, decisions; `back` of each is its order less the sample's. All
decisions of a sample are durable before the first actuator moves; an action, or a refusal where the gate said no, follows with
`back` to its decision. A decision carries the tick of its sample, an action the tick at which it was carried out.

Routine events wait in memory until a segment is full or old enough. Critical ones never wait longer than the turn in which
they were made. An event for which there is no room is dropped, counted, told to whoever made it, and told to the office by the next
thinning event.

Source: SPEC.md sections 4.1 to 4.3.
"""

from agent.actuators import FAILED
from agent.journal import NoRoom
from agent.run import OPEN_EVENTS_MAX, RunFull
from protocol._const import const
from protocol.event import ACTION, DECISION, GOOD, REFUSAL, RULE_FAULT, SAMPLE, THINNING
from protocol.keys import CRITICAL, LANES, ROUTINE
from rules.engine import D_ACTS
from rules.guard import ALLOWED

_NO_ROOM = 0
_BUDGET = 1
# Samples that were passed over are told when there are so many, or a level changes: an event each would cost more than they did.
_PASSED_MAX = const(64)


class Recorder:
    """Appends events to the journal. note(lane, order): told of each, for measurement outside the journal, or None."""

    def __init__(self, journal, clock, note=None):
        self._journal = journal
        self._clock = clock
        self._note = note
        self._dropped = {}
        # Of each lane, whether its run was full when something was appended and nothing sealed.
        self._is_full = [False] * len(LANES)
        self.thinned = 0
        # One sample of so many is recorded: as the levels say (agent.resources).
        self.keep = 1
        self._samples = 0
        self._passed = 0

    def record(self, lane: int, tick_ms: int, kind: int, fields, order=None) -> bool:
        """Append one event and return whether it was kept. order: one taken before from journal.next_order(), or None."""
        if order is None:
            order = self._journal.next_order()
        is_full = self._add(lane, tick_ms, kind, fields, order)
        if is_full:
            self._seal(lane, self._journal.seal_full)
        return is_full is not None

    def append(self, lane: int, tick_ms: int, kind: int, fields, order: int) -> bool:
        """Append one event and seal nothing, so that no checkpoint can come before what belongs to it; return whether it was kept."""
        is_full = self._add(lane, tick_ms, kind, fields, order)
        self._is_full[lane] = self._is_full[lane] or bool(is_full)
        return is_full is not None

    def seal_full(self, lane: int) -> None:
        """Seal what `append` has filled, and leave the rest open; where there is no room for it, thin the lane."""
        if self._is_full[lane]:
            self._is_full[lane] = False
            self._seal(lane, self._journal.seal_full)

    def _add(self, lane: int, tick_ms: int, kind: int, fields, order: int):
        """Return whether the run is full now, or None: nothing could be sealed for long, the event is dropped and counted."""
        if self._note is not None:
            self._note(lane, order)
        try:
            return self._journal.append(lane, (order, tick_ms, kind, tuple(fields)))
        except RunFull:
            self._drop(lane, 1, _NO_ROOM)
            return None

    def seal(self, lane: int) -> bool:
        """Make all open events of a lane durable; return whether they are."""
        return not self._journal.open_events(lane) or self._seal(lane, self._journal.seal)

    def _seal(self, lane: int, seal) -> bool:
        try:
            seal(lane)
        except NoRoom:
            self._drop(lane, self._journal.thin(lane), _NO_ROOM)
            return False
        return True

    def note_skipped(self, count: int) -> None:
        """Count samples that were given up because the device could not keep pace."""
        self._drop(ROUTINE, count, _BUDGET)

    def is_kept(self) -> bool:
        """Count a sample and say whether it is one of those that are recorded whatever becomes of it."""
        self._samples += 1
        return self._samples % self.keep == 0

    def pass_over(self) -> None:
        """Count a sample that is not recorded, as the levels have it."""
        self._passed += 1
        if self._passed >= _PASSED_MAX:
            self.note_passed()

    def note_passed(self) -> None:
        """Let the next thinning event tell of all samples that were passed over."""
        passed = self._passed
        self._passed = 0
        self._drop(ROUTINE, passed, _BUDGET)

    def _drop(self, lane: int, count: int, reason: int) -> None:
        if count:
            self.thinned += count
            self._dropped[(lane, reason)] = self._dropped.get((lane, reason), 0) + count

    def record_dropped(self) -> None:
        """Record what was dropped since the last call: thinning is itself an event, and waits until there is room for it."""
        # Asked at each turn, and hardly ever is there anything.
        if not self._dropped or self._journal.open_events(ROUTINE) + len(self._dropped) > OPEN_EVENTS_MAX:
            return
        for lane in LANES:
            for reason in (_NO_ROOM, _BUDGET):
                count = self._dropped.pop((lane, reason), 0)
                if count:
                    self.record(ROUTINE, self._clock.tick_ms(), THINNING, (lane, count, reason))


class Decider:
    """Runs the rules over samples and carries out what they decide. is_trusted(), is_online(): asked at each sample.

    incumbent: whose rules decide. pending: (order of the decision or command, action, value), allowed and not yet told as carried
    out, oldest first. A checkpoint that is written in between, because sealing needed room, carries them: after it nothing
    else would.
    """

    def __init__(self, recorder, journal, clock, incumbent, actuators, is_trusted, is_online, point):
        self._recorder = recorder
        self._journal = journal
        self._clock = clock
        self.use(incumbent)
        self._actuators = actuators
        self._is_trusted = is_trusted
        self._is_online = is_online
        self._point = point
        self.pending = []

    def use(self, incumbent) -> None:
        """Decide by this Incumbent from the next sample on."""
        self._engine = incumbent.engine
        self._bundle_digest = incumbent.digest

    def take(self, tick_ms: int, values: list, qualities: list):
        """Record one sample, decide, act, and make all that is critical about it durable. Return the decisions."""
        sample_order = self._journal.next_order()
        is_kept = self._recorder.is_kept()
        if is_kept:
            # Sealed at the end: a checkpoint that makes room for it would hold the registers of before it. Where there is no room all the
            # same the sample is dropped, and nobody could tell that it came after the checkpoint.
            self._recorder.append(ROUTINE, tick_ms, SAMPLE, (values, qualities), sample_order)
        decisions = self._decide(tick_ms, values, qualities)
        if not is_kept:
            self._record_late(
                tick_ms, values, qualities, sample_order, bool(decisions or self._engine.faults)
            )
        for rule, _now, code in self._engine.faults:
            order = self._journal.next_order()
            self._recorder.append(CRITICAL, tick_ms, RULE_FAULT, (order - sample_order, rule, code), order)
        made = [(self._record_decision(tick_ms, sample_order, decision), decision) for decision in decisions]
        if made:
            is_durable = self._recorder.seal(CRITICAL)
            for order, decision in made:
                # One that was dropped moves nothing, whatever else is durable by now: nobody could explain the act.
                if order is not None:
                    self._act(order, decision, is_durable)
        self._recorder.seal(CRITICAL)
        self._recorder.seal_full(ROUTINE)
        return decisions

    def _record_late(self, tick_ms: int, values: list, qualities: list, order: int, has_cause: bool) -> None:
        """Record a sample that was to be passed over where a decision or a fault came of it."""
        if has_cause:
            # Sealed by nobody yet: a checkpoint between it and its decisions would hold registers that it has moved already.
            self._recorder.append(ROUTINE, tick_ms, SAMPLE, (values, qualities), order)
        else:
            self._recorder.pass_over()

    def _decide(self, tick_ms: int, values: list, qualities: list) -> list:
        good = 0
        for channel in range(len(values)):
            if qualities[channel] == GOOD:
                good |= 1 << channel
        return self._engine.sample(
            self._clock.rule_tick(tick_ms),
            values,
            good,
            trusted_time=self._is_trusted(),
            online=self._is_online(),
        )

    def _record_decision(self, tick_ms: int, sample_order: int, decision: tuple):
        """Return the order of a decision's event, or None if there was no room for it."""
        order = self._journal.next_order()
        fields = (order - sample_order,) + decision[:2] + (self._bundle_digest,) + decision[2:]
        # Not sealed one by one: a checkpoint among them would hold the registers of decisions that are not yet durable.
        if not self._recorder.append(CRITICAL, tick_ms, DECISION, fields, order):
            return None
        self.pending += [(order, act[0], act[1]) for act in decision[D_ACTS] if act[2] == ALLOWED]
        return order

    def _act(self, decision_order: int, decision: tuple, is_durable: bool) -> None:
        for action, value, verdict, _last in decision[D_ACTS]:
            if verdict == ALLOWED:
                self.carry_out(decision_order, action, value, is_durable)
            else:
                self._follow(decision_order, REFUSAL, (action, value, verdict))

    def carry_out(self, order: int, action: int, value: int, is_durable: bool = True) -> None:
        """Move an actuator as the decision or command of this order says, and tell it."""
        self._point("before_actuate")
        # Without room for the decision nothing moves: an act that nobody can explain later must not happen.
        result = self._actuators.carry_out(action, value) if is_durable else FAILED
        self._point("after_actuate")
        self.tell_action(order, action, value, result)

    def tell_action(self, decision_order: int, action: int, value: int, result: int) -> None:
        """Record how the action of a decision or command ended: it is pending no more."""
        self.pending = [act for act in self.pending if act[:2] != (decision_order, action)]
        self._follow(decision_order, ACTION, (action, value, result))

    def _follow(self, decision_order: int, kind: int, fields: tuple) -> None:
        order = self._journal.next_order()
        self._recorder.record(
            CRITICAL, self._clock.tick_ms(), kind, (order - decision_order,) + fields, order
        )
