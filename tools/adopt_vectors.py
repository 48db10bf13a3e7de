"""Cases of what lies between two bundles: when one may be replaced, and that gates outlive it; commands pass the same gates.

The source of rules/vectors/adopt.json and gates.json; each expectation is written here by hand.

Source: rules/SPEC.md sections 2.1, 7 and 9.
"""

from rules import grammar as g
from rules.limits import value_max
from tools.rule_tree import NOW, act, bundle, gate, reading, rule

BIG = value_max
_FLOW_IS_LOW = [g.BELOW, reading(0), 10]
_ALWAYS = rule(1, [0], [act(5, reading(0), 0)])
_QUIET = gate(5, 0, 10, 0, gap=100)
_BROKEN = [g.EQUAL, [g.DIVIDE, 1, [g.SUBTRACT, reading(1), reading(1)]], 0]


def _sample(now: int, values: list, good: int = 3, trusted: bool = True, online: bool = True) -> list:
    return [now, values, good, trusted, online]


_FIRST = _sample(10, [5, 0])


def _adopt(name: str, adopt: object, *steps: tuple[list, bool], before: bool = False) -> dict:
    """Return a case: what may_adopt says before any sample, and after each."""
    return {
        "name": name,
        "bundle": bundle([], [], adopt=adopt).hex(),
        "samples": [sample for sample, _ in steps],
        "may_adopt": [before, *[expect for _, expect in steps]],
    }


def adopt_cases() -> list:
    """Return the cases of conditions in which a bundle may be replaced."""
    return [*_met_or_not(), *_bad_inputs(), *_ages(), *_faults()]


def _met_or_not() -> list:
    return [
        _adopt(
            "without the key always, before a sample too",
            None,
            (_sample(10, [99, 0], good=0), True),
            before=True,
        ),
        _adopt(
            "a condition is met sample by sample",
            _FLOW_IS_LOW,
            (_FIRST, True),
            (_sample(20, [10, 0]), False),
            (_sample(30, [9, 0]), True),
        ),
        _adopt("true is met from the first sample on", True, (_sample(10, [5, 0], good=0), True)),
        _adopt("false never is", False, (_FIRST, False)),
    ]


def _bad_inputs() -> list:
    return [
        _adopt(
            "an input that is not good: not now, whatever it was",
            _FLOW_IS_LOW,
            (_FIRST, True),
            (_sample(20, [5, 0], good=2), False),
            (_sample(20, [5, 0], good=3), True),
        ),
        _adopt(
            "an input that never was good: not now, though it reads 0",
            _FLOW_IS_LOW,
            (_sample(10, [None, 0], good=2), False),
        ),
        _adopt(
            "a value beyond the bound is not good",
            [g.ABOVE, reading(0), 0],
            (_sample(10, [BIG + 1, 0]), False),
            (_sample(10, [BIG, 0]), True),
        ),
        _adopt(
            "not of an input that is not good is no yes",
            [g.NOT, _FLOW_IS_LOW],
            (_sample(10, [None, 0], good=2), False),
        ),
        _adopt(
            "both sides of a choice need not be good",
            [g.CHOOSE, [g.GOOD, 0], _FLOW_IS_LOW, [g.BELOW, reading(1), 7]],
            (_sample(10, [5, 9], good=1), True),
            (_sample(20, [5, 6], good=2), True),
            (_sample(30, [5, 9], good=2), False),
        ),
        _adopt(
            "what is not evaluated is not missed",
            [g.OR, [g.NOT, [g.GOOD, 0]], _FLOW_IS_LOW],
            (_sample(10, [99, 0], good=2), True),
            (_sample(20, [99, 0], good=3), False),
        ),
        _adopt(
            "or in the other order is missed",
            [g.OR, _FLOW_IS_LOW, [g.NOT, [g.GOOD, 0]]],
            (_sample(10, [99, 0], good=2), False),
        ),
        _adopt(
            "a sum with one bad input",
            [g.BELOW, [g.ADD, reading(1), reading(0)], 100],
            (_sample(10, [1, 1]), True),
            (_sample(20, [1, 1], good=1), False),
        ),
        _adopt(
            "in a list",
            [g.IN_LIST, reading(0), [4, 5]],
            (_FIRST, True),
            (_sample(20, [6, 0]), False),
            (_sample(30, [5, 0], good=2), False),
        ),
    ]


