"""Promises of rules/value.py, against exact fractions."""

from fractions import Fraction
from math import trunc

import pytest

from rules import interpreter, value
from rules.limits import product_max, value_max

EDGES = sorted(
    {
        sign * (edge + offset)
        for edge in (0, 1, 2, 7, 100, 1 << 30, 1 << 31, value_max, product_max, 1 << 62)
        for offset in (-1, 0, 1)
        for sign in (-1, 1)
    }
)
PAIRS = [(left, right) for left in EDGES for right in EDGES]


@pytest.mark.parametrize(
    "divide", [interpreter.divide_towards_zero, lambda a, b: (value.quotient(a, b), value.remainder(a, b))]
)
def test_division_rounds_towards_zero_and_the_remainder_has_the_sign_of_the_dividend(divide):
    """For every pair at the edges: quotient = fraction without its decimals, remainder = what is left."""
    for left, right in PAIRS:
        if right:
            exact = trunc(Fraction(left, right))

            assert divide(left, right) == (exact, left - exact * right), (left, right)


def test_each_helper_faults_exactly_outside_its_bounds():
    """Stored values, products and indexes: inside they pass unchanged, outside they are the fault of that name."""
    for number in EDGES:
        assert _outcome(value.stored, number) == (number if abs(number) <= value_max else value.FAULT_VALUE)
        assert _outcome(value.position, number, 7) == (number if 0 <= number < 7 else value.FAULT_INDEX)
    for left, right in PAIRS:
        inside = abs(left * right) <= product_max

        assert _outcome(value.product, left, right) == (left * right if inside else value.FAULT_PRODUCT)


def _outcome(function, *parts):
    try:
        return function(*parts)
    except value.RuleFault as fault:
        assert str(fault) == value.FAULT_NAMES[fault.code]
        return fault.code
