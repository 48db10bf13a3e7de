"""The gate before every actuator: one pure function, outside the rules and the same for all of them.

A rule asks, the gate answers. Range, quality, age, trusted time, connectivity, gap between two movements, shadow:
the first that fails names the verdict. Shadow is asked last, so that SHADOW means "would have been allowed".

Source: SPEC.md section 7.
"""

from rules.grammar import GATE_SHADOW, NEEDS_LINK, NEEDS_TIME, SHADOW

ALLOWED = 0
OUT_OF_RANGE = 1  # value below low or above high
TOO_SOON = 2  # fewer than gap ticks since the action was last allowed
QUALITY = 3  # a channel of good_mask is not good in this sample
AGE = 4  # a channel of age_mask was never good, or is older than age_max
TIME = 5  # the gate needs trusted wall time
OFFLINE = 6  # the gate needs a gateway that answered lately
SHADOWED = 7  # the rule or the gate only tries
NO_GATE = 8  # the bundle has no gate for this action

VERDICT_NAMES = (
    "allowed",
    "out of range",
    "too soon",
    "quality",
    "age",
    "time",
    "offline",
    "shadow",
    "no gate",
)


def verdict_words(verdict: int) -> str:
    """Return a verdict as a few words; one that this version does not know, as its number."""
    return VERDICT_NAMES[verdict] if verdict < len(VERDICT_NAMES) else "verdict {}".format(verdict)


TRUSTED_TIME = 1
ONLINE = 2


def verdict(gate, value: int, last_tick, now: int, good_mask: int, ages: list, flags: int, mode: int) -> int:
    """Return the verdict on one request.

    gate: the action's Gate, or None. last_tick: when it last allowed this action, or None.
    ages: rule ticks since each channel was good; -1 if it never was. flags: TRUSTED_TIME | ONLINE. mode: the rule's.
    """
    if gate is None:
        return NO_GATE
    if not gate.low <= value <= gate.high:
        return OUT_OF_RANGE
    if good_mask & gate.good_mask != gate.good_mask:
        return QUALITY
    if not _fresh(gate, ages):
        return AGE
    if gate.flags & NEEDS_TIME and not flags & TRUSTED_TIME:
        return TIME
    if gate.flags & NEEDS_LINK and not flags & ONLINE:
        return OFFLINE
    if last_tick is not None and now - last_tick < gate.gap:
        return TOO_SOON
    if mode == SHADOW or gate.flags & GATE_SHADOW:
        return SHADOWED
    return ALLOWED


def _fresh(gate, ages: list) -> bool:
    for channel in range(len(ages)):
        if gate.age_mask >> channel & 1 and not 0 <= ages[channel] <= gate.age_max:
            return False
    return True
