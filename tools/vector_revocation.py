"""Cases for the golden vectors of revoked devices in an uplink answer."""

from typing import Any

from protocol.errors import MALFORMED, TOO_LARGE
from tools import vector_reference as reference

_RULE = "uplink_answer"
_REVOKED = 8


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {"revocation.json": {"source": "SPEC.md section 7", "accept": _accept(), "reject": _reject()}}


def _accept() -> list[dict]:
    cases: dict[str, list] = {
        "one": [reference.DEVICE],
        "as many as there may be": [at.to_bytes(8, "big") for at in range(1024)],
    }
    return [
        {
            "name": name,
            "rule": _RULE,
            "fields": {**reference.NO_ANSWER, "revoked": revoked},
            "hex": reference.uplink_answer(_REVOKED, revoked),
        }
        for name, revoked in cases.items()
    ]


def _reject() -> list[dict]:
    cases: list[tuple] = [
        ("none", [], MALFORMED),
        ("no array", reference.DEVICE, MALFORMED),
        ("seven bytes", [bytes(7)], MALFORMED),
        ("nine bytes", [bytes(9)], MALFORMED),
        ("text", ["device"], MALFORMED),
        ("one more than there may be", [reference.DEVICE] * 1025, TOO_LARGE),
    ]
    return [
        {
            "name": name,
            "rule": _RULE,
            "hex": reference.uplink_answer(_REVOKED, revoked),
            "code": code,
            "shape": True,
        }
        for name, revoked, code in cases
    ]
