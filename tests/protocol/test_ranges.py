"""Promises of protocol.ranges beyond its vectors."""

from protocol.ranges import Ranges


def test_taking_out_nothing_changes_nothing():
    """An empty or reversed range splits no run in two."""
    ranges = Ranges([(0, 10)])
    ranges.remove(5, 5)
    ranges.remove(7, 3)

    assert ranges.pairs == [(0, 10)]


def test_watermark_starts_where_it_is_asked():
    """The first number at or above the start that is not held."""
    ranges = Ranges([(0, 3), (5, 9)])

    assert [ranges.watermark(start) for start in (0, 3, 4, 5, 9)] == [3, 3, 4, 9, 9]


def test_missing_is_told_lowest_first():
    """What lacks between two numbers, half-open, is what a want asks for."""
    assert Ranges([(2, 4), (6, 7)]).missing(0, 10) == [(0, 2), (4, 6), (7, 10)]
    assert Ranges([(0, 10)]).missing(3, 7) == []
