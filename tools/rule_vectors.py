"""Writes rules/vectors/*.json: what a rule must do, case by case, each expectation written here by hand.

`python -m tools.rule_vectors` writes them; with `--check` it only says whether the files are what it would write.
The expected results are literals, not output of our own evaluators: both of them are judged by these files.

Source: rules/SPEC.md; the names of the fields are in rules/vectors/README.md.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rules import grammar as g
from rules.limits import value_max
from rules.value import FAULT_DIVISION, FAULT_INDEX, FAULT_PRODUCT, FAULT_VALUE
from tools.adopt_vectors import adopt_cases, gates_cases
from tools.demo_rules import demo_bundle
from tools.refused_bundles import refused_bundles
from tools.rule_tree import NOW, act, bundle, gate, if_, reading, register, rule, set_at, set_register

FOLDER = Path(__file__).resolve().parent.parent / "rules" / "vectors"
BIG = value_max
_CONTEXT: dict[str, object] = {"inputs": [0, 0], "ages": [0, 0], "good": 3, "ever": 3, "now": 1000}


def run(name: str, body: list, expect: object, init: Sequence[int] = (0,), **context: object) -> dict:
    """Return the case of one evaluation. expect: registers after, or (registers, requests), or a fault code.

    context: inputs, ages, now, good, ever where they differ from two good inputs of 0 at tick 1000.
    """
    assert set(context) <= set(_CONTEXT), context
    expected: dict[str, object]
    if isinstance(expect, int):
        expected = {"fault": expect}
    elif isinstance(expect, tuple):
        expected = {"registers": expect[0], "requests": expect[1]}
    else:
        expected = {"registers": expect, "requests": []}
    return {
        "name": name,
        "bundle": bundle([rule(1, list(init), body)], []).hex(),
        **_CONTEXT,
        **context,
        "expect": expected,
    }


def value(name: str, expression: object, expect: int | list, **context: object) -> dict:
    """Return the case that stores one expression in register 0. expect: its value, or [fault code]."""
    expected = expect[0] if isinstance(expect, list) else [expect]
    return run(name, [set_register(0, expression)], expected, (0,), **context)


def truth(name: str, condition: object, expect: bool, **context: object) -> dict:
    """Return the case that stores 1 in register 0 if a condition holds, 0 if not."""
    return run(name, [set_register(0, [g.CHOOSE, condition, 1, 0])], [1 if expect else 0], (0,), **context)


def arithmetic() -> list:
    """Return the cases of integers: exact sums, CEL's division and remainder, unary and many-sided operators."""
    division = []
    for left, right, quotient, rest in (
        (7, 2, 3, 1),
        (-7, 2, -3, -1),
        (7, -2, -3, 1),
        (-7, -2, 3, -1),
        (6, 3, 2, 0),
        (-6, 3, -2, 0),
        (0, -5, 0, 0),
        (1, 2, 0, 1),
        (-1, 2, 0, -1),
        (BIG, -1, -BIG, 0),
        (-BIG, 2, -2147483647, -1),
    ):
        division.append(value(f"{left} / {right}", [g.DIVIDE, left, right], quotient))
        division.append(value(f"{left} % {right}", [g.REMAINDER, left, right], rest))
    return [
        *division,
        value("sum of four", [g.ADD, 1, -2, 30, 400], 429),
        value("difference", [g.SUBTRACT, 3, 10], -7),
        value("product", [g.MULTIPLY, -12, 12], -144),
        value("negation", [g.NEGATE, reading(0)], -5, inputs=(5, 0)),
        value("negation of a negative", [g.NEGATE, -5], 5),
        value("magnitude", [g.ABSOLUTE, -9], 9),
        value("least of three", [g.LEAST, 4, -4, 0], -4),
        value("greatest of three", [g.GREATEST, 4, -4, 9], 9),
        value("a sum beyond the bound may come back", [g.SUBTRACT, [g.ADD, BIG, BIG], BIG], BIG),
        value("division by zero", [g.DIVIDE, 1, 0], [FAULT_DIVISION]),
        value("remainder by zero", [g.REMAINDER, 1, [g.SUBTRACT, 1, 1]], [FAULT_DIVISION]),
        value("the tick is a value", [g.ADD, NOW, 1], 1001),
        run(
            "register 127 is named by simple value 148",
            [set_register(127, 5)],
            [0] * 127 + [5],
            init=[0] * 128,
        ),
        run(
            "registers 10 and 11 lie on both sides of the hole in simple values",
            [set_register(0, [g.SUBTRACT, register(11), register(10)])],
            [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 7],
            init=[0] * 10 + [4, 7],
        ),
    ]