def _ages() -> list:
    return [
        _adopt(
            "ages may be asked of what is not good",
            [g.AT_LEAST, [g.AGE, 0], 50],
            (_FIRST, False),
            (_sample(59, [0, 0], good=2), False),
            (_sample(60, [0, 0], good=2), True),
        ),
        _adopt(
            "an input that never was good is as old as can be",
            [g.AND, [g.EQUAL, [g.AGE, 0], BIG], [g.NOT, [g.HAS, 0]]],
            (_sample(10, [0, 0], good=2), True),
            (_FIRST, False),
        ),
        _adopt(
            "the way out of a sensor that died",
            [g.OR, [g.ABOVE, [g.AGE, 0], 36000], _FLOW_IS_LOW],
            (_sample(10, [99, 0]), False),
            (_sample(36010, [0, 0], good=2), False),
            (_sample(36011, [0, 0], good=2), True),
        ),
        _adopt(
            "the tick is the sample's",
            [g.EQUAL, [g.REMAINDER, NOW, 864000], 20],
            (_FIRST, False),
            (_sample(20, [5, 0]), True),
        ),
    ]


def _faults() -> list:
    return [
        _adopt("a fault: not now", [g.OR, _BROKEN, True], (_FIRST, False)),
        _adopt("a fault that is not met", [g.OR, True, _BROKEN], (_FIRST, True)),
        _adopt(
            "a product beyond its bound: not now",
            [g.ABOVE, [g.MULTIPLY, reading(0), reading(1)], 0],
            (_sample(10, [1 << 24, 1 << 24]), True),
            (_sample(20, [1 << 25, 1 << 24]), False),
        ),
        _adopt(
            "equality of two conditions",
            [g.EQUAL, [g.GOOD, 0], [g.GOOD, 1]],
            (_sample(10, [0, 0]), True),
            (_sample(20, [0, 0], good=1), False),
            (_sample(30, [0, 0], good=0), True),
        ),
    ]


def _gates(name: str, first: bytes, steps: list, state: list) -> dict:
    return {"name": name, "bundle": first.hex(), "steps": steps, "state": state}


def _ask(
    action: int,
    value: int,
    now: int,
    verdict: int,
    last: int | None,
    *,
    trusted: bool = True,
    online: bool = True,
) -> list:
    return ["ask", [action, value, now, trusted, online], [action, value, verdict, last]]


def gates_cases() -> list:
    """Return the cases of commands and of gates that another bundle takes over."""
    return [*_commands(), *_evidence(), *_folds(), *_takeovers()]


def _commands() -> list:
    guarded = gate(5, 0, 10, 0, gap=100, good_mask=1, age_mask=2, age_max=50, flags=3)
    return [
        _gates(
            "a command passes the gate and moves it for every rule",
            bundle([_ALWAYS], [_QUIET]),
            [
                _ask(5, 3, 40, 0, None),
                ["sample", _sample(139, [7, 0]), [[5, 7, 2, 40]]],
                ["sample", _sample(140, [7, 0]), [[5, 7, 0, 40]]],
                _ask(5, 4, 239, 2, 140),
                _ask(5, 4, 240, 0, 140),
                _ask(6, 4, 240, 8, None),
                _ask(5, 11, 240, 1, 240),
                _ask(5, 1 << 40, 240, 1, 240),
            ],
            [[[7, 140], [0, 140]], [[1, [0]]], [[5, 240, 4]]],
        ),
        _gates(
            "good is the newest sample's, ages are the command's, facts are its own",
            bundle([], [guarded]),
            [
                _ask(5, 3, 5, 3, None),
                ["sample", _sample(10, [0, 0]), []],
                ["sample", _sample(30, [0, 0], good=1, trusted=False, online=False), []],
                _ask(5, 3, 60, 5, None, trusted=False),
                _ask(5, 3, 60, 6, None, online=False),
                _ask(5, 3, 61, 4, None),
                ["sample", _sample(70, [0, 0]), []],
                ["sample", _sample(80, [0, 0], good=2), []],
                _ask(5, 3, 90, 3, None),
                ["sample", _sample(100, [0, 0]), []],
                _ask(5, 3, 150, 0, None),
                ["sample", _sample(150, [0, 0]), []],
            ],
            [[[0, 150], [0, 150]], [], [[5, 150, 3]]],
        ),
    ]


