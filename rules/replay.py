"""Decides a recorded decision again, from nothing but what it carries, and says where the two differ.

The re-run is the engine's own sample(), over a bundle of that one rule, restored to the recorded registers, inputs and
gate times: so device and office cannot drift apart in a second implementation.

What it can find: a recorded decision that these rules do not make. What it cannot: an input changed to another one with
the same outcome (the seal finds that), or a decision that is missing (run replay finds that).

Source: SPEC.md section 10.
"""

from protocol.errors import ProtocolError
from protocol.shape import is_within
from rules.bundle import Bundle
from rules.engine import D_ACTS, D_AFTER, D_AGES, D_BEFORE, D_FLAGS, D_GOOD, D_INPUTS, D_NOW, D_RULE, Engine
from rules.guard import ONLINE, TRUSTED_TIME
from rules.limits import value_max
from rules.translate import kernel

FIELD_NAMES = ("rule", "mode", "now", "inputs", "ages", "good", "flags", "before", "after", "acts")


def step_replay(bundle, decision, make_kernel=kernel) -> list:
    """Return where decision differs from what bundle decides: a list of (field, recorded, replayed), empty if equal.

    bundle: from read_bundle, of the digest that the decision event names. decision: as Engine.sample gives it, or the
    same as lists from a journal. Never raises because of what a decision holds.
    """
    return StepReplay(bundle, make_kernel).differences(decision)


class StepReplay:
    """Replays many decisions of one bundle; each rule is translated once, when it is first met."""

    def __init__(self, bundle, make_kernel=kernel):
        self._bundle = bundle
        self._make_kernel = make_kernel
        self._engines = {}

    def differences(self, decision) -> list:
        """Return a list of (field, recorded, replayed), empty if the decision is what the rules decide."""
        wrong = _misshapen(decision)
        if wrong is not None:
            return [(wrong, None, None)]
        engine = self._engine(decision[D_RULE])
        if engine is None:
            return [("rule", decision[D_RULE], None)]
        try:
            engine.restore(_state_before(self._bundle, decision))
        except ProtocolError as error:
            return [("before", decision[D_BEFORE], error.text)]
        return _compare(decision, _again(engine, decision), engine)

    def _engine(self, rule_id: int):
        if rule_id not in self._engines:
            for rule in self._bundle.rules:
                if rule.rule_id == rule_id:
                    whole = self._bundle
                    alone = Bundle(whole.version, whole.schema, whole.channels, [rule], whole.gates)
                    self._engines[rule_id] = Engine(alone, self._make_kernel)
        return self._engines.get(rule_id)


def _again(engine, decision):
    again = engine.sample(
        decision[D_NOW],
        decision[D_INPUTS],
        decision[D_GOOD],
        trusted_time=bool(decision[D_FLAGS] & TRUSTED_TIME),
        online=bool(decision[D_FLAGS] & ONLINE),
    )
    return again[0] if again else None


def _compare(decision, again, engine) -> list:
    if again is None:
        why = "fault {}".format(engine.faults[0][2]) if engine.faults else "no decision"
        return [("acts", decision[D_ACTS], why)]
    differences = []
    for i in range(len(FIELD_NAMES)):
        recorded = _plain(decision[i])
        if recorded != _plain(again[i]):
            differences.append((FIELD_NAMES[i], recorded, _plain(again[i])))
    return differences


def _plain(value):
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _state_before(bundle, decision) -> list:
    now = decision[D_NOW]
    inputs = []
    for channel in range(len(decision[D_INPUTS])):
        age = decision[D_AGES][channel]
        inputs.append(None if age < 0 else [decision[D_INPUTS][channel], now - age])
    gates = []
    for gate in bundle.gates:
        last = _first_gate_time(decision[D_ACTS], gate.action)
        gates.append([gate.action, last, None if last is None else gate.safe])
    return [inputs, [[decision[D_RULE], list(decision[D_BEFORE])]], gates]


def _first_gate_time(acts, action: int):
    for act in acts:
        if act[0] == action:
            return act[3]
    return None


def _misshapen(decision):
    if not isinstance(decision, (list, tuple)) or len(decision) != len(FIELD_NAMES):
        return "shape"
    for i in range(len(FIELD_NAMES)):
        if not _fits(i, decision):
            return FIELD_NAMES[i]
    return None


def _fits(i: int, decision) -> bool:
    value = decision[i]
    if i == D_ACTS:
        return _are_acts(value, decision[D_NOW])
    if i not in (D_INPUTS, D_AGES, D_BEFORE, D_AFTER):
        return is_within(value, 0, value_max)
    if not isinstance(value, (list, tuple)):
        return False
    most = decision[D_NOW] if i == D_AGES else value_max
    least = -1 if i == D_AGES else -value_max
    same_length = i != D_AGES or len(value) == len(decision[D_INPUTS])
    return same_length and all(is_within(part, least, most) for part in value)


def _are_acts(acts, now: int) -> bool:
    if not isinstance(acts, (list, tuple)) or not acts:
        return False
    for act in acts:
        if not isinstance(act, (list, tuple)) or len(act) != 4:
            return False
        if not all(is_within(part, -value_max, value_max) for part in act[:3]):
            return False
        if act[3] is not None and not is_within(act[3], 0, now):
            return False
    return True