def comparisons() -> list:
    """Return the cases of order, equality and membership."""
    cases = []
    for operator, text, below, equal, above in (
        (g.EQUAL, "==", False, True, False),
        (g.UNEQUAL, "!=", True, False, True),
        (g.BELOW, "<", True, False, False),
        (g.AT_MOST, "<=", True, True, False),
        (g.ABOVE, ">", False, False, True),
        (g.AT_LEAST, ">=", False, True, True),
    ):
        for left, expect in ((-BIG, below), (4, below), (5, equal), (6, above), (BIG, above)):
            cases.append(truth(f"{left} {text} 5", [operator, left, 5], expect))
    return [
        *cases,
        truth("true == true", [g.EQUAL, True, [g.BELOW, 1, 2]], True),
        truth("true != false", [g.UNEQUAL, True, False], True),
        truth("3 in [1, 3]", [g.IN_LIST, 3, [1, 3]], True),
        truth("2 in [1, 3]", [g.IN_LIST, 2, [1, 3]], False),
        truth("-1 in [-1]", [g.IN_LIST, [g.NEGATE, 1], [-1]], True),
    ]


def logic() -> list:
    """Return the cases of and, or, not, choice and branches: left to right, no further than needed."""
    broken = [g.EQUAL, [g.DIVIDE, 1, 0], 0]
    one, two, three = ([set_register(0, number)] for number in (1, 2, 3))
    return [
        truth("and of three", [g.AND, True, True, True], True),
        truth("and with one false", [g.AND, True, False, True], False),
        truth("or of three", [g.OR, False, False, True], True),
        truth("or of none true", [g.OR, False, False], False),
        truth("not", [g.NOT, False], True),
        truth("and stops at the first false", [g.AND, False, broken], False),
        truth("or stops at the first true", [g.OR, True, broken], True),
        run("and goes on after true", if_only([g.AND, True, broken]), FAULT_DIVISION),
        run("an error on the left is not absorbed", if_only([g.AND, broken, False]), FAULT_DIVISION),
        value("a choice evaluates one side", [g.CHOOSE, True, 7, [g.DIVIDE, 1, 0]], 7),
        value("a choice evaluates the other side", [g.CHOOSE, False, [g.DIVIDE, 1, 0], 8], 8),
        truth("a choice of conditions", [g.CHOOSE, [g.EQUAL, 1, 1], False, True], False),
        run("if taken", [if_(True, one, two)], [1]),
        run("else taken", [if_(False, one, two)], [2]),
        run("if without else", [if_(False, one)], [0]),
        run("nested", [if_(True, [if_(False, one, [if_(True, three)])])], [3]),
        run(
            "statements see what ran before",
            [set_register(0, 5), set_register(0, [g.ADD, register(0), 1])],
            [6],
        ),
    ]


def if_only(condition: object) -> list:
    """Return a body whose only effect is to evaluate a condition."""
    return [if_(condition, [set_register(0, 1)])]


def windows() -> list:
    """Return the cases of registers chosen by an index: rings, their bounds, and the order of evaluation."""
    position = [g.REMAINDER, [g.ADD, register(0), 1], 3]
    ring = [set_register(0, position), set_at(1, 3, register(0), reading(0))]
    return [
        run("a ring of three takes a reading", ring, [1, 7, 42, 9], init=(0, 7, 8, 9), inputs=(42, 0)),
        run("a ring wraps", ring, [0, 42, 8, 9], init=(2, 7, 8, 9), inputs=(42, 0)),
        run("read by index", [set_register(0, [g.READ_AT, 1, 3, 2])], [9, 7, 8, 9], init=(0, 7, 8, 9)),
        run("read at the count", [set_register(0, [g.READ_AT, 1, 3, 3])], FAULT_INDEX, init=(0, 1, 2, 3)),
        run("read below zero", [set_register(0, [g.READ_AT, 1, 3, -1])], FAULT_INDEX, init=(0, 1, 2, 3)),
        run("set at the count", [set_at(1, 3, 3, 0)], FAULT_INDEX, init=(0, 1, 2, 3)),
        run("set below zero", [set_at(1, 3, -1, 0)], FAULT_INDEX, init=(0, 1, 2, 3)),
        run("the value is evaluated before the index", [set_at(0, 1, 5, [g.DIVIDE, 1, 0])], FAULT_DIVISION),
        run("a bad value shows before a bad index", [set_at(0, 1, 5, [g.ADD, BIG, 1])], FAULT_VALUE),
    ]


