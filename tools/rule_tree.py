"""Names for the trees of rules, so that a bundle can be written in Python as it reads: until there is a compiler, and in tests.

Source: rules/SPEC.md sections 2 and 3.
"""

from protocol.cbor import Simple, dumps
from rules import grammar as g

NOW = Simple(g.now_variable())

# SHA-256 of the demo's schema is not known here; a bundle that no device adopts names this one.
NO_SCHEMA = b"\0" * 8


def reading(channel: int) -> Simple:
    """Return the last good value of a channel."""
    return Simple(g.input_variable(channel))


def register(number: int) -> Simple:
    """Return the value of a register."""
    return Simple(g.register_variable(number))


def set_register(number: int, expression: object) -> list:
    """Return the statement that stores expression in a register."""
    return [g.SET, number, expression]


def set_at(base: int, count: int, index: object, expression: object) -> list:
    """Return the statement that stores expression in register base + index, index below count."""
    return [g.SET_AT, base, count, index, expression]


def if_(condition: object, then: list, otherwise: list | None = None) -> list:
    """Return the statement that runs then or otherwise."""
    return [g.IF, condition, then] if otherwise is None else [g.IF, condition, then, otherwise]


def act(action: int, expression: object, verdict_register: int | None = None) -> list:
    """Return the statement that asks for an action and keeps the verdict in a register."""
    return (
        [g.ACT, action, expression]
        if verdict_register is None
        else [g.ACT, action, expression, verdict_register]
    )


def rule(rule_id: int, init: list, body: list, needs: int = 0, mode: int = g.ON) -> list:
    """Return one rule."""
    return [rule_id, mode, init, needs, body]


def gate(action: int, low: int, high: int, safe: int, **limits: int) -> list:
    """Return one gate. limits: gap, good_mask, age_mask, age_max, flags; 0 if not given."""
    names = ("gap", "good_mask", "age_mask", "age_max", "flags")
    assert set(limits) <= set(names), limits
    return [action, low, high, *[limits.get(name, 0) for name in names], safe]


def bundle(
    rules: list,
    gates: list,
    channels: int = 2,
    version: int = 1,
    schema: bytes = NO_SCHEMA,
    adopt: object = None,
) -> bytes:
    """Return the bytes of a bundle; nothing is checked, so that tests can also write broken ones. adopt: None for no such key."""
    top = {1: g.FORMAT, 2: version, 3: schema, 4: rules, 5: gates, 7: channels}
    return dumps(top if adopt is None else {**top, 8: adopt})
