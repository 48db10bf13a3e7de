"""Cases for the golden vectors of view keys in an uplink answer."""

from typing import Any

from protocol.errors import MALFORMED, TOO_LARGE
from tools import vector_reference as reference

_RULE = "uplink_answer"
_VIEWS = 9
_KEY = bytes(range(32))
_LAST = 0xFFFFFFFF


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {"views.json": {"source": "SPEC.md section 7", "accept": _accept(), "reject": _reject()}}


def _accept() -> list[dict]:
    device = reference.DEVICE
    cases: dict[str, list] = {
        "three periods, one of them not to be read": [[device, 4, [_KEY, None, _KEY[::-1]]]],
        "nothing to be read any more": [[device, 0, []]],
        "the last period": [[device, _LAST, [_KEY]]],
        "two devices": [[device, 0, [_KEY]], [device[::-1], 7, [_KEY]]],
        "as many keys as there may be": [[device, 0, [_KEY] * 32]],
    }
    return [
        {
            "name": name,
            "rule": _RULE,
            "fields": {**reference.NO_ANSWER, "views": views},
            "hex": reference.uplink_answer(_VIEWS, views),
        }
        for name, views in cases.items()
    ]


def _reject() -> list[dict]:
    device = reference.DEVICE
    cases: list[tuple] = [
        ("none", [], MALFORMED, True),
        ("no array", device, MALFORMED, True),
        ("two items", [[device, 0]], MALFORMED, True),
        ("four items", [[device, 0, [_KEY], 1]], MALFORMED, True),
        ("a short identity", [[bytes(7), 0, [_KEY]]], MALFORMED, True),
        ("a period below zero", [[device, -1, [_KEY]]], MALFORMED, True),
        ("a period that is none", [[device, 1 << 32, [_KEY]]], MALFORMED, True),
        # The grammar has no sums.
        ("a period after the last", [[device, _LAST, [_KEY, _KEY]]], MALFORMED, False),
        ("a key of 31 bytes", [[device, 0, [_KEY[1:]]]], MALFORMED, True),
        ("a key that is text", [[device, 0, ["key"]]], MALFORMED, True),
        ("one key more than there may be", [[device, 0, [_KEY] * 33]], MALFORMED, True),
        ("one device more than there may be", [[device, 0, []]] * 257, TOO_LARGE, True),
    ]
    return [
        {
            "name": name,
            "rule": _RULE,
            "hex": reference.uplink_answer(_VIEWS, views),
            "code": code,
            "shape": shape,
        }
        for name, views, code, shape in cases
    ]
