"""Cases for the golden vectors of rekey and relink: their commands, the commands' events, and the keys that follow from them."""

from typing import Any

from protocol.errors import MALFORMED
from tools import vector_reference as reference

_UNTIL_MS = 1_700_000_060_000
_KEY = reference.mac(reference.DOWNLINK, b"command")
_DEMANDS = {
    "other keys": (1, [4, 1024, 64, 0x0011223344556677, 0x8899AABBCCDDEEFF]),
    "the lowest numbers": (2, [4, 0, 0, 0, 0]),
    "the highest numbers": ((1 << 32) - 1, [4, (1 << 32) - 1, (1 << 32) - 1, (1 << 64) - 1, (1 << 64) - 1]),
}
_BAD: dict[str, list[Any]] = {
    "an item missing": [4, 1024, 64, 1],
    "an item too many": [4, 1024, 64, 1, 1, 1],
    "kind alone": [4],
    "generation of 2**32": [4, 1 << 32, 64, 1, 1],
    "generation below zero": [4, -1, 64, 1, 1],
    "period of 2**32": [4, 1024, 1 << 32, 1, 1],
    "a half below zero": [4, 1024, 64, -1, 1],
    "bytes for a half": [4, 1024, 64, bytes(8), 1],
}

_RELINKS = {
    "another link": (1, [6, 0x0011223344556677, 0x8899AABBCCDDEEFF]),
    "the lowest numbers": (2, [6, 0, 0]),
    "the highest numbers": ((1 << 32) - 1, [6, (1 << 64) - 1, (1 << 64) - 1]),
}
_BAD_RELINKS: dict[str, list[Any]] = {
    "a half missing": [6, 1],
    "a half too many": [6, 1, 1, 1],
    "kind alone": [6],
    "a half below zero": [6, -1, 1],
    "bytes for a half": [6, bytes(8), 1],
}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "rekey.json": {
            "source": "SPEC.md section 10.1",
            "accept": [_sealed(name, *demand) for name, demand in _DEMANDS.items()],
            "reject": [_refused(name, demand) for name, demand in _BAD.items()],
            "events": [_event(name, *demand) for name, demand in _DEMANDS.items()],
            "keys": [_keys(name, *demand) for name, demand in _DEMANDS.items()],
        },
        "relink.json": {
            "source": "SPEC.md section 10.2",
            "accept": [_sealed(name, *demand) for name, demand in _RELINKS.items()],
            "reject": [_refused(name, demand) for name, demand in _BAD_RELINKS.items()],
            "events": [_event(name, *demand) for name, demand in _RELINKS.items()],
            "links": [_link(name, *demand) for name, demand in _RELINKS.items()],
        },
    }


def _fields(number: int, demand: list) -> list:
    return [1, reference.DEVICE, number, _UNTIL_MS, demand]


def _sealed(name: str, number: int, demand: list) -> dict:
    fields = _fields(number, demand)
    return {"name": name, "rule": "command", "fields": fields[1:], "key": _KEY, "hex": _command(fields)}


def _refused(name: str, demand: list) -> dict:
    return {
        "name": name,
        "rule": "command",
        "hex": _command(_fields(3, demand)),
        "code": MALFORMED,
        "shape": True,
    }


def _command(fields: list) -> bytes:
    return reference.mac0(4, b"outstation command v1", reference.cbor(fields), _KEY, 8)


def _event(name: str, number: int, demand: list) -> dict:
    listed = [(100, 5000, 12, [number, demand, 0, None])]
    return {
        "name": name,
        "rule": "events",
        "boot": 7,
        "events": listed,
        "hex": reference.events(7, listed),
    }


def _keys(name: str, number: int, demand: list) -> dict:
    root = reference.mac(
        reference.mac(reference.DOWNLINK, b"rekey"), reference.cbor([reference.DEVICE, number, demand])
    )
    keys = [reference.mac(root, word) for word in (b"critical", b"routine", b"site", b"office", b"downlink")]
    return {
        "name": name,
        "downlink": reference.DOWNLINK,
        "device": reference.DEVICE,
        "number": number,
        "demand": demand,
        "root": root,
        "keys": keys,
    }


def _link(name: str, number: int, demand: list) -> dict:
    root = reference.mac(
        reference.mac(reference.DOWNLINK, b"link"), reference.cbor([reference.DEVICE, number, demand])
    )
    return {
        "name": name,
        "downlink": reference.DOWNLINK,
        "device": reference.DEVICE,
        "number": number,
        "demand": demand,
        "kid": root[16:20],
        "secret": root[:16],
    }