def limits() -> list:
    """Return the cases at the bounds of values and products."""
    at_bound = 1 << 24
    return [
        value("the largest value is stored", [g.ADD, BIG - 1, 1], BIG),
        value("one above it is not", [g.ADD, BIG, 1], [FAULT_VALUE]),
        value("the smallest value is stored", [g.SUBTRACT, 1 - BIG, 1], -BIG),
        value("one below it is not", [g.SUBTRACT, -BIG, 1], [FAULT_VALUE]),
        value("a product at its bound", [g.DIVIDE, [g.MULTIPLY, at_bound, at_bound], at_bound], at_bound),
        value(
            "a negative product at its bound",
            [g.DIVIDE, [g.MULTIPLY, -at_bound, at_bound], at_bound],
            -at_bound,
        ),
        value("a product above it", [g.LEAST, 0, [g.MULTIPLY, at_bound, at_bound + 1]], [FAULT_PRODUCT]),
        value(
            "a negative product below it",
            [g.GREATEST, 0, [g.MULTIPLY, at_bound, -at_bound - 1]],
            [FAULT_PRODUCT],
        ),
        value("a sum of 32", [g.ADD, *range(32)], 496),
        value("a least of 32", [g.LEAST, *range(32)], 0),
        value("a greatest of 32", [g.GREATEST, *range(32)], 31),
        truth("and of 32", [g.AND, *[True] * 31, False], False),
        truth("or of 32", [g.OR, *[False] * 31, True], True),
        truth("in a list of 32", [g.IN_LIST, 31, list(range(32))], True),
        value("a square of the largest value", [g.REMAINDER, [g.MULTIPLY, BIG, BIG], 7], [FAULT_PRODUCT]),
        run("a requested value beyond the bound", [act(1, [g.ADD, BIG, 1])], FAULT_VALUE),
        run(
            "a request after it is not reached",
            [set_register(0, [g.DIVIDE, 1, 0]), act(1, 1)],
            FAULT_DIVISION,
        ),
        run(
            "two requests, one with a verdict register",
            [act(1, 5), act(2, -6, 0)],
            ([0], [[1, 5, -1], [2, -6, 0]]),
        ),
    ]


def absence() -> list:
    """Return the cases of inputs that are not good now, or never were."""
    now_only = {"good": 1, "ever": 3, "ages": (0, 40), "inputs": (11, 22)}
    never = {"good": 1, "ever": 1, "ages": (0, BIG), "inputs": (11, 0)}
    return [
        truth("good now", [g.GOOD, 0], True, **now_only),
        truth("not good now", [g.GOOD, 1], False, **now_only),
        truth("was good once", [g.HAS, 1], True, **now_only),
        truth("never good", [g.HAS, 1], False, **never),
        value("the last good value stays readable", reading(1), 22, **now_only),
        value("its age in ticks", [g.AGE, 1], 40, **now_only),
        value("a good input has age 0", [g.AGE, 0], 0, **now_only),
        value("an input that was never good reads 0", reading(1), 0, **never),
        value("and is as old as can be", [g.AGE, 1], BIG, **never),
        truth("so that no age limit lets it pass", [g.AT_MOST, [g.AGE, 1], BIG - 1], False, **never),
    ]


def sample(now: int, values: list, good: int = 3, trusted: bool = True, online: bool = True) -> list:
    """Return one sample of an engine case: [now, values, good, trusted time, online]."""
    return [now, values, good, trusted, online]


def engine() -> list:
    """Return the cases of several samples: absence, verdicts, feedback; decisions and state in full."""
    echo = [act(5, reading(0), 0)]
    open_gate = gate(5, -10, 10, 0)
    return [
        {
            "name": "a rule waits while an input it needs is not good, and keeps its registers",
            "bundle": bundle([rule(3, [0], [set_register(0, NOW), act(5, 1)], needs=2)], [open_gate]).hex(),
            "samples": [sample(10, [1, 2]), sample(20, [1, None], good=1), sample(30, [1, None], good=3)],
            "decisions": [[[3, 2, 10, [1, 2], [0, 0], 3, 3, [0], [10], [[5, 1, 0, None]]]], [], []],
            "faults": [[], [], []],
            "waiting": [[], [3], [3]],
            "state": [[[1, 30], [2, 10]], [[3, [10]]], [[5, 10, 1]]],
        },
        {
            "name": "the verdict comes back in a register, and a refusal does not move the gate",
            "bundle": bundle([rule(1, [9], echo)], [gate(5, -10, 10, 0, gap=100)]).hex(),
            "samples": [sample(0, [10, 0]), sample(99, [-10, 0]), sample(100, [11, 0]), sample(100, [3, 0])],
            "decisions": [
                [[1, 2, 0, [10, 0], [0, 0], 3, 3, [9], [0], [[5, 10, 0, None]]]],
                [[1, 2, 99, [-10, 0], [0, 0], 3, 3, [0], [2], [[5, -10, 2, 0]]]],
                [[1, 2, 100, [11, 0], [0, 0], 3, 3, [2], [1], [[5, 11, 1, 0]]]],
                [[1, 2, 100, [3, 0], [0, 0], 3, 3, [1], [0], [[5, 3, 0, 0]]]],
            ],
            "faults": [[], [], [], []],
            "waiting": [[], [], [], []],
            "state": [[[3, 100], [0, 100]], [[1, [0]]], [[5, 100, 3]]],
        },
    ]


