"""`const` for both runtimes: MicroPython folds what it wraps, CPython just returns it."""

try:
    from micropython import const
except ImportError:

    def const(value):  # type: ignore[misc]
        """Return value as it is: only MicroPython's compiler knows the name."""
        return value
