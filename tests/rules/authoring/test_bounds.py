"""Promises of the interval analysis, on any trees of the grammar: what it accepts cannot fault, and values lie where it says."""

import pytest

from protocol.cbor import Simple
from rules import grammar as g
from rules import interpreter
from rules.authoring.bounds import Bounds, Range, is_bool
from rules.limits import value_max
from rules.value import RuleFault
from tests.both.random_bundles import CHANNELS, Dice, RuleDice

BODIES = 3000
EXPRESSIONS = 3000
NESTED = 10
A, B = Simple(0), Simple(1)
R0 = Simple(g.register_variable(0))


class SmallDice(RuleDice):
    """Constants that stay small, so that a good part can be proved."""

    def constant(self):
        return self.dice.below(12) - 3


def claims(dice, count):
    """Return random ranges."""
    return [Range(-dice.below(9), dice.below(40)) for _ in range(count)]


def within(dice, ranges):
    """Return one value of each range, its ends more often than not."""
    return [dice.pick((r.low, r.high, r.low + dice.below(r.high - r.low + 1))) for r in ranges]


def run_of(dice, channels, registers):
    """Return an interpreter's run over values within the ranges."""
    now = dice.pick((0, value_max, dice.below(1000)))
    ages = [dice.pick((0, value_max, dice.below(50))) for _ in channels]
    return interpreter._Run(
        within(dice, channels), ages, within(dice, registers), now, dice.below(8), dice.below(8)
    )


def test_a_body_that_is_accepted_never_faults_and_keeps_its_registers_in_range():
    """Random bodies over random claims: from any state inside the claims the next one is inside too, without a fault."""
    accepted = 0
    for seed in range(BODIES):
        dice = Dice(seed)
        thrown = SmallDice(dice, 1 + dice.below(4))
        body = thrown.body(2)
        channels, registers = claims(dice, CHANNELS), claims(dice, thrown.registers)
        found = []
        Bounds(channels, registers, found.append).body(body, {})
        if found:
            continue
        accepted += 1
        for _ in range(6):
            run = run_of(dice, channels, registers)
            run.body(body)
            for value, claim in zip(run.registers, registers, strict=True):
                assert claim.low <= value <= claim.high, (seed, body)
    assert accepted > BODIES // 12, accepted


def test_the_value_of_an_expression_lies_in_its_interval():
    """Whatever was reported, a value that can be computed lies where the analysis says, and a decided condition is so."""
    compared = 0
    for seed in range(EXPRESSIONS):
        dice = Dice(seed + 77)
        thrown = SmallDice(dice, 3)
        tree = thrown.number(3) if seed % 2 else thrown.truth(3)
        channels, registers = claims(dice, CHANNELS), claims(dice, 3)
        found = []
        bounds = Bounds(channels, registers, found.append)
        said = bounds.truth(tree, {}) if is_bool(tree) else bounds.number(tree, {})
        for _ in range(6):
            try:
                value = run_of(dice, channels, registers).value(tree)
            except RuleFault:
                assert found, (seed, tree)
                continue
            compared += 1
            if isinstance(said, Range):
                assert found or said.low <= value <= said.high, (seed, tree, said, value)
                assert not (said.is_nonzero and value == 0), (seed, tree)
            else:
                assert said in (None, value), (seed, tree)
    assert compared > EXPRESSIONS


def problems(tree, registers=()):
    """Return the codes of what cannot be proved about storing a number."""
    found = []
    claimed = [*registers, Range(-value_max, value_max)]
    Bounds([Range(-5, 5), Range(0, 10), Range(0, 0)], claimed, found.append).body(
        [[g.SET, len(claimed) - 1, tree]], {}
    )
    return [problem.code for problem in found]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ([g.DIVIDE, 100, A], ["rules-division"]),
        ([g.DIVIDE, 100, [g.ADD, B, 1]], []),
        ([g.DIVIDE, 100, B], ["rules-division"]),
        ([g.REMAINDER, 100, B], ["rules-division"]),
        ([g.CHOOSE, [g.UNEQUAL, A, 0], [g.DIVIDE, 100, A], 0], []),
        ([g.CHOOSE, [g.EQUAL, A, 0], 0, [g.DIVIDE, 100, A]], []),
        ([g.CHOOSE, [g.EQUAL, A, 0], [g.DIVIDE, 100, A], 0], ["rules-division"]),
        ([g.CHOOSE, [g.AND, [g.AT_MOST, B, 3], [g.ABOVE, B, 0]], [g.DIVIDE, 100, B], 0], []),
        ([g.CHOOSE, [g.OR, [g.AT_MOST, B, 3], [g.ABOVE, B, 0]], [g.DIVIDE, 100, B], 0], ["rules-division"]),
        ([g.CHOOSE, [g.NOT, [g.BELOW, B, 1]], [g.DIVIDE, 100, B], 0], []),
        ([g.CHOOSE, [g.AT_LEAST, B, 0], [g.DIVIDE, 100, B], 0], ["rules-division"]),
        ([g.CHOOSE, [g.ABOVE, 1, B], 0, [g.DIVIDE, 100, B]], []),
        ([g.CHOOSE, [g.AT_MOST, B, 3], [g.DIVIDE, 100, [g.SUBTRACT, B, 3]], 0], ["rules-division"]),
        ([g.CHOOSE, [g.BELOW, B, 3], [g.DIVIDE, 100, [g.SUBTRACT, B, 3]], 0], []),
        ([g.CHOOSE, [g.UNEQUAL, A, 0], [g.DIVIDE, 100, [g.SUBTRACT, A, 5]], 0], ["rules-division"]),
        ([g.CHOOSE, [g.UNEQUAL, A, 5], [g.DIVIDE, 100, [g.SUBTRACT, A, 5]], 0], []),
        ([g.MULTIPLY, [g.MULTIPLY, 100_000, B], 1000], []),
        ([g.MULTIPLY, [g.MULTIPLY, 100_000, B], 2000], ["rules-overflow"]),
        ([g.MULTIPLY, Simple(g.now_variable()), 1], []),
        ([g.ADD, Simple(g.now_variable()), 1], ["rules-overflow"]),
    ],
)
def test_conditions_narrow_what_follows_them(tree, expected):
    """A divisor that was asked about is known, at its ends too; one that was not is refused."""
    assert expected == problems(tree)


