"""Cases for the golden vectors of what came after the first kinds of events: levels, and counts of inputs."""

from typing import Any

from protocol.errors import BODY, MALFORMED
from tools import vector_reference as reference

_COUNTS = {
    "nothing read": [0] * 16,
    "a day at one a minute": [0, 0, 0, 3, 40, 127, 128, 300, 512, 250, 60, 16, 4, 0, 0, 0],
    "all there may be": [(1 << 32) - 1] * 16,
}
_NONE = bytes(16)


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "levels.json": {
            "source": "SPEC.md sections 4.6 and 4.7",
            "accept": _accept(),
            "reject": _reject(),
            "counts": [{"name": name, "counts": c, "hex": _bins(c)} for name, c in _COUNTS.items()],
            "counts_reject": [
                {"name": name, "hex": raw, "code": MALFORMED} for name, raw, _ in _bad_counts()
            ],
            "places": _places(),
        }
    }


def _bins(counts: list[int]) -> bytes:
    return b"".join(reference.uvarint(count) for count in counts)


def _rows() -> dict[str, tuple[int, list]]:
    return {
        "flash is low": (14, [1, 1, 249, 16, 2]),
        "battery is scarce": (14, [2, 2, 100, 31, 4]),
        "enough again": (14, [3, 0, 1000, 0, 1]),
        "a resource and measures of a later version": (14, [200, 1, 0, 1 << 20, 255]),
        "inputs": (15, [7, 12, _bins(_COUNTS["a day at one a minute"])]),
        "inputs of nothing": (15, [0, 0, _NONE]),
        "inputs of the most": (15, [0, (1 << 32) - 1, _bins(_COUNTS["all there may be"])]),
    }


def _accept() -> list[dict]:
    return [
        {
            "name": name,
            "rule": "events",
            "boot": 7,
            "events": [(100, 5000, kind, fields)],
            "hex": reference.events(7, [(100, 5000, kind, fields)]),
        }
        for name, (kind, fields) in _rows().items()
    ]


def _bad_counts() -> list[tuple[str, bytes, bool]]:
    """Return (name, bytes, whether the grammar refuses them too)."""
    return [
        ("fifteen counts", bytes(15), True),
        ("seventeen counts", bytes(17), False),
        ("a count cut off", bytes(15) + b"\x80", False),
        ("a count longer than needed", b"\x80\x00" + bytes(15), False),
        ("a count of 2**32", reference.uvarint(1 << 32) + bytes(15), False),
        ("more bytes than there can be", bytes(81), True),
    ]


_FIELDS = {
    "flash is low": ((0, -1), (1, 3), (1, -1), (2, 1001), (2, -1), (3, -1), (4, 0), (4, 256), (4, None)),
    "inputs": ((0, 8), (0, -1), (1, -1), (1, 1 << 32), (2, "text"), (2, [0] * 16)),
}


def _reject() -> list[dict]:
    cases = []
    for name, changes in _FIELDS.items():
        kind, fields = _rows()[name]
        for at, bad in changes:
            cases.append(
                (f"{name}: field {at} is {bad!r:.20}", kind, [*fields[:at], bad, *fields[at + 1 :]], True)
            )
        cases.append((f"{name}: a field missing", kind, fields[:-1], True))
        cases.append((f"{name}: a field too many", kind, [*fields, 0], True))
    cases += [(f"inputs: {name}", 15, [0, 0, raw], shape) for name, raw, shape in _bad_counts()]
    found = [
        {
            "name": name,
            "rule": "events",
            "hex": reference.cbor([7, 5000, 100, b"", [[0, 0, kind, *fields]]]),
            "count": 1,
            "code": MALFORMED,
            "shape": shape,
        }
        for name, kind, fields, shape in cases
    ]
    two = reference.events(7, [(100, 5000, 14, [1, 1, 9, 16, 2])])
    found.append(
        {
            "name": "a level where two events are named",
            "rule": "events",
            "hex": two,
            "count": 2,
            "code": BODY,
            "shape": False,
        }
    )
    return found


def _places() -> list[dict]:
    """Return in which count a reading belongs, found by looking for the last whose lower edge is not above it."""
    found = []
    for low, high in ((0, 15), (0, 16), (-40_000, 125_000), (7, 7), (-4294967295, 4294967295), (0, 3)):
        for value in sorted({low, low + (high - low) // 3, (low + high) // 2, high}):
            place = next(at for at in range(15, -1, -1) if low * 16 + at * (high - low + 1) <= value * 16)
            found.append({"name": f"{value} of {low}..{high}", "arguments": [value, low, high], "bin": place})
    return found
