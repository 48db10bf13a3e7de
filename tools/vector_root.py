"""Cases for the golden vectors of a root's replacement: its command, the command's event, and what comes of replacements."""

from typing import Any

from protocol.errors import MALFORMED, ROLLBACK
from tools import vector_reference as reference
from tools.vector_release import replacements

_UNTIL_MS = 1_700_000_060_000
_KEY = reference.mac(reference.DOWNLINK, b"command")
_TOP = (1 << 64) - 1
# name -> (digest of the replacement, number, verdict, outcome)
_ORDERS: dict[str, tuple[bytes, int, int, int | None]] = {
    "a replacement": (bytes(range(32)), 1, 0, None),
    "the lowest digest": (bytes(32), 2, 5, ROLLBACK),
    "the highest digest": (b"\xff" * 32, (1 << 32) - 1, 2, None),
}
_BAD: dict[str, list[Any]] = {
    "an item missing": [5, 1, 2, 3],
    "an item too many": [5, 1, 2, 3, 4, 5],
    "kind alone": [5],
    "a number of 2**64": [5, 1, 2, 3, _TOP + 1],
    "a number below zero": [5, -1, 2, 3, 4],
    "bytes for a number": [5, 1, 2, 3, bytes(8)],
}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "root.json": {
            "source": "SPEC.md sections 5.4 and 12.5",
            "accept": [_sealed(name, digest, number) for name, (digest, number, _, _) in _ORDERS.items()],
            "reject": [_refused(name, demand) for name, demand in _BAD.items()],
            "events": [_event(name, *order) for name, order in _ORDERS.items()],
            "replace": replacements(),
        }
    }


def _demand(digest: bytes) -> list:
    return [5, *(int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16, 24))]


def _command(number: int, demand: list) -> bytes:
    payload = reference.cbor([1, reference.DEVICE, number, _UNTIL_MS, demand])
    return reference.mac0(4, b"outstation command v1", payload, _KEY, 8)


def _sealed(name: str, digest: bytes, number: int) -> dict:
    demand = _demand(digest)
    fields = [reference.DEVICE, number, _UNTIL_MS, demand]
    raw = _command(number, demand)
    return {"name": name, "rule": "command", "digest": digest, "fields": fields, "key": _KEY, "hex": raw}


def _refused(name: str, demand: list) -> dict:
    raw = _command(3, demand)
    return {"name": name, "rule": "command", "hex": raw, "code": MALFORMED, "shape": True}


def _event(name: str, digest: bytes, number: int, verdict: int, outcome: int | None) -> dict:
    listed = [(100, 5000, 12, [number, _demand(digest), verdict, outcome])]
    raw = reference.events(7, listed)
    return {"name": name, "rule": "events", "boot": 7, "events": listed, "hex": raw}
