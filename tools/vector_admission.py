"""Cases for the golden vectors of a board that becomes a device: announcement, admission, and what gateway and office say of them."""

from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from protocol.errors import MALFORMED, TOO_LARGE, VERSION
from tools import vector_reference as reference

SECRET = bytes(range(16))
_AAD = b"outstation announcement v1"
_KEY, _OTHER = bytes(range(32)), bytes(range(32, 64))
_ROOT = bytes(60)
_FIELDS: dict[str, Any] = {
    "device": reference.DEVICE,
    "seal_keys": [_KEY, _OTHER],
    "ratchets": [_OTHER, _KEY],
    "downlink": _KEY,
    "kid": b"\x01\x02\x03\x04",
    "secret": SECRET[::-1],
    "roots": [_ROOT],
    "schema": b"schema",
    "bundle": b"bundle",
    "settings": [["kind", "sensor"], ["sample_ms", 36000], ["class", ["office", "site"]], ["cohort", ""]],
}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    text = _admission({})
    key = reference.mac(SECRET, b"admit")[:16]
    sealed = AESCCM(key, tag_length=8).encrypt(bytes(13), text, b"outstation admission v1" + reference.DEVICE)
    return {
        "admission.json": {
            "source": "SPEC.md section 15",
            "accept": _accept(),
            "reject": _reject(),
            "sealed": [{"name": "an admission", "secret": SECRET, "hex": sealed, "opened": text}],
        }
    }


def _announcement(payload: Any) -> bytes:
    return reference.mac0(4, _AAD, reference.cbor(payload), reference.mac(SECRET, b"announce"), 8)


def _admission(changes: dict[str, Any], version: Any = 1) -> bytes:
    return reference.cbor([version, *{**_FIELDS, **changes}.values()])


def _accept() -> list[dict]:
    said = {
        "a board": [reference.DEVICE, "esp32_generic"],
        "the longest name": [reference.DEVICE, "h" * 64],
    }
    announced = [
        {
            "name": name,
            "rule": "announcement",
            "fields": fields,
            "secret": SECRET,
            "hex": _announcement([1, *fields]),
        }
        for name, fields in said.items()
    ]
    changed: dict[str, dict] = {
        "an admission": {},
        "no roots and no settings": {"roots": [], "settings": []},
        "as much as there may be": {
            "kid": bytes(7),
            "roots": [_ROOT] * 4,
            "schema": bytes(4096),
            "bundle": bytes(4096),
            "settings": [["n" * 8, -5]] * 24,
        },
    }
    admitted = [
        {"name": name, "rule": "admission", "fields": {**_FIELDS, **one}, "hex": _admission(one)}
        for name, one in changed.items()
    ]
    return [*announced, *admitted, *_said_accepted()]


def _said_accepted() -> list[dict]:
    waits, gets = [reference.DEVICE], [reference.DEVICE[::-1], bytes(300)]
    cases: list[tuple[str, str, list]] = [
        ("none", "announcements", []),
        ("as many as there may be", "announcements", [b"a" * 128] * 16),
        ("none", "admissions", []),
        ("one that waits, one that is admitted", "admissions", [waits, gets]),
    ]
    return [
        {"name": name, "rule": rule, "fields": fields, "hex": reference.cbor(fields)}
        for name, rule, fields in cases
    ]


def _reject() -> list[dict]:
    device = reference.DEVICE
    payloads: list[tuple[str, Any, int]] = [
        ("no payload items", [], MALFORMED),
        ("another version", [2, device, "h"], VERSION),
        ("a short identity", [1, device[1:], "h"], MALFORMED),
        ("no name", [1, device, ""], MALFORMED),
        ("a name that is no text", [1, device, b"h"], MALFORMED),
        ("a name that is too long", [1, device, "h" * 65], MALFORMED),
        ("one item more", [1, device, "h", 0], MALFORMED),
    ]
    announced = [
        {
            "name": name,
            "rule": "announcement",
            "hex": _announcement(payload),
            "code": code,
            "shape": True,
        }
        for name, payload, code in payloads
    ]
    return [*announced, *_admissions_refused(), *_said_refused()]


def _admissions_refused() -> list[dict]:
    changes: list[tuple[str, dict]] = [
        ("a short identity", {"device": bytes(7)}),
        ("one seal key", {"seal_keys": [_KEY]}),
        ("a short seal key", {"seal_keys": [_KEY, _KEY[1:]]}),
        ("three ratchets", {"ratchets": [_KEY] * 3}),
        ("a downlink key that is text", {"downlink": "key"}),
        ("no kid", {"kid": b""}),
        ("a kid of 8 bytes", {"kid": bytes(8)}),
        ("a long link secret", {"secret": bytes(17)}),
        ("five roots", {"roots": [_ROOT] * 5}),
        ("a short root", {"roots": [_ROOT[1:]]}),
        ("no schema", {"schema": b""}),
        ("rules that are too long", {"bundle": bytes(4097)}),
        ("a setting without a value", {"settings": [["kind"]]}),
        ("a setting without a name", {"settings": [["", 1]]}),
        ("a setting that is true", {"settings": [["kind", True]]}),
        ("a setting of no texts", {"settings": [["class", []]]}),
        ("25 settings", {"settings": [["a", 1]] * 25}),
    ]
    refused = [
        {"name": name, "rule": "admission", "hex": _admission(one), "code": MALFORMED, "shape": True}
        for name, one in changes
    ]
    other = {
        "name": "another version",
        "rule": "admission",
        "hex": _admission({}, 2),
        "code": VERSION,
        "shape": True,
    }
    return [*refused, other]


def _said_refused() -> list[dict]:
    device = reference.DEVICE
    cases: list[tuple[str, str, Any, int]] = [
        ("no array", "announcements", {}, MALFORMED),
        ("17 of them", "announcements", [b"a"] * 17, TOO_LARGE),
        ("one that is empty", "announcements", [b""], MALFORMED),
        ("one that is too long", "announcements", [bytes(129)], MALFORMED),
        ("no array", "admissions", 1, MALFORMED),
        ("17 of them", "admissions", [[device]] * 17, TOO_LARGE),
        ("a short identity", "admissions", [[device[1:]]], MALFORMED),
        ("one that is too short", "admissions", [[device, bytes(8)]], MALFORMED),
        ("one that is too long", "admissions", [[device, bytes(10241)]], MALFORMED),
        ("none in place of one", "admissions", [[device, None]], MALFORMED),
        ("one item more", "admissions", [[device, bytes(9), 1]], MALFORMED),
    ]
    return [
        {"name": name, "rule": rule, "hex": reference.cbor(value), "code": code, "shape": True}
        for name, rule, value, code in cases
    ]
