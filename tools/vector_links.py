"""Cases for the golden vectors of links in an uplink answer."""

from hashlib import sha256
from typing import Any

from protocol.errors import MALFORMED
from tools import vector_reference as reference

_RULE = "uplink_answer"
_LINKS = 11
_KID = bytes(range(4))
_SECRET = bytes(range(16))
_DEVICE = reference.DEVICE
_OTHER = _DEVICE[::-1]


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    held = {"source": "SPEC.md section 7", "accept": _accept(), "marks": _marks(), "reject": _reject()}
    return {"links.json": held}


def _mark(entries: list) -> bytes:
    return sha256(b"outstation links v1\0" + reference.cbor(sorted(entries))).digest()[:8]


def _accept() -> list[dict]:
    one, other = [_DEVICE, _KID, _SECRET], [_OTHER, b"\x01", _SECRET[::-1]]
    second = [_DEVICE, _KID[::-1], _SECRET[::-1]]
    cases: dict[str, list] = {
        "a whole set": [_mark([one, other]), None, [one, other], []],
        "a whole set of none": [_mark([]), None, [], []],
        "a difference": [_mark([one]), _mark([other]), [one], [_OTHER]],
        "two secrets of one device": [_mark([one, second]), _mark([one]), [one, second], []],
        "a secret that only the gateway has": [_mark([[_DEVICE]]), None, [[_DEVICE]], []],
        "the longest kid": [_mark([[_DEVICE, bytes(7), _SECRET]]), None, [[_DEVICE, bytes(7), _SECRET]], []],
    }
    return [
        {
            "name": name,
            "rule": _RULE,
            "fields": {**reference.NO_ANSWER, "links": links},
            "hex": reference.uplink_answer(_LINKS, links),
        }
        for name, links in cases.items()
    ]


def _marks() -> list[dict]:
    one, other = [_DEVICE, _KID, _SECRET], [_OTHER]
    cases = {"none": [], "one": [one], "two, in order": sorted([one, other])}
    return [{"name": name, "links": entries, "mark": _mark(entries)} for name, entries in cases.items()]


def _reject() -> list[dict]:
    one, mark = [_DEVICE, _KID, _SECRET], bytes(8)
    kids = [[_DEVICE, bytes([at]), _SECRET] for at in range(3)]
    cases: list[tuple] = [
        ("no array", _DEVICE, True),
        ("three items", [mark, None, [one]], True),
        ("five items", [mark, None, [one], [], 1], True),
        ("a short mark", [mark[1:], None, [one], []], True),
        ("a base of 7 bytes", [mark, mark[1:], [one], []], True),
        ("a base that is a number", [mark, 0, [one], []], True),
        ("links that are none", [mark, None, None, []], True),
        ("gone devices that are none", [mark, None, [one], None], True),
        ("a short identity", [mark, None, [[_DEVICE[1:], _KID, _SECRET]], []], True),
        ("an empty kid", [mark, None, [[_DEVICE, b"", _SECRET]], []], True),
        ("a kid of 8 bytes", [mark, None, [[_DEVICE, bytes(8), _SECRET]], []], True),
        ("a secret of 15 bytes", [mark, None, [[_DEVICE, _KID, _SECRET[1:]]], []], True),
        ("a secret that is text", [mark, None, [[_DEVICE, _KID, "secret"]], []], True),
        ("a kid without its secret", [mark, None, [[_DEVICE, _KID]], []], True),
        ("a short identity that is gone", [mark, mark, [], [_DEVICE[1:]]], True),
        # The grammar compares no two entries.
        ("the same kid twice", [mark, None, [one, one], []], False),
        ("three secrets of one device", [mark, None, kids, []], False),
        ("a secret beside none", [mark, None, [one, [_DEVICE]], []], False),
        ("a device that is there and gone", [mark, mark, [one], [_DEVICE]], False),
    ]
    return [
        {
            "name": name,
            "rule": _RULE,
            "hex": reference.uplink_answer(_LINKS, links),
            "code": MALFORMED,
            "shape": shape,
        }
        for name, links, shape in cases
    ]
