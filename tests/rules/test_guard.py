"""Promises of rules/guard.py: the whole matrix against a table of reasons."""

from itertools import product

import pytest

from rules import guard
from rules.bundle import Gate
from rules.grammar import GATE_SHADOW, NEEDS_LINK, NEEDS_TIME, ON, SHADOW

GAP = 100
AGE_MAX = 50


def reasons(value, last, now, good, ages, flags, gate_flags, mode):
    """Return every reason against a request, in the order in which they are named."""
    return [
        verdict
        for verdict, holds in (
            (guard.OUT_OF_RANGE, value not in range(-5, 6)),
            (guard.QUALITY, not good & 1),
            (guard.AGE, ages[1] == -1 or ages[1] > AGE_MAX),
            (guard.TIME, bool(gate_flags & NEEDS_TIME) and not flags & guard.TRUSTED_TIME),
            (guard.OFFLINE, bool(gate_flags & NEEDS_LINK) and not flags & guard.ONLINE),
            (guard.TOO_SOON, last is not None and now < last + GAP),
            (guard.SHADOWED, mode == SHADOW or bool(gate_flags & GATE_SHADOW)),
        )
        if holds
    ]


def cells():
    """Return every combination of value, last time, quality, ages, flags, gate's flags and mode."""
    return product(
        (-6, -5, 0, 5, 6),
        (None, 900, 901, 1000),
        (0b00, 0b01, 0b10, 0b11),
        ((0, 0), (3, AGE_MAX), (0, AGE_MAX + 1), (0, -1), (-1, 0)),
        range(4),
        range(8),
        (SHADOW, ON),
    )


def wrong_cells(decide):
    """Return how many cells of the matrix decide answers otherwise than the table of reasons."""
    wrong = 0
    for value, last, good, ages, flags, gate_flags, mode in cells():
        gate = Gate([1, -5, 5, GAP, 0b01, 0b10, AGE_MAX, gate_flags, 0])
        against = reasons(value, last, 1000, good, ages, flags, gate_flags, mode)
        expected = against[0] if against else guard.ALLOWED
        wrong += decide(gate, value, last, 1000, good, ages, flags, mode) != expected
    return wrong


def test_the_gate_gives_the_first_reason_against_a_request_and_allows_only_without_any():
    """In each of 25,600 cells the verdict is the first reason in order, and allowed only where there is none."""
    assert wrong_cells(guard.verdict) == 0


def test_an_action_without_a_gate_is_refused_always():
    """Nothing moves that the bundle does not bound."""
    for value, last, good, ages, flags, _, mode in cells():
        assert guard.verdict(None, value, last, 1000, good, ages, flags, mode) == guard.NO_GATE


@pytest.mark.canary
@pytest.mark.parametrize(
    "forgotten",
    [guard.OUT_OF_RANGE, guard.QUALITY, guard.AGE, guard.TIME, guard.OFFLINE, guard.TOO_SOON, guard.SHADOWED],
)
def test_matrix_catches_a_gate_that_forgets_one_reason(forgotten):
    """A gate that lets one reason pass is found by the matrix."""

    def careless(*request):
        verdict = guard.verdict(*request)
        return guard.ALLOWED if verdict == forgotten else verdict

    assert wrong_cells(careless) > 0


@pytest.mark.canary
def test_matrix_catches_a_gap_that_is_one_tick_short():
    """Off by one in the gap is found by the matrix."""

    def hasty(gate, value, last, *rest):
        return guard.verdict(gate, value, last - 1 if last else last, *rest)

    assert wrong_cells(hasty) > 0
