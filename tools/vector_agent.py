"""Cases for the golden vectors of an agent: its index, and the manifest that names one."""

import hashlib
from typing import Any

from protocol.errors import MALFORMED, TOO_LARGE, VERSION
from tools import vector_reference as reference
from tools.vector_release import MANIFEST

_RULE = "agent_index"


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "agent.json": {
            "source": "SPEC.md section 12.7",
            "accept": _accept(),
            "reject": _reject(),
            "manifests": _manifests(),
            "manifest_reject": _manifest_reject(),
        }
    }


def _file(path: str, size: int = 900) -> list:
    return [path, hashlib.sha256(path.encode()).digest(), size]


INDEX: list = [1, 6, [_file("agent/__init__.mpy", 20), _file("agent/app.mpy"), _file("agent/links/udp.mpy")]]


def _accept() -> list[dict]:
    longest = "agent/" + "n" * 54 + ".mpy"
    cases: dict[str, list] = {
        "three files": INDEX,
        "one file, as short as can be": [1, 0, [_file("agent/a.mpy", 1)]],
        "as many files as there may be": [1, 255, [_file(f"agent/m{at:03}.mpy", 950) for at in range(128)]],
        "the longest path and the largest file": [1, 6, [_file(longest, 16384)]],
        "as many bytes as there may be": [1, 6, [_file(f"agent/m{at}.mpy", 15360) for at in range(8)]],
    }
    return [
        {"name": name, "rule": _RULE, "fields": fields, "hex": reference.cbor(fields)}
        for name, fields in cases.items()
    ]


_PATHS = (
    "agent/.mpy",
    "agent/app.py",
    "boot.mpy",
    "protocol/cbor.mpy",
    "agent/../main.mpy",
    "agent//app.mpy",
    "/agent/app.mpy",
    "agent/App.mpy",
    "agent/a-b.mpy",
    "agent/" + "n" * 55 + ".mpy",
    "agent/é.mpy",
)


def _reject() -> list[dict]:
    files = INDEX[2]
    cases: list[tuple[str, Any, int, bool]] = [
        ("version 2", [2, 6, files], VERSION, True),
        ("version: null", [None, 6, files], MALFORMED, True),
        ("mpy: 256", [1, 256, files], MALFORMED, True),
        ("mpy: true", [1, True, files], MALFORMED, True),
        ("no files", [1, 6, []], MALFORMED, True),
        ("files: a map", [1, 6, {0: 0}], MALFORMED, True),
        ("129 files", [1, 6, [_file(f"agent/m{at:03}.mpy", 9) for at in range(129)]], TOO_LARGE, True),
        ("an item too many", [*INDEX, None], MALFORMED, True),
        ("an item missing", INDEX[:2], MALFORMED, True),
        ("a map", {0: 1}, MALFORMED, True),
        ("a file without its size", [1, 6, [files[0][:2]]], MALFORMED, True),
        ("a digest of 31 bytes", [1, 6, [["agent/a.mpy", bytes(31), 9]]], MALFORMED, True),
        ("an empty file", [1, 6, [_file("agent/a.mpy", 0)]], MALFORMED, True),
        ("a file of 16385 bytes", [1, 6, [_file("agent/a.mpy", 16385)]], TOO_LARGE, True),
        (
            "122881 bytes together",
            [1, 6, [_file(f"agent/m{at}.mpy", 15360 + (at == 7)) for at in range(8)]],
            TOO_LARGE,
            False,
        ),
        ("paths that fall", [1, 6, files[::-1]], MALFORMED, False),
        ("one path twice", [1, 6, [files[0], files[0]]], MALFORMED, False),
    ]
    found = [
        {"name": name, "rule": _RULE, "hex": reference.cbor(value), "code": code, "shape": shape}
        for name, value, code, shape in cases
    ]
    for path in _PATHS:
        in_grammar = 11 <= len(path.encode()) <= 64
        found.append(
            {"name": f"path {path:.24}", "rule": _RULE, "hex": reference.cbor([1, 6, [_file(path)]])}
            | {"code": MALFORMED, "shape": not in_grammar}
        )
    over = {"name": "a byte after the end", "rule": _RULE, "hex": reference.cbor(INDEX) + b"\0"}
    large = {"name": "8193 bytes", "rule": _RULE, "hex": reference.cbor(bytes(8190))}
    return [*found, over | {"code": MALFORMED, "shape": True}, large | {"code": TOO_LARGE, "shape": True}]


def _part(size: int) -> list:
    return [4, hashlib.sha256(reference.cbor(INDEX)).digest(), size]


def _with(*parts: list) -> list:
    return [*MANIFEST[:8], [*MANIFEST[8], *parts]]


def _manifests() -> list[dict]:
    cases = {"with an agent": _with(_part(8192)), "with an agent alone": [*MANIFEST[:8], [_part(200)]]}
    return [
        {"name": name, "rule": "manifest", "fields": fields, "hex": reference.cbor(fields)}
        for name, fields in cases.items()
    ]


def _manifest_reject() -> list[dict]:
    cases: list[tuple[str, list, int, bool]] = [
        ("two agents", _with(_part(200), _part(200)), MALFORMED, False),
        ("an agent before the rules", [*MANIFEST[:8], [_part(200), *MANIFEST[8]]], MALFORMED, False),
        ("an agent of 8193 bytes", _with(_part(8193)), TOO_LARGE, False),
        ("a part of kind 5", _with([5, bytes(32), 200]), MALFORMED, True),
    ]
    return [
        {"name": name, "rule": "manifest", "hex": reference.cbor(value), "code": code, "shape": shape}
        for name, value, code, shape in cases
    ]
