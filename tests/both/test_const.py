"""protocol._const gives the same values on both runtimes."""

from protocol._const import const

_FOLDED = const(64)


def test_const_returns_the_value_it_wraps():
    """A wrapped constant is that constant."""
    assert _FOLDED == 64
    assert const(1 + 1) == 2
