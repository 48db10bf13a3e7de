"""Decides: takes one sample, runs the rules over it, asks the gates, and says what was decided.

State, all of it integers: per channel the last good value and its tick; per rule its registers; per gate the tick and
value it last allowed. There is no clock here: the rule tick is an argument, and never goes back, over boots neither.

A rule runs on a working copy of its registers. Only when it came through without a RuleFault, and the gates have
spoken, does the copy become the registers. A faulted run therefore leaves no trace but its fault.

A *decision* is a tuple, in the order of the journal's decision event (less `back` and the bundle's digest):
    (rule, mode, now, inputs, ages, good, flags, before, after, acts), acts: [[action, value, verdict, gate_last]]

Source: SPEC.md sections 5 to 7 and 9.
"""

from protocol.errors import RULE, ProtocolError
from protocol.shape import is_within
from rules import guard
from rules.adopt import adopt_rule
from rules.grammar import OFF, ON
from rules.limits import action_max, acts_max, value_max
from rules.translate import kernel
from rules.value import RuleFault

# positions in a decision
D_RULE = 0
D_MODE = 1
D_NOW = 2
D_INPUTS = 3
D_AGES = 4
D_GOOD = 5
D_FLAGS = 6
D_BEFORE = 7
D_AFTER = 8
D_ACTS = 9

_NOTHING = ()


class _RunningRule:
    __slots__ = ("kernel", "mode", "needs", "registers", "rule_id", "work")

    def __init__(self, rule, make_kernel):
        self.rule_id = rule.rule_id
        self.mode = rule.mode
        self.needs = rule.needs
        self.registers = list(rule.init)
        self.work = list(rule.init)
        self.kernel = make_kernel(rule)


class _GateState:
    __slots__ = ("gate", "last_tick", "last_value")

    def __init__(self, gate):
        self.gate = gate
        self.last_tick = None
        self.last_value = None