def test_what_a_register_was_is_forgotten_when_it_is_stored_to():
    """A condition on a register says nothing about it after a store, whichever branch it stands in."""
    change = [g.SET, 0, 0]
    for middle in (
        [change],
        [[g.IF, [g.GOOD, 0], [change]]],
        [[g.IF, [g.GOOD, 0], [[g.SET, 1, 1]], [change]]],
        [[g.SET_AT, 0, 2, 0, 0]],
        [[g.ACT, 1, 1, 0]],
    ):
        found = []
        body = [[g.IF, [g.ABOVE, R0, 0], [*middle, [g.SET, 1, [g.DIVIDE, 9, R0]]]]]
        Bounds([Range(0, 1)], [Range(0, 9), Range(-9, 9)], found.append).body(body, {})

        assert "rules-division" in [problem.code for problem in found], middle
    found = []
    more = [g.ADD, R0, 1]
    body = [[g.IF, [g.ABOVE, more, 5], [[g.SET, 0, 0], [g.SET, 1, [g.DIVIDE, 9, [g.SUBTRACT, more, 1]]]]]]
    Bounds([Range(0, 1)], [Range(0, 9), Range(-9, 9)], found.append).body(body, {})
    assert ["rules-division"] == [problem.code for problem in found]
    found = []
    body = [[g.IF, [g.ABOVE, R0, 0], [[g.SET, 1, [g.DIVIDE, 9, R0]]]]]
    Bounds([Range(0, 1)], [Range(0, 9), Range(-9, 9)], found.append).body(body, {})
    assert found == []


def test_an_index_is_proved_or_refused():
    """Reading and writing by index needs an index inside the registers it chooses from."""
    for index, is_fine in (
        (B, False),
        ([g.REMAINDER, B, 3], True),
        ([g.REMAINDER, A, 3], False),
        ([g.REMAINDER, B, 4], False),
    ):
        found = []
        bounds = Bounds([Range(-5, 5), Range(0, 10)], [Range(0, 9)] * 3, found.append)
        bounds.body([[g.SET_AT, 0, 3, index, 1], [g.SET, 0, [g.READ_AT, 0, 3, index]]], {})

        assert ([] if is_fine else ["rules-index"] * 2) == [problem.code for problem in found]


def looked_at(tree):
    """Return how many operations the analysis of a tree looks at; it is stopped where that grows with the paths."""
    honest, count = Bounds._operation, 0

    def counted(self, tree, facts):
        nonlocal count
        count += 1
        assert count <= 8 * NESTED, "trees are looked at again and again"
        return honest(self, tree, facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bounds, "_operation", counted)
        bounds = Bounds([Range(-5, 5)], [], lambda problem: None)
        first = bounds.number(tree, {})
        assert bounds.number(tree, {}) == first == Range(1, 5)
    return count


def test_each_tree_is_looked_at_once_in_each_context():
    """Ten trees, each made of the one before in two or more places: the work grows with their number, not with the paths."""
    for grown in (
        lambda tree: [g.CHOOSE, [g.ABOVE, tree, 3], tree, 1],
        lambda tree: [g.CHOOSE, [g.NOT, [g.AND, [g.ABOVE, tree, 0], [g.BELOW, tree, 9]]], 1, tree],
        lambda tree: [g.LEAST, [g.GREATEST, tree, 1], tree],
    ):
        tree = [g.GREATEST, A, 1]
        for _ in range(NESTED):
            tree = grown(tree)

        assert looked_at(tree) >= NESTED


def test_what_was_seen_in_another_context_is_looked_at_again():
    """A divisor that a condition made sure of is no divisor that may be used before it."""
    tree = [g.DIVIDE, 100, B]
    found = []
    bounds = Bounds([Range(-5, 5), Range(0, 10)], [], found.append)

    assert bounds.number([g.CHOOSE, [g.ABOVE, B, 4], tree, 0], {}) == Range(0, 20)
    assert found == []
    assert bounds.number(tree, {}).high == 100
    assert [problem.code for problem in found] == ["rules-division"]
