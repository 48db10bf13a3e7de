"""Cases for the golden vectors of what a gateway says that each device moved."""

from typing import Any

from protocol.errors import MALFORMED, TOO_LARGE
from tools import vector_reference as reference

_ROW = [reference.DEVICE, 20_000, 0, 12_345, 6_789, 40, 41]
_MOST = (1 << 48) - 1


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {"usage.json": {"source": "SPEC.md section 7", "accept": _accept(), "reject": _reject()}}


def _accept() -> list[dict]:
    cases: list[tuple[str, list]] = [
        ("nothing moved", []),
        ("a day over UDP", [_ROW]),
        ("two days, three links", [_ROW, _with(day=20_001, link=1), _with(day=20_001, link=2)]),
        ("a link of a later version", [_with(link=255)]),
        ("the most there may be", [[b"\xff" * 8, (1 << 32) - 1, 2, _MOST, _MOST, _MOST, _MOST]]),
    ]
    return [
        {"name": name, "rule": "usage", "fields": rows, "hex": reference.cbor(rows)} for name, rows in cases
    ]


def _reject() -> list[dict]:
    shaped: list[tuple[str, Any, int]] = [
        ("no array", {}, MALFORMED),
        ("513 rows", [_with(day=day) for day in range(513)], TOO_LARGE),
        ("a short identity", [[reference.DEVICE[1:], *_ROW[1:]]], MALFORMED),
        ("a day that is no day", [_with(day=1 << 32)], MALFORMED),
        ("a day before 1970", [_with(day=-1)], MALFORMED),
        ("a link that is no link", [_with(link=256)], MALFORMED),
        ("a count below zero", [[*_ROW[:6], -1]], MALFORMED),
        ("a count of 2^48", [[*_ROW[:6], _MOST + 1]], MALFORMED),
        ("a count that is true", [[*_ROW[:6], True]], MALFORMED),
        ("a count less", [_ROW[:6]], MALFORMED),
        ("a count more", [[*_ROW, 0]], MALFORMED),
    ]
    # What the grammar cannot say.
    unshaped: list[tuple[str, Any, int]] = [
        ("a row twice", [_ROW, [*_ROW[:6], 42]], MALFORMED),
        ("a count that is too large", [[*_ROW[:6], 1 << 63]], MALFORMED),
    ]
    return [
        {"name": name, "rule": "usage", "hex": reference.cbor(value), "code": code, "shape": value_of_shape}
        for cases, value_of_shape in ((shaped, True), (unshaped, False))
        for name, value, code in cases
    ]


def _with(day: int = 20_000, link: int = 0) -> list:
    return [_ROW[0], day, link, *_ROW[3:]]
