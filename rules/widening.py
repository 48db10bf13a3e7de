"""In which ways a bundle allows more than the one before: such a release needs a second signer.

Only what reaches an actuator counts: the gates, which bound every rule, and which actions rules ask for in earnest; and
the condition in which rules may be changed at all. A rule that decides differently within its gates widens nothing. Where
the two cannot be compared, as two conditions cannot, the answer is "wider".

Source: SPEC.md sections 2.1 and 7; protocol/SPEC.md section 12.4.
"""

from protocol.cbor import dumps
from rules import grammar as g

NEW_ACTION = 1  # a gate for an action that had none
RANGE = 2  # low is lower, or high higher
GAP = 3  # may act again sooner
QUALITY = 4  # a channel need no longer be good
AGE = 5  # a channel need no longer be fresh, or may be older
CONDITION = 6  # trusted time or a gateway is no longer needed, or the gate left shadow
SAFE = 7  # another safe state
LIVE = 8  # an action that no rule asked for in earnest before
SCHEMA = 9  # another schema: masks and values mean something else
ADOPT = 10  # the condition in which the bundle may be replaced is gone or another one

NAMES = {
    NEW_ACTION: "new action",
    RANGE: "wider range",
    GAP: "shorter gap",
    QUALITY: "bad input allowed",
    AGE: "older input allowed",
    CONDITION: "condition dropped",
    SAFE: "other safe state",
    LIVE: "asked for by a rule that is on",
    SCHEMA: "other schema",
    ADOPT: "condition of replacing dropped or changed",
}


def widening(old, new) -> list:
    """Return [(reason, action) ...] in which new allows more than old; action is None for SCHEMA and ADOPT.

    old, new: `bundle.Bundle`; old is None where a device has none: everything is new then.
    """
    found = []
    if old is not None and (old.schema != new.schema or old.channels != new.channels):
        found.append((SCHEMA, None))
    if old is not None and old.adopt is not None and not _same(old.adopt, new.adopt):
        found.append((ADOPT, None))
    gates = {gate.action: gate for gate in old.gates} if old else {}
    for gate in new.gates:
        if gate.action in gates:
            found += [(reason, gate.action) for reason in _wider(gates[gate.action], gate)]
        else:
            found.append((NEW_ACTION, gate.action))
    gated = {gate.action for gate in new.gates}
    live = _live(new) & gated
    if old is not None:
        live -= _live(old)
    return found + [(LIVE, action) for action in sorted(live)]


def _same(old, new) -> bool:
    # As bytes: as values true would equal 1.
    return new is not None and dumps(old) == dumps(new)


def _wider(old, new) -> list:
    reasons = []
    if new.low < old.low or new.high > old.high:
        reasons.append(RANGE)
    if new.gap < old.gap:
        reasons.append(GAP)
    if old.good_mask & ~new.good_mask:
        reasons.append(QUALITY)
    # Without a mask the limit means nothing, so it is compared only where both have one.
    if old.age_mask & ~new.age_mask or (old.age_mask and new.age_max > old.age_max):
        reasons.append(AGE)
    if old.flags & ~new.flags:
        reasons.append(CONDITION)
    if new.safe != old.safe:
        reasons.append(SAFE)
    return reasons


def _live(bundle) -> set:
    """Return the actions that rules of mode on ask for."""
    found = set()
    for rule in bundle.rules:
        if rule.mode == g.ON:
            _collect(rule.body, found)
    return found


def _collect(body: list, found: set) -> None:
    for statement in body:
        if statement[0] == g.ACT:
            found.add(statement[1])
        elif statement[0] == g.IF:
            for inner in statement[2:]:
                _collect(inner, found)
