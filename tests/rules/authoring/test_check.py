"""Promises of types, units and scales: thresholds mean the same in raw units, and mixing is refused with a way out."""

import random
from fractions import Fraction

import pytest

from tests.rules.authoring.policies import CHANNELS, Desk, codes, evaluate, in_unit, rule_of

COMPARE = {
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}


def test_a_decimal_threshold_means_the_same_in_raw_units():
    """Random decimals of any length on either side, at the values around them: exactly as on fractions."""
    desk, dice = Desk(needs=7), random.Random(11)
    for _ in range(400):
        name = dice.choice(["b", "c"])
        scale, low, high = CHANNELS[name]
        places = dice.randint(1, 6)
        threshold = Fraction(dice.randint(low * 10**places, high * 10**places), 10 ** (places - scale))
        text = f"{float(threshold):.8f}"
        raw = int(threshold / Fraction(10) ** scale)
        operator = dice.choice(list(COMPARE))
        left_first = dice.random() < 0.5
        bundle, found = desk.compile(
            f"{name} {operator} {text}" if left_first else f"{text} {operator} {name}"
        )
        assert bundle, [d.text() for d in found]
        for near in (raw - 1, raw, raw + 1):
            value = max(low, min(high, near))
            row = [0, 0, 0]
            row["abc".index(name)] = value
            sides = (in_unit(name, value), Fraction(text))
            expected = COMPARE[operator](*(sides if left_first else sides[::-1]))

            assert evaluate(bundle, [row]) == [expected], (name, operator, text, value)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("b == 1.25", []),
        ("b == 1.255", ["rules-precision"]),
        ("b in [1.25, 1.5]", []),
        ("b in [1.255]", ["rules-precision"]),
        ("b < 3", ["rules-type"]),
        ("a < 3.0", ["rules-type"]),
        ("b < c", ["rules-unit"]),
        ("b + c > 3.0", ["rules-unit"]),
        ("b * c > 3.0", []),
        ("b * c > b", ["rules-unit"]),
        ("b * 1.5 + 0.001 > 3.0", []),
        ("b / 2.0 > 3.0", ["rules-type"]),
        ("a / 2 > 3", []),
        ("a / 0 > 3", ["rules-division"]),
        ("a && true", ["rules-type"]),
        ("!a", ["rules-type"]),
        ("-(a > 3)", ["rules-type"]),
        ("a ? 1 : 2", ["rules-type"]),
        ("a > 3 ? 1 : 2.0", ["rules-type"]),
        ("a > 3 ? b : c", ["rules-unit"]),
        ("(a > 3) < true", ["rules-type"]),
        ("a in 3", ["rules-type"]),
        ("a in [b]", ["rules-type"]),
        ("a in [a]", ["rules-type"]),
        ("a in []", ["rules-type"]),
        ("[1] == [1]", ["rules-type", "rules-type"]),
        ("'x' == a", ["rules-not-supported"]),
        ("age(a) < 3", ["rules-type"]),
        ('age(a) < duration("3s")', []),
        ('age(a) * 2 < duration("3s") / 2', []),
        ('now / duration("1h") > 3', []),
        ('now + duration("1h") > now', []),
        ("age(3) > now", ["rules-call"]),
        ("good(q)", ["rules-unknown-name"]),
        ("good(a, b)", ["rules-call"]),
        ("good", ["rules-unknown-name"]),
        ("math.least(a, 3) > math.greatest(1, a, 2)", []),
        ("math.least(a) > 1", ["rules-call"]),
        ("math.abs(a > 3) > 1", ["rules-type"]),
        ("math.most(a, 1) > 1", ["rules-unknown-name"]),
        ("a * 100000000 > 1", ["rules-overflow"]),
        ("a > 3000000000", ["rules-overflow"]),
    ],
)
def test_kinds_and_units_go_together_or_are_refused(expression, expected):
    """Each mixture is accepted, or refused with the code that explains it."""
    text = f"({expression}) ? 1 : 0"
    if expected == ["rules-type"] and expression == "a ? 1 : 2":
        text = expression

    assert expected == [code for code in codes(rule_of(text)) if code != "rules-always"]


def test_a_value_finer_than_its_actuator_is_refused():
    """Nothing is rounded silently on its way to an actuator."""
    assert ["rules-precision"] == codes(rule_of("b * 0.0000125", "fine"))
    assert [] == codes(rule_of("b * 0.0125", "fine"))
    assert ["rules-type"] == codes(rule_of("b", "out"))


def test_a_comparison_that_can_only_go_one_way_is_said():
    """A threshold above the sensor's range is a warning at its place; a possible one is none."""
    assert ["rules-always"] == codes(rule_of("b > 100.0"))
    assert ["rules-always"] == codes(rule_of("a <= 50"))
    assert [] == codes(rule_of("b > 99.98"))
