"""What an item that was decoded must be: the tests that every reader shares, and tests made of tests.

True and false are no numbers here, although Python says that they are 1 and 0: CBOR tells them apart, and so must all of us.

Source: wire.cddl.
"""

from protocol.limits import natural_max


def is_int(value) -> bool:
    """Say whether value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_uint(value) -> bool:
    """Say whether value is a whole number that is not negative: `uint` of the grammar."""
    return is_int(value) and value >= 0


def is_within(value, least: int, most: int) -> bool:
    """Say whether value is a whole number of least .. most."""
    # As is_int, whose answer a bool would spoil: asked for each number of whatever is read.
    return type(value) is int and least <= value <= most


def is_natural(value, most: int = natural_max) -> bool:
    """Say whether value is a whole number of 0 .. most."""
    return type(value) is int and 0 <= value <= most


def is_bytes(value, length: int) -> bool:
    """Say whether value is a byte string of that length."""
    return isinstance(value, bytes) and len(value) == length


def is_digest(value) -> bool:
    """Say whether value has the form of a SHA-256."""
    return is_bytes(value, 32)


def upto(most: int, least: int = 0):
    """Return the test for a whole number of least .. most."""
    return lambda value: is_within(value, least, most)


def or_null(test):
    """Return the test for null or what passes a test."""
    return lambda value: value is None or test(value)


def list_of(test):
    """Return the test for a list of any length, each entry of which passes a test."""
    return lambda value: isinstance(value, list) and all([test(item) for item in value])


def row_of(*shape):
    """Return the test for a list of exactly so many entries, each of which passes its own test."""
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(shape)
        and all([shape[i](value[i]) for i in range(len(shape))])
    )
