"""The demo's two rules and gates, written as trees: the source of rules/vectors/demo_bundle.json.

Both rules are one machine, `switch`, with other numbers; rules/README.md draws it and says why it is so.
"""

from rules import grammar as g
from tools.rule_tree import NO_SCHEMA, NOW, act, bundle, gate, if_, reading, register, rule, set_register

FLOW, TEMPERATURE = 0, 1
VALVE, RELAY = 1, 2
SAMPLE_TICKS = 360

# registers of a switch
_WANTED, _SINCE, _VERDICT, _ASKED, _SEEN = range(5)
_NEVER = -1
_RETRY_TICKS = 3 * SAMPLE_TICKS
_GAP_TICKS = 2 * SAMPLE_TICKS


def switch(
    rule_id: int, channel: int, action: int, first: int, leaves_0: list, leaves_1: list, hold_ticks: int
) -> list:
    """Return a rule that wants its action at 0 or 1 and changes its mind when the reading says so for hold_ticks.

    first: what it wants at the beginning. leaves_0, leaves_1: conditions that end wanting 0 and 1.
    """
    wanted, since, verdict, asked, seen = (register(number) for number in range(5))
    turn = [
        set_register(_WANTED, [g.SUBTRACT, 1, wanted]),
        set_register(_SINCE, _NEVER),
        set_register(_ASKED, NOW),
        act(action, wanted, _VERDICT),
    ]
    ask_again = [set_register(_ASKED, NOW), act(action, wanted, _VERDICT)]
    body = [
        if_([g.ABOVE, [g.SUBTRACT, NOW, seen], _GAP_TICKS], [set_register(_SINCE, _NEVER)]),
        set_register(_SEEN, NOW),
        if_(
            [g.CHOOSE, [g.EQUAL, wanted, 0], leaves_0, leaves_1],
            [
                if_([g.BELOW, since, 0], [set_register(_SINCE, NOW)]),
                if_([g.AT_LEAST, [g.SUBTRACT, NOW, since], hold_ticks], turn),
            ],
            [set_register(_SINCE, _NEVER)],
        ),
        if_(
            [
                g.AND,
                [g.NOT, [g.IN_LIST, verdict, [0, 7]]],
                [g.AT_LEAST, [g.SUBTRACT, NOW, asked], _RETRY_TICKS],
            ],
            ask_again,
        ),
    ]
    return rule(rule_id, [first, _NEVER, 0, 0, 0], body, needs=1 << channel)


def leak() -> list:
    """Close the valve after 3 samples' time below 90.00 l/s; open it after as long at 95.00 l/s or more."""
    flow = reading(FLOW)
    return switch(1, FLOW, VALVE, 1, [g.AT_LEAST, flow, 9500], [g.BELOW, flow, 9000], 3 * SAMPLE_TICKS)


def over_temperature() -> list:
    """Switch the relay on after 2 samples' time at 75.0 F or more; off after as long at 71.0 F or less."""
    temperature = reading(TEMPERATURE)
    return switch(
        2,
        TEMPERATURE,
        RELAY,
        0,
        [g.AT_LEAST, temperature, 750],
        [g.AT_MOST, temperature, 710],
        2 * SAMPLE_TICKS,
    )


def demo_bundle(version: int = 1, schema: bytes = NO_SCHEMA) -> bytes:
    """Return the demo's bundle for the schema whose digest starts with these 8 bytes."""
    gates = [
        gate(VALVE, 0, 1, safe=0, gap=20 * SAMPLE_TICKS, good_mask=1 << FLOW),
        gate(RELAY, 0, 1, safe=0, gap=6 * SAMPLE_TICKS, age_mask=1 << TEMPERATURE, age_max=3 * SAMPLE_TICKS),
    ]
    return bundle([leak(), over_temperature()], gates, channels=2, version=version, schema=schema)
