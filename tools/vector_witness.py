"""Cases for the golden vectors of what gateways witness of the leaves that sign."""

import hashlib
from typing import Any

from protocol.errors import MALFORMED, TOO_LARGE
from tools import vector_reference as reference

_ROOT, _OTHER = bytes(range(8)), bytes(range(8, 16))
# Any bytes: what is in an envelope is judged by who looks into it.
_ENVELOPE = b"an envelope"
_SEEN = [_ROOT, 7, hashlib.sha256(_ENVELOPE).digest()[:8]]
_LARGEST = (1 << 32) - 1


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {"witness.json": {"source": "SPEC.md section 7", "accept": _accept(), "reject": _reject()}}


def _accept() -> list[dict]:
    cases: list[tuple[str, str, list]] = [
        ("witness", "nothing seen", [[], []]),
        ("witness", "a leaf of a root", [[_SEEN], []]),
        ("witness", "two roots, one of them shown", [[_SEEN, [_OTHER, 0, bytes(8)]], [_ENVELOPE]]),
        ("witness", "the highest leaf there may be", [[[_ROOT, _LARGEST, b"\xff" * 8]], []]),
        ("witness", "sixteen roots", [[_seen(at) for at in range(16)], [bytes([at]) for at in range(16)]]),
        ("witness_answer", "nothing told, nothing asked", [[], []]),
        ("witness_answer", "an envelope told", [[_ENVELOPE], []]),
        ("witness_answer", "one told, another asked", [[_ENVELOPE], [_OTHER]]),
        ("witness_answer", "the longest envelope", [[b"\x5a" * 5200], []]),
    ]
    return [
        {"name": name, "rule": rule, "fields": fields, "hex": reference.cbor(fields)}
        for rule, name, fields in cases
    ]


def _reject() -> list[dict]:
    shaped: list[tuple[str, str, Any, int]] = [
        ("witness", "no array", {}, MALFORMED),
        ("witness", "one array", [[]], MALFORMED),
        ("witness", "three arrays", [[], [], []], MALFORMED),
        ("witness", "a map of leaves", [{}, []], MALFORMED),
        ("witness", "seventeen roots", [[_seen(at) for at in range(17)], []], TOO_LARGE),
        ("witness", "seventeen shown", [[], [bytes([at]) for at in range(17)]], TOO_LARGE),
        ("witness", "a short root", [[[_ROOT[1:], *_SEEN[1:]]], []], MALFORMED),
        ("witness", "a leaf below zero", [[[_ROOT, -1, bytes(8)]], []], MALFORMED),
        ("witness", "a leaf of 2^32", [[[_ROOT, 1 << 32, bytes(8)]], []], MALFORMED),
        ("witness", "a leaf that is true", [[[_ROOT, True, bytes(8)]], []], MALFORMED),
        ("witness", "a short mark", [[[_ROOT, 7, bytes(7)]], []], MALFORMED),
        ("witness", "no mark", [[_SEEN[:2]], []], MALFORMED),
        ("witness", "an empty envelope", [[], [b""]], MALFORMED),
        ("witness", "an envelope too long", [[], [bytes(5201)]], MALFORMED),
        ("witness_answer", "no array", b"", MALFORMED),
        ("witness_answer", "seventeen told", [[bytes([at]) for at in range(17)], []], TOO_LARGE),
        ("witness_answer", "a text for an envelope", [["told"], []], MALFORMED),
        ("witness_answer", "a long root", [[], [bytes(9)]], MALFORMED),
    ]
    # What the grammar cannot say.
    unshaped: list[tuple[str, str, Any, int]] = [
        ("witness", "a root twice", [[_SEEN, [_ROOT, 8, bytes(8)]], []], MALFORMED),
        ("witness_answer", "asked twice", [[], [_ROOT, _ROOT]], MALFORMED),
    ]
    return [
        {"name": name, "rule": rule, "hex": reference.cbor(value), "code": code, "shape": value_of_shape}
        for cases, value_of_shape in ((shaped, True), (unshaped, False))
        for rule, name, value, code in cases
    ]


def _seen(at: int) -> list:
    return [bytes([at]) * 8, at, bytes(8)]
