"""Faults to plant in rules/: what lies between two bundles, and commands. A planter takes pytest's monkeypatch."""

from rules import adopt, bundle, engine, guard
from rules.authoring import bounds
from rules.authoring import compile as compiler


def adopt_before_a_sample(monkeypatch):
    """Let a bundle be replaced before anybody looked at the process."""
    honest = engine.Engine.may_adopt
    monkeypatch.setattr(
        engine.Engine, "may_adopt", lambda self: True if self._sampled is None else honest(self)
    )


def adopt_after_a_cut_as_before(monkeypatch):
    """Take what was good before a power cut for a look at the process."""
    honest = engine.Engine.restore

    def restore(self, state):
        honest(self, state)
        self._sampled = self.now
        self._good = self._ever

    monkeypatch.setattr(engine.Engine, "restore", restore)


def adopt_by_old_values(monkeypatch):
    """Read the last good value of an input that is not good now."""
    monkeypatch.setattr(adopt, "_strict", lambda node: node)


def adopt_on_a_fault(monkeypatch):
    """Take a condition that cannot be evaluated for none."""
    honest = engine.Engine.may_adopt

    def may_adopt(self):
        answer = honest(self)
        return answer if self._sampled is None or self._adopt_work[0] == 1 else answer or self._faulted()

    def faulted(self):
        try:
            self._adopt(self._inputs, self._ages, [0], self._sampled, self._good, self._ever, self._requests)
        except engine.RuleFault:
            return True
        return False

    monkeypatch.setattr(engine.Engine, "_faulted", faulted, raising=False)
    monkeypatch.setattr(engine.Engine, "may_adopt", may_adopt)


def adopt_with_registers(monkeypatch):
    """Read a condition as if it were part of a rule with many registers."""
    honest = bundle.TreeCheck.start
    monkeypatch.setattr(bundle.TreeCheck, "start", lambda self, what, count: honest(self, what, count or 128))


def adopt_without_a_check(monkeypatch):
    """Believe what a bundle says of its condition."""
    monkeypatch.setattr(bundle, "_read_adopt", lambda top, channels: top.get(8))


def adopt_left_out_by_the_compiler(monkeypatch):
    """Compile a policy as if it said nothing of when it may be replaced."""
    monkeypatch.setattr(compiler, "compile_adopt", lambda policy, report: None)


def bounds_walk_again(monkeypatch):
    """Look at a tree anew wherever it stands."""
    monkeypatch.setattr(bounds.Bounds, "_once", lambda self, look, tree, facts: look(tree, facts))


def bounds_of_every_context(monkeypatch):
    """Look at a tree anew whenever anything more is known of anything."""
    monkeypatch.setattr(bounds.Bounds, "_context", lambda self, tree, facts: frozenset(facts.items()))


def bounds_of_another_context(monkeypatch):
    """Take what a tree was under one condition for what it is under every other."""
    monkeypatch.setattr(bounds.Bounds, "_context", lambda self, tree, facts: frozenset())


def adopt_at_any_time(monkeypatch):
    """Never wait for a safe state."""
    monkeypatch.setattr(engine.Engine, "may_adopt", lambda self: True)


def command_ignores_the_gap(monkeypatch):
    """Let a command through as if nothing had moved before."""

    def ask(self, action, value, now_tick, *, trusted_time, online):
        held = self._gate(action)
        kept = None if held is None else held.last_tick
        if held is not None:
            held.last_tick = None
        act = honest(self, action, value, now_tick, trusted_time=trusted_time, online=online)
        if held is not None and act[2] != guard.ALLOWED:
            held.last_tick = kept
        return [*act[:3], kept]

    honest = engine.Engine.ask
    monkeypatch.setattr(engine.Engine, "ask", ask)


def command_leaves_the_gate(monkeypatch):
    """Let rules move an actuator right after a command did."""

    def ask(self, action, value, now_tick, *, trusted_time, online):
        held = self._gate(action)
        kept = (None, None) if held is None else (held.last_tick, held.last_value)
        act = honest(self, action, value, now_tick, trusted_time=trusted_time, online=online)
        if held is not None:
            held.last_tick, held.last_value = kept
        return act

    honest = engine.Engine.ask
    monkeypatch.setattr(engine.Engine, "ask", ask)


def command_with_ages_of_the_sample(monkeypatch):
    """Forget the time between the newest sample and a command."""
    honest = engine.Engine._age_at
    monkeypatch.setattr(
        engine.Engine, "_age_at", lambda self, channel, now: honest(self, channel, self._sampled or 0)
    )


def command_is_not_folded(monkeypatch):
    """Forget after a power cut what a command moved."""
    monkeypatch.setattr(engine.Engine, "apply_act", lambda self, act, now: None)


def refused_command_is_folded(monkeypatch):
    """Start the gap anew at a command that moved nothing."""
    honest = engine.Engine.apply_act

    def apply_act(self, act, now):
        can_be_kept = abs(act[1]) <= 10
        honest(self, [act[0], act[1], guard.ALLOWED, act[3]] if can_be_kept else act, now)

    monkeypatch.setattr(engine.Engine, "apply_act", apply_act)


def takeover_forgets_ticks(monkeypatch):
    """Begin another bundle with gates that never moved."""
    monkeypatch.setattr(engine.Engine, "carry_gates", lambda self, gates: None)


def takeover_by_place(monkeypatch):
    """Take gates over in the order in which they stand, whatever they move."""
    honest = engine.Engine.carry_gates

    def carry_gates(self, gates):
        own = [held.gate.action for held in self._gates]
        honest(self, [[action, *row[1:]] for action, row in zip(own, gates, strict=False)])

    monkeypatch.setattr(engine.Engine, "carry_gates", carry_gates)


def takeover_by_the_last_word(monkeypatch):
    """Let an older tick take the place of a later one."""

    def carry_gates(self, gates):
        for action, tick, value in gates:
            held = self._gate(action)
            if held is not None and tick is not None:
                held.last_tick, held.last_value = tick, value

    monkeypatch.setattr(engine.Engine, "carry_gates", carry_gates)