class Engine:
    """Runs the rules of one bundle over samples, one after the other.

    bundle: from read_bundle. make_kernel: turns a rule into a function; interpreter.kernel is the judge's.

    After each sample():
        faults   list of (rule id, now, code of RuleFault): those rules kept their registers and asked for nothing;
        waiting  ids of the rules that did not run because an input they need was not good.
    """

    def __init__(self, bundle, make_kernel=kernel):
        self.channels = bundle.channels
        self.now = 0
        self.faults = []
        self.waiting = []
        self._rules = [_RunningRule(rule, make_kernel) for rule in bundle.rules]
        self._gates = [_GateState(gate) for gate in bundle.gates]
        self._inputs = [0] * bundle.channels
        self._ticks = [0] * bundle.channels
        self._ages = [value_max] * bundle.channels
        self._ever = 0
        self._good = 0
        self._requests = [0] * (3 * acts_max)
        # of the newest sample since this engine was made or restored; None before it
        self._sampled = None
        self._adopt = None if bundle.adopt is None else make_kernel(adopt_rule(bundle.adopt))
        self._adopt_work = [0]

    def sample(self, now_tick: int, values: list, good_mask: int, *, trusted_time: bool, online: bool):
        """Run every rule over one sample and return its decisions, in the order of the rules.

        now_tick: rule tick, 0..value_max, never below an earlier one. values: one a channel; only those whose bit in
        good_mask is set are read. A value that is no integer within +-value_max is not good, whatever its bit.
        Returns a list of one decision for each rule that asked for anything, allowed or not; () if none did.
        Raises ValueError for a tick that goes back or beyond value_max, or values that are not one a channel.
        """
        self._take(now_tick, values, good_mask)
        flags = (guard.TRUSTED_TIME if trusted_time else 0) | (guard.ONLINE if online else 0)
        decisions = None
        for rule in self._rules:
            if rule.mode == OFF:
                continue
            if self._good & rule.needs != rule.needs:
                self.waiting.append(rule.rule_id)
                continue
            cells = self._run(rule)
            if cells > 0:
                decisions = decisions or []
                decisions.append(self._decide(rule, cells, flags))
            if cells >= 0:
                rule.registers, rule.work = rule.work, rule.registers
        return decisions or _NOTHING

    def _take(self, now_tick: int, values: list, good_mask: int) -> None:
        if len(values) != self.channels:
            raise ValueError("{} values for {} channels".format(len(values), self.channels))
        self._pass_to(now_tick)
        if self.faults:
            self.faults = []
        if self.waiting:
            self.waiting = []
        self._good = 0
        self._sampled = now_tick
        for channel in range(self.channels):
            if good_mask >> channel & 1 and is_within(values[channel], -value_max, value_max):
                self._good |= 1 << channel
                self._inputs[channel] = values[channel]
                self._ticks[channel] = now_tick
            if (self._good | self._ever) >> channel & 1:
                self._ages[channel] = now_tick - self._ticks[channel]
        self._ever |= self._good

    def _run(self, rule) -> int:
        work = rule.work
        registers = rule.registers
        for i in range(len(work)):
            work[i] = registers[i]
        try:
            return rule.kernel(
                self._inputs, self._ages, work, self.now, self._good, self._ever, self._requests
            )
        except RuleFault as fault:
            self.faults.append((rule.rule_id, self.now, fault.code))
            return -1

    def _decide(self, rule, cells: int, flags: int) -> tuple:
        ages = [self._age(channel) for channel in range(self.channels)]
        acts = []
        for cell in range(0, cells, 3):
            action, value, register = self._requests[cell : cell + 3]
            act = self._pass_gate(action, value, ages, flags, rule.mode)
            if register >= 0:
                rule.work[register] = act[2]
            acts.append(act)
        before = list(rule.registers)
        after = list(rule.work)
        return (
            rule.rule_id,
            rule.mode,
            self.now,
            list(self._inputs),
            ages,
            self._good,
            flags,
            before,
            after,
            acts,
        )

    def _age(self, channel: int) -> int:
        return self._ages[channel] if self._ever >> channel & 1 else -1

    def _pass_gate(self, action: int, value: int, ages: list, flags: int, mode: int) -> list:
        held = self._gate(action)
        gate = None if held is None else held.gate
        last_tick = None if held is None else held.last_tick
        code = guard.verdict(gate, value, last_tick, self.now, self._good, ages, flags, mode)
        if code == guard.ALLOWED:
            held.last_tick = self.now
            held.last_value = value
        return [action, value, code, last_tick]

    def _gate(self, action: int):
        for held in self._gates:
            if held.gate.action == action:
                return held
        return None

    def may_adopt(self) -> bool:
        """Return whether another bundle may take the place of this one now: what its `adopt` says of the newest sample.

        Ask after sample(). False if that cannot be said: no sample yet since this engine was made or restored, an input
        that is not good, a fault. True, always, if the bundle has no such condition. Source: SPEC.md section 2.1.
        """
        if self._adopt is None:
            return True
        if self._sampled is None:
            return False
        work = self._adopt_work
        work[0] = 0
        try:
            self._adopt(self._inputs, self._ages, work, self._sampled, self._good, self._ever, self._requests)
        except RuleFault:
            return False
        return work[0] == 1

    def ask(self, action: int, value: int, now_tick: int, *, trusted_time: bool, online: bool) -> list:
        """Put a request that comes from no rule, but from a command, before the gate: [action, value, verdict, gate_last].

        now_tick: rule tick of the command, never below an earlier one; ages are counted at it, `good` is the newest
        sample's. Before a sample nothing is good. Only an allowed request moves the gate.
        Raises ValueError for a tick that goes back or beyond value_max. Source: SPEC.md section 7.
        """
        self._pass_to(now_tick)
        ages = [self._age_at(channel, now_tick) for channel in range(self.channels)]
        flags = (guard.TRUSTED_TIME if trusted_time else 0) | (guard.ONLINE if online else 0)
        return self._pass_gate(action, value, ages, flags, ON)

    def _age_at(self, channel: int, now_tick: int) -> int:
        if self._sampled is None or not self._ever >> channel & 1:
            return -1
        return now_tick - self._ticks[channel]

    def _pass_to(self, now_tick: int) -> None:
        if not self.now <= now_tick <= value_max:
            raise ValueError("rule tick {} is not {}..{}".format(now_tick, self.now, value_max))
        self.now = now_tick

    def state(self) -> list:
        """Return everything the next sample depends on, as a checkpoint carries it: [inputs, registers, gates].

        inputs: [value, tick of the last good one] or None a channel; registers: [rule id, [ints]] a rule;
        gates: [action, last tick or None, last value or None] a gate. Source: SPEC.md section 9.
        """
        inputs = []
        for channel in range(self.channels):
            known = self._ever >> channel & 1
            inputs.append([self._inputs[channel], self._ticks[channel]] if known else None)
        registers = [[rule.rule_id, list(rule.registers)] for rule in self._rules]
        gates = [[held.gate.action, held.last_tick, held.last_value] for held in self._gates]
        return [inputs, registers, gates]

    def restore(self, state: list) -> None:
        """Take over what state() gave, of an engine with the same bundle; afterwards sample() goes on as that one would.

        Raises ProtocolError(RULE) for anything that is no state of this bundle; the engine is then as it was.
        """
        self._check_state(state)
        inputs, registers, gates = state
        self._ever = 0
        self._good = 0
        self._sampled = None
        self.now = 0
        for channel in range(self.channels):
            self._forget(channel)
            if inputs[channel] is not None:
                self._remember(channel, inputs[channel][0], inputs[channel][1])
        for i in range(len(registers)):
            self._rules[i].registers = list(registers[i][1])
        for i in range(len(gates)):
            self._gates[i].last_tick, self._gates[i].last_value = gates[i][1:]
            self.now = max(self.now, gates[i][1] or 0)

    def _forget(self, channel: int) -> None:
        self._inputs[channel] = 0
        self._ticks[channel] = 0
        self._ages[channel] = value_max

    def _remember(self, channel: int, value: int, tick: int) -> None:
        self._inputs[channel] = value
        self._ticks[channel] = tick
        self._ever |= 1 << channel
        self.now = max(self.now, tick)

    def _check_state(self, state) -> None:
        if not isinstance(state, (list, tuple)) or len(state) != 3:
            raise ProtocolError(RULE, "an engine's state is not [inputs, registers, gates]")
        self._check_rows(state[0], self.channels, "channels", self._is_input)
        self._check_rows(state[1], len(self._rules), "rules", self._is_registers)
        self._check_rows(state[2], len(self._gates), "gates", self._is_gate)

    def _check_rows(self, rows, count: int, what: str, fits) -> None:
        if not isinstance(rows, (list, tuple)) or len(rows) != count:
            raise ProtocolError(RULE, "an engine's state does not have {} {}".format(count, what))
        for i in range(count):
            if not fits(i, rows[i]):
                raise ProtocolError(RULE, "state of {}: row {} is none of this bundle".format(what, i))

    def _is_input(self, _i: int, row) -> bool:
        return row is None or (
            _is_row(row, 2) and is_within(row[0], -value_max, value_max) and is_within(row[1], 0, value_max)
        )

    def _is_registers(self, i: int, row) -> bool:
        rule = self._rules[i]
        return (
            _is_row(row, 2)
            and is_within(row[0], rule.rule_id, rule.rule_id)
            and _is_row(row[1], len(rule.registers))
            and all(is_within(value, -value_max, value_max) for value in row[1])
        )

    def _is_gate(self, i: int, row) -> bool:
        return _is_gate_row(row) and row[0] == self._gates[i].gate.action

    def apply(self, decision) -> None:
        """Fold one durable decision into the state, as if this engine had made it: after a power cut, oldest first.

        The decision's registers `after`, the gates of what was allowed, the last good inputs and their ticks count.
        Raises ProtocolError(RULE) for a decision of a rule that this bundle does not have; the engine is as it was.
        """
        rule = self._find(decision[D_RULE])
        if rule is None or len(decision[D_AFTER]) != len(rule.registers):
            raise ProtocolError(RULE, "decision of rule {}, unknown to this bundle".format(decision[D_RULE]))
        if len(decision[D_INPUTS]) != self.channels or len(decision[D_AGES]) != self.channels:
            raise ProtocolError(
                RULE, "decision of rule {}: not {} inputs".format(rule.rule_id, self.channels)
            )
        now = decision[D_NOW]
        rule.registers = list(decision[D_AFTER])
        self.now = max(self.now, now)
        for channel in range(self.channels):
            if decision[D_AGES][channel] >= 0:
                self._remember(channel, decision[D_INPUTS][channel], now - decision[D_AGES][channel])
        for act in decision[D_ACTS]:
            self._move_gate(act, now)

    def apply_act(self, act, now: int) -> None:
        """Fold one durable act into the gates, as if this engine had let it pass or not: after a power cut, oldest first.

        act: of a command, as ask() gave it, or of another bundle's decision; now: its rule tick. Raises ProtocolError(RULE) if they are not of that shape;
        the engine is then as it was.
        """
        if not _is_act(act) or not is_within(now, 0, value_max):
            raise ProtocolError(RULE, "an act is not [action, value, verdict, gate_last]")
        self.now = max(self.now, now)
        self._move_gate(act, now)

    def _move_gate(self, act, now: int) -> None:
        held = self._gate(act[0])
        if held is not None and act[2] == guard.ALLOWED:
            held.last_tick = now
            held.last_value = act[1]

    def carry_gates(self, gates: list) -> None:
        """Take over last tick and value of the gates that this bundle shares, by action, with the one before it.

        gates: the third part of state(), of the other engine. Where both have a tick the later one stands; gates of other
        actions are passed over. Afterwards no tick before the latest of them is taken.
        Raises ProtocolError(RULE) for rows that are no gates; the engine is then as it was. Source: SPEC.md section 9.
        """
        if not isinstance(gates, (list, tuple)) or not all(_is_gate_row(row) for row in gates):
            raise ProtocolError(RULE, "what is taken over are not rows of [action, tick, value]")
        for action, tick, value in gates:
            held = self._gate(action)
            if held is None or tick is None:
                continue
            self.now = max(self.now, tick)
            if held.last_tick is None or tick > held.last_tick:
                held.last_tick = tick
                held.last_value = value

    def _find(self, rule_id: int):
        for rule in self._rules:
            if rule.rule_id == rule_id:
                return rule
        return None


def _is_row(row, length: int) -> bool:
    return isinstance(row, (list, tuple)) and len(row) == length


def _is_gate_row(row) -> bool:
    if not _is_row(row, 3) or not is_within(row[0], 0, action_max):
        return False
    if row[1] is None:
        return row[2] is None
    return is_within(row[1], 0, value_max) and is_within(row[2], -value_max, value_max)


def _is_act(act) -> bool:
    if not _is_row(act, 4) or not is_within(act[2], guard.ALLOWED, guard.NO_GATE):
        return False
    # A command can ask for any integer; only what was allowed is kept.
    return act[2] != guard.ALLOWED or is_within(act[1], -value_max, value_max)
