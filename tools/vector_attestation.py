"""Cases for the golden vectors of attestation events."""

from typing import Any

from protocol.errors import MALFORMED
from tools import vector_reference as reference

_IMAGE, _AGENT, _BUNDLE = (bytes([n]) * 32 for n in (1, 2, 3))
_CLAIMS = {259: b"unix", 263: 0, 267: 7, -65537: _IMAGE, -65539: _BUNDLE, -65540: 1}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {"attestation.json": {"source": "SPEC.md section 4.8", "accept": _accept(), "reject": _reject()}}


def _accept() -> list[dict]:
    cases = {
        "the image's own agent": _CLAIMS,
        "a released agent": {**_CLAIMS, -65538: _AGENT},
        "the longest name, debugging off for good": {**_CLAIMS, 259: b"m" * 32, 263: 4},
        "a claim of a later version": {**_CLAIMS, 270: "name", -65541: [_AGENT]},
        "one root": {**_CLAIMS, -65542: bytes(8)},
        "four roots": {**_CLAIMS, -65542: bytes(range(32))},
    }
    return [
        {
            "name": name,
            "rule": "events",
            "boot": 7,
            "events": [(100, 5000, 17, [_sorted(claims)])],
            "hex": reference.events(7, [(100, 5000, 17, [_sorted(claims)])]),
        }
        for name, claims in cases.items()
    ]


def _sorted(claims: dict) -> dict:
    return dict(sorted(claims.items(), key=lambda pair: reference.cbor(pair[0])))


def _reject() -> list[dict]:
    bad = {
        259: (b"", b"m" * 33, "unix"),
        263: (-1, 5, None),
        267: (-1, b""),
        -65537: (_IMAGE[1:], None),
        -65538: (_IMAGE[1:], None),
        -65539: (_BUNDLE + b"\0", 1),
        -65540: (-1, "1"),
        -65542: (b"", bytes(7), bytes(40), None),
    }
    cases: list[tuple[str, list]] = [
        (f"claim {key} is {value!r:.20}", [{**_CLAIMS, key: value}])
        for key, values in bad.items()
        for value in values
    ]
    cases += [(f"claim {key} is missing", [_without(key)]) for key in _CLAIMS]
    cases += [("no claims", []), ("claims that are a list", [[1]]), ("a field too many", [_CLAIMS, 0])]
    return [
        {
            "name": name,
            "rule": "events",
            "hex": reference.cbor([7, 5000, 100, b"", [[0, 0, 17, *fields]]]),
            "count": 1,
            "code": MALFORMED,
            "shape": True,
        }
        for name, fields in cases
    ]


def _without(key: int) -> dict:
    return {other: value for other, value in _CLAIMS.items() if other != key}
