"""Cases for the golden vectors of attestation events."""

from typing import Any

from protocol.errors import MALFORMED
from tools import vector_reference as reference

_IMAGE, _AGENT, _BUNDLE = (bytes([n]) * 32 for n in (1, 2, 3))
_CLAIMS: dict[int, Any] = {259: b"unix", 263: 0, 267: 7, -65537: _IMAGE, -65539: _BUNDLE, -65540: 1}

_CASES = {
    "the image's own agent": _CLAIMS,
    "a released agent": {**_CLAIMS, -65538: _AGENT},
    "the longest name, debugging off for good": {**_CLAIMS, 259: b"m" * 32, 263: 4},
    "a claim of a later version": {**_CLAIMS, 270: "name", -65541: [_AGENT]},
}
_ROOTS = {
    "one root": {**_CLAIMS, -65542: bytes(8)},
    "four roots": {**_CLAIMS, -65542: bytes(range(32))},
}
_BAD: dict[int, tuple] = {
    259: (b"", b"m" * 33, "unix"),
    263: (-1, 5, None),
    267: (-1, b""),
    -65537: (_IMAGE[1:], None),
    -65538: (_IMAGE[1:], None),
    -65539: (_BUNDLE + b"\0", 1),
    -65540: (-1, "1"),
}
_BAD_ROOTS: dict[int, tuple] = {-65542: (b"", bytes(7), bytes(40), None)}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    source = "SPEC.md section 4.8"
    return {
        "attestation.json": {"source": source, "accept": _accept(_CASES), "reject": _reject()},
        # Claims that came after the others were frozen.
        "attestation_roots.json": {"source": source, "accept": _accept(_ROOTS), "reject": _bad(_BAD_ROOTS)},
    }


def _accept(cases: dict[str, dict]) -> list[dict]:
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
    cases: list[tuple[str, list]] = [(f"claim {key} is missing", [_without(key)]) for key in _CLAIMS]
    cases += [("no claims", []), ("claims that are a list", [[1]]), ("a field too many", [_CLAIMS, 0])]
    return _bad(_BAD) + _refused(cases)


def _bad(claims: dict[int, tuple]) -> list[dict]:
    return _refused(
        [
            (f"claim {key} is {value!r:.20}", [{**_CLAIMS, key: value}])
            for key, values in claims.items()
            for value in values
        ]
    )


def _refused(cases: list[tuple[str, list]]) -> list[dict]:
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
