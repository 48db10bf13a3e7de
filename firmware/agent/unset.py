"""A field into which nothing was put yet, and of which type checkers shall not say that it is always None.

MicroPython has no `typing` to say what will be there.
"""


def unset():
    """Return None."""
    return