def _evidence() -> list:
    return [
        _gates(
            "what was good before a power cut is no evidence for a command",
            bundle([], [gate(5, 0, 10, 0, good_mask=1), gate(6, 0, 10, 0, age_mask=1, age_max=1000)]),
            [
                ["sample", _sample(10, [0, 0]), []],
                _ask(5, 1, 11, 0, None),
                _ask(6, 1, 11, 0, None),
                ["restore", None, None],
                _ask(5, 2, 20, 3, 11),
                _ask(6, 2, 20, 4, 11),
                ["sample", _sample(30, [0, 0]), []],
                _ask(5, 2, 30, 0, 11),
                _ask(6, 2, 30, 0, 11),
            ],
            [[[0, 30], [0, 30]], [], [[5, 30, 2], [6, 30, 2]]],
        ),
        _gates(
            "the gate's shadow holds for a command, a rule's mode does not",
            bundle(
                [rule(1, [], [act(5, 1)], mode=g.SHADOW)], [gate(5, 0, 10, 0), gate(6, 0, 10, 0, flags=4)]
            ),
            [
                ["sample", _sample(10, [0, 0]), [[5, 1, 7, None]]],
                _ask(5, 2, 10, 0, None),
                _ask(6, 2, 10, 7, None),
            ],
            [[[0, 10], [0, 10]], [[1, []]], [[5, 10, 2], [6, None, None]]],
        ),
    ]


def _folds() -> list:
    return [
        _gates(
            "a durable command is folded: an allowed one moves its gate, others nothing",
            bundle([_ALWAYS], [_QUIET]),
            [
                ["command", [[5, 3, 0, None], 40], None],
                ["command", [[5, 4, 2, 40], 50], None],
                ["command", [[9, 4, 0, None], 60], None],
                ["command", [[5, 1 << 40, 1, 40], 70], None],
                ["sample", _sample(139, [7, 0]), [[5, 7, 2, 40]]],
                ["sample", _sample(140, [7, 0]), [[5, 7, 0, 40]]],
            ],
            [[[7, 140], [0, 140]], [[1, [0]]], [[5, 140, 7]]],
        ),
    ]


def _takeovers() -> list:
    old = [gate(5, 0, 10, 0, gap=100), gate(6, 0, 10, 0), gate(7, 0, 10, 0)]
    new = bundle(
        [rule(2, [], [act(5, reading(0))])], [gate(8, 0, 1, 0), gate(7, 0, 1, 0), gate(5, 0, 5, 0, gap=60)]
    )
    moved = [
        ["sample", _sample(10, [0, 0]), []],
        _ask(5, 9, 100, 0, None),
        _ask(6, 3, 101, 0, None),
    ]
    return [
        _gates(
            "gates of shared actions keep tick and value, the gap that counts is the new one",
            bundle([], old),
            [
                *moved,
                ["takeover", new.hex(), [[8, None, None], [7, None, None], [5, 100, 9]]],
                ["sample", _sample(159, [1, 0]), [[5, 1, 2, 100]]],
                ["sample", _sample(160, [1, 0]), [[5, 1, 0, 100]]],
            ],
            [[[1, 160], [0, 160]], [[2, []]], [[8, None, None], [7, None, None], [5, 160, 1]]],
        ),
        _gates(
            "there and back: the way back knows what moved meanwhile",
            bundle([], old),
            [
                *moved,
                ["takeover", new.hex(), [[8, None, None], [7, None, None], [5, 100, 9]]],
                ["sample", _sample(160, [1, 0]), [[5, 1, 0, 100]]],
                ["takeover", bundle([], old).hex(), [[5, 160, 1], [6, None, None], [7, None, None]]],
                _ask(5, 2, 259, 2, 160),
                _ask(5, 2, 260, 0, 160),
            ],
            [[None, None], [], [[5, 260, 2], [6, None, None], [7, None, None]]],
        ),
    ]