def engine_modes() -> list:
    """Return the cases of several samples: faults, modes, and what is written of inputs that never were."""
    open_gate = gate(5, -10, 10, 0)
    return [
        {
            "name": "a faulted run leaves its registers, asks for nothing, and the next rule still runs",
            "bundle": bundle(
                [
                    rule(1, [4], [set_register(0, 5), act(5, 1), set_register(0, [g.DIVIDE, 1, reading(0)])]),
                    rule(2, [], [act(5, 2)]),
                ],
                [open_gate],
            ).hex(),
            "samples": [sample(7, [0, 0])],
            "decisions": [[[2, 2, 7, [0, 0], [0, 0], 3, 3, [], [], [[5, 2, 0, None]]]]],
            "faults": [[[1, 7, FAULT_DIVISION]]],
            "waiting": [[]],
            "state": [[[0, 7], [0, 7]], [[1, [4]], [2, []]], [[5, 7, 2]]],
        },
        {
            "name": "a shadow rule decides and moves nothing; a rule that is off does not run",
            "bundle": bundle(
                [rule(1, [0], [act(5, 1, 0)], mode=g.SHADOW), rule(2, [0], [act(5, 1)], mode=g.OFF)],
                [open_gate],
            ).hex(),
            "samples": [sample(7, [0, 0], trusted=False, online=False)],
            "decisions": [[[1, 1, 7, [0, 0], [0, 0], 3, 0, [0], [7], [[5, 1, 7, None]]]]],
            "faults": [[]],
            "waiting": [[]],
            "state": [[[0, 7], [0, 7]], [[1, [7]], [2, [0]]], [[5, None, None]]],
        },
        {
            "name": "what was never good has age -1 in a decision, and a value beyond the bound is not good",
            "bundle": bundle([rule(1, [], [act(6, 1)])], []).hex(),
            "samples": [
                sample(7, [BIG + 1, 0], good=1),
                sample(9, [4, 0], good=1),
                sample(12, [0, 0], good=0),
            ],
            "decisions": [
                [[1, 2, 7, [0, 0], [-1, -1], 0, 3, [], [], [[6, 1, 8, None]]]],
                [[1, 2, 9, [4, 0], [0, -1], 1, 3, [], [], [[6, 1, 8, None]]]],
                [[1, 2, 12, [4, 0], [3, -1], 0, 3, [], [], [[6, 1, 8, None]]]],
            ],
            "faults": [[], [], []],
            "waiting": [[], [], []],
            "state": [[[4, 9], None], [[1, []]], []],
        },
    ]


def demo() -> dict:
    """Return the demo's bundle with a made-up day, and by sample number what is asked and answered."""
    flow = [10200] * 5 + [2426] * 16 + [9900] * 20
    heat = [700] * 2 + [751] * 6 + [705] * 33
    return {
        "bundle": demo_bundle().hex(),
        "channels": [
            {"name": "flow", "unit": "l/s", "scale": -2},
            {"name": "temperature", "unit": "Fahr", "scale": -1},
        ],
        "sample_ticks": 360,
        "first_tick": 720,
        "readings": [list(pair) for pair in zip(flow, heat, strict=True)],
        "acts": [
            {"sample": 4, "rule": 2, "act": [2, 1, 0, None]},
            {"sample": 8, "rule": 1, "act": [1, 0, 0, None]},
            {"sample": 10, "rule": 2, "act": [2, 0, 0, 2160]},
            {"sample": 24, "rule": 1, "act": [1, 1, 2, 3600]},
            {"sample": 27, "rule": 1, "act": [1, 1, 2, 3600]},
            {"sample": 30, "rule": 1, "act": [1, 1, 0, 3600]},
        ],
    }


def files() -> dict:
    """Return the text of each vector file by its name."""
    contents: dict[str, list | dict] = {
        "arithmetic": arithmetic(),
        "comparisons": comparisons(),
        "logic": logic(),
        "windows": windows(),
        "limits": limits(),
        "absence": absence(),
        "engine": engine() + engine_modes(),
        "adopt": adopt_cases(),
        "gates": gates_cases(),
        "refused": refused_bundles(),
        "demo_bundle": demo(),
    }
    return {name + ".json": _text(part) for name, part in contents.items()}


def _text(part: list | dict) -> str:
    if isinstance(part, dict):
        return json.dumps(part, indent=1) + "\n"
    return "[\n" + ",\n".join(json.dumps(case) for case in part) + "\n]\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with --check say which differ. Return 0, or 1 if one differs."""
    differ = []
    for name, text in files().items():
        path = FOLDER / name
        if "--check" not in arguments:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            differ.append(name)
    if differ:
        print("not as written by python -m tools.rule_vectors:", ", ".join(differ), file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
