"""Cases for the golden vectors of releases: signatures, manifests field by field, and every attack on a device.

The signatures are pyhsslms's, a second implementation; its randomizer is made from the seed, so that a file is always the same.
"""

import hashlib
from functools import cache
from typing import Any

from protocol.errors import (
    FORWARD,
    HARDWARE,
    MALFORMED,
    ROLLBACK,
    SCHEMA,
    SEAL,
    SIGNER,
    TARGET,
    TOO_LARGE,
    UNSIGNED,
    VALIDITY,
    VERSION,
)
from tools import vector_reference as reference

_TOP = (1 << 32) - 1
_PROTECTED = bytes.fromhex("a101382d")
_RELEASE = b"outstation release v1"
_ROOT = b"outstation root v1"
_RULES = b"the body of a bundle"
_OTHER = bytes(range(8))
_FROM, _UNTIL = 1_700_000_000_000, 1_702_592_000_000

MANIFEST: list = [
    *(1, 41, [0, [reference.DEVICE]], ["unix", "esp32-s3"], bytes(range(8)), [_FROM, _UNTIL]),
    *(["A. Author", _FROM - 5000, hashlib.sha256(b"policy").digest()], None),
    [[0, hashlib.sha256(_RULES).digest(), len(_RULES)]],
]
_MODEL = [1, hashlib.sha256(b"model").digest(), 5]
_CONFIGURATION = [2, hashlib.sha256(b"configuration").digest(), 13]
STANDING: dict[str, Any] = {
    "device": reference.DEVICE,
    "cohort": "first",
    "kind": "pump",
    "hardware": "unix",
    "schema": bytes(range(32)),
    "floor": 40,
    "roots": ["release", "recovery"],
    "now": [_FROM + 1000, _FROM + 3000],
}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "envelope.json": {
            "source": "SPEC.md sections 12.1 and 12.5",
            "accept": _envelopes(),
            "reject": _envelope_reject(),
            "verify": _envelope_verify(),
        },
        "manifest.json": {
            "source": "SPEC.md sections 12.2 and 12.3",
            "accept": _manifests(),
            "reject": _manifest_reject(),
            "releases": _releases(),
            "release_reject": _release_reject(),
            "check": _check(),
        },
    }


@cache
def _tree(name: str) -> Any:
    from pyhsslms import pyhsslms

    seed = hashlib.sha256(name.encode()).digest()
    kinds = (pyhsslms.lms_sha256_m32_h5, pyhsslms.lmots_sha256_n32_w8)
    return pyhsslms.LmsPrivateKey(*kinds, SEED=seed, I=seed[:16])


def root(name: str) -> bytes:
    """Return the public key of a root of the vectors: "release", "recovery" or "stranger"."""
    return b"\0\0\0\1" + _tree(name).publicKey().serialize()


def sign(name: str, message: bytes) -> bytes:
    """Return a signature by leaf 0 of a root: always the same one, which only vectors may do."""
    from pyhsslms import pyhsslms

    tree = _tree(name)
    one_time = pyhsslms.LmotsPrivateKey(I=tree.I, q=bytes(4), SEED=tree.SEED, lmots_type=tree.lmots_type)
    drawn = pyhsslms.randBytes
    pyhsslms.randBytes = lambda length: hashlib.sha256(tree.SEED + b"randomizer").digest()[:length]
    try:
        made = one_time.sign(message)
    finally:
        pyhsslms.randBytes = drawn
    return bytes(8) + made + tree.lms_type + b"".join(tree.path(32))


def _key_id(name: str) -> bytes:
    return hashlib.sha256(root(name)).digest()[:8]


def sign1(name: str, payload: bytes, aad: bytes = _RELEASE) -> bytes:
    """Return a COSE_Sign1 by a root of the vectors."""
    signature = sign(name, reference.cbor(["Signature1", _PROTECTED, aad, payload]))
    return reference.cbor([_PROTECTED, {4: _key_id(name)}, payload, signature])


def _release(manifest: list, *signers: str) -> bytes:
    raw = reference.cbor(manifest)
    digest = hashlib.sha256(raw).digest()
    return reference.cbor([raw, [sign1(name, digest) for name in signers]])


def _changed(**items: Any) -> list:
    names = ("version", "number", "target", "hardware", "schema", "validity", "provenance", "reset", "parts")
    return list({**dict(zip(names, MANIFEST, strict=True)), **items}.values())


def _bad(rule: str, name: str, raw: bytes, code: int = MALFORMED, shape: bool = True) -> dict:
    return {"name": name, "rule": rule, "hex": raw, "code": code, "shape": shape}


def _succession() -> list:
    return [1, _key_id("release"), root("recovery"), _FROM]


def _envelopes() -> list[dict]:
    digest = hashlib.sha256(reference.cbor(MANIFEST)).digest()
    follows = reference.cbor(_succession())
    cases: list[tuple] = [
        ("signature", "signature of a manifest", "release", digest, _RELEASE),
        ("signature", "signature by the recovery root", "recovery", digest, _RELEASE),
        ("successor", "successor of a root", "release", follows, _ROOT),
    ]
    return [
        {"name": name, "rule": rule, "public": root(by), "purpose": aad, "payload": payload}
        | {"hex": sign1(by, payload, aad)}
        for rule, name, by, payload, aad in cases
    ]


def replacements() -> list[dict]:
    """Return replacements of roots: what is held, and what comes of it."""
    both = ["release", "recovery"]
    follows: list[Any] = [1, _key_id("release"), root("stranger"), _FROM]
    good = sign1("release", reference.cbor(follows), _ROOT)
    by_other = sign1("recovery", reference.cbor(follows), _ROOT)
    of_other = sign1("release", reference.cbor([1, bytes(8), root("stranger"), _FROM]), _ROOT)
    to_held = sign1("release", reference.cbor(_succession()), _ROOT)
    shapes: list[tuple[str, list, int]] = [
        ("version 2", [2, *follows[1:]], VERSION),
        ("three items", follows[:3], MALFORMED),
        ("a public key that is short", [1, follows[1], follows[2][1:], _FROM], MALFORMED),
    ]
    cases: list[tuple] = [
        ("by the root that is replaced", good, both, 0),
        ("by the other root", by_other, both, 0),
        ("the only root", good, ["release"], 0),
        ("no root is held", good, [], SIGNER),
        ("signer not held", by_other, ["release"], SIGNER),
        ("replaced already", by_other, ["recovery"], ROLLBACK),
        ("of a root that nobody holds", of_other, both, ROLLBACK),
        ("a root that is held already", to_held, both, SIGNER),
        ("held once more", good, ["release", "stranger"], SIGNER),
        ("held already, and two are left", good, [*both, "stranger"], 0),
        ("another purpose", sign1("release", reference.cbor(follows), _RELEASE), both, SEAL),
        ("last byte changed", good[:-1] + bytes([good[-1] ^ 1]), both, SEAL),
        ("cut short", good[:-1], both, MALFORMED),
        ("nothing", b"", both, MALFORMED),
    ]
    cases += [
        (name, sign1("release", reference.cbor(items), _ROOT), both, code) for name, items, code in shapes
    ]
    return [
        {"name": name, "hex": raw, "roots": [root(one) for one in held], "code": code}
        for name, raw, held, code in cases
    ]


def _envelope_reject() -> list[dict]:
    payload, key, signature = bytes(32), _key_id("release"), bytes(1296)
    frames: list[tuple[str, Any]] = [
        ("protected: EdDSA", [reference.cbor({1: -8}), {4: key}, payload, signature]),
        ("protected: empty", [b"", {4: key}, payload, signature]),
        ("unprotected: empty", [_PROTECTED, {}, payload, signature]),
        ("unprotected: the algorithm too", [_PROTECTED, {1: -46, 4: key}, payload, signature]),
        ("key identifier: 7 bytes", [_PROTECTED, {4: key[:7]}, payload, signature]),
        ("payload: detached", [_PROTECTED, {4: key}, None, signature]),
        ("signature: text", [_PROTECTED, {4: key}, payload, "signature"]),
        ("three items", [_PROTECTED, {4: key}, payload]),
        ("a map", {1: 1}),
    ]
    found = [_bad("signature", name, reference.cbor(frame)) for name, frame in frames]
    good = reference.cbor([_PROTECTED, {4: key}, payload, signature])
    found.append(_bad("signature", "a byte after the end", good + b"\0"))
    large = reference.cbor([_PROTECTED, {4: key}, payload, bytes(5200)])
    found.append(_bad("signature", "5255 bytes", large, TOO_LARGE, shape=False))
    return found


def _envelope_verify() -> list[dict]:
    payload = hashlib.sha256(b"manifest").digest()
    good = sign1("release", payload)
    ends = bytearray(good)
    ends[-1] ^= 1
    longer = reference.cbor([_PROTECTED, {4: _key_id("release")}, payload, sign("release", b"") + bytes(1)])
    cases: list[tuple] = [
        ("as it was signed", good, "release", 0),
        ("last bit of the signature", bytes(ends), "release", SEAL),
        ("another root", good, "recovery", SEAL),
        ("another purpose", sign1("release", payload, _ROOT), "release", SEAL),
        ("another payload", good.replace(payload, bytes(32)), "release", SEAL),
        ("a signature that is too long", longer, "release", SEAL),
        ("no signature", reference.cbor([_PROTECTED, {4: bytes(8)}, payload, b""]), "release", SEAL),
    ]
    return [{"name": name, "hex": raw, "public": root(by), "code": code} for name, raw, by, code in cases]


def _manifests() -> list[dict]:
    long_name = "n" * 64
    cases: dict[str, list] = {
        "for one device": MANIFEST,
        "for a cohort": _changed(target=[1, "first"]),
        "for a kind": _changed(target=[2, "pump"]),
        "for as many devices as there may be": _changed(target=[0, [bytes([i] * 8) for i in range(32)]]),
        "of the longest integers": _changed(number=_TOP, validity=[0, 1 << 62], reset=[0, _TOP - 1]),
        "of the longest names": _changed(
            target=[1, long_name], hardware=[long_name] * 8, provenance=[long_name, 0, bytes(32)]
        ),
        "with a reset": _changed(reset=[1_000_000, _TOP]),
        "with every kind of part": _changed(parts=[*MANIFEST[8], _MODEL, _MODEL, _CONFIGURATION]),
        "with a part as large as it may be": _changed(parts=[[0, bytes(32), 4096], [1, bytes(32), 16384]]),
        "with a name in another script": _changed(target=[1, "Brücke"]),
    }
    return [
        {"name": name, "rule": "manifest", "fields": fields, "hex": reference.cbor(fields)}
        for name, fields in cases.items()
    ]


def _part(**items: Any) -> list:
    return [list({"kind": 0, "digest": bytes(32), "size": 20, **items}.values())]


_CHANGES: tuple = (
    ("version", {"version": 2}, VERSION, True),
    ("version", {"version": None}, MALFORMED, True),
    ("number", {"number": 1 << 32}, MALFORMED, True),
    ("number", {"number": -1}, MALFORMED, True),
    ("target: no list", {"target": reference.DEVICE}, MALFORMED, True),
    ("target: kind 3", {"target": [3, "pump"]}, MALFORMED, True),
    ("target: no devices", {"target": [0, []]}, MALFORMED, True),
    ("target: 33 devices", {"target": [0, [bytes(8)] * 33]}, TOO_LARGE, True),
    ("target: a short device", {"target": [0, [bytes(7)]]}, MALFORMED, True),
    ("target: no name", {"target": [1, ""]}, MALFORMED, True),
    ("target: a name of 65 bytes", {"target": [2, "n" * 65]}, MALFORMED, True),
    ("target: a name of 66 bytes in 33 letters", {"target": [2, "ü" * 33]}, MALFORMED, True),
    ("hardware: none", {"hardware": []}, MALFORMED, True),
    ("hardware: nine", {"hardware": ["unix"] * 9}, TOO_LARGE, True),
    ("hardware: bytes", {"hardware": [b"unix"]}, MALFORMED, True),
    ("schema", {"schema": bytes(32)}, MALFORMED, True),
    ("validity: one time", {"validity": [0]}, MALFORMED, True),
    ("validity: below zero", {"validity": [-1, 1]}, MALFORMED, True),
    ("validity: never", {"validity": [5, 5]}, MALFORMED, False),
    ("provenance: no author", {"provenance": ["", 0, bytes(32)]}, MALFORMED, True),
    ("provenance: made_ms", {"provenance": ["a", -1, bytes(32)]}, MALFORMED, True),
    ("provenance: source", {"provenance": ["a", 0, bytes(31)]}, MALFORMED, True),
    ("provenance: null", {"provenance": None}, MALFORMED, True),
    ("reset: one floor", {"reset": [1]}, MALFORMED, True),
    ("reset: beyond 32 bits", {"reset": [50, 1 << 32]}, MALFORMED, True),
    ("reset: false", {"reset": False}, MALFORMED, True),
    ("reset: empty", {"reset": [51, 50]}, MALFORMED, False),
    ("reset: its own number", {"reset": [40, 41]}, MALFORMED, False),
    ("parts: none", {"parts": []}, MALFORMED, True),
    ("parts: nine", {"parts": [_MODEL] * 9}, TOO_LARGE, True),
    ("parts: kind 3", {"parts": _part(kind=3)}, MALFORMED, True),
    ("parts: digest", {"parts": _part(digest=bytes(31))}, MALFORMED, True),
    ("parts: empty", {"parts": _part(size=0)}, MALFORMED, True),
    ("parts: rules of 4097 bytes", {"parts": _part(size=4097)}, TOO_LARGE, False),
    ("parts: a model of 16385 bytes", {"parts": _part(kind=1, size=16385)}, TOO_LARGE, True),
    ("parts: two of rules", {"parts": _part() * 2}, MALFORMED, False),
    ("parts: two configurations", {"parts": [_CONFIGURATION] * 2}, MALFORMED, False),
    ("parts: in another order", {"parts": [_MODEL, *_part()]}, MALFORMED, False),
)


def _manifest_reject() -> list[dict]:
    rule = "manifest"
    found = [
        _bad(
            rule, f"{name} {next(iter(items.values()))!r:.24}", reference.cbor(_changed(**items)), code, shape
        )
        for name, items, code, shape in _CHANGES
    ]
    found += [
        _bad(rule, "an item missing", reference.cbor(MANIFEST[:-1])),
        _bad(rule, "an item too many", reference.cbor([*MANIFEST, None])),
        _bad(rule, "a map", reference.cbor({0: 1})),
        _bad(rule, "a byte after the end", reference.cbor(MANIFEST) + b"\0"),
        _bad(rule, "1025 bytes", reference.cbor(bytes(1022)), TOO_LARGE),
    ]
    return found


def _releases() -> list[dict]:
    cases: list[tuple] = [
        ("one signature", _release(MANIFEST, "release")),
        ("two signatures", _release(MANIFEST, "release", "recovery")),
    ]
    return [{"name": name, "rule": "release", "hex": raw} for name, raw in cases]


def _release_reject() -> list[dict]:
    manifest, envelope = reference.cbor(MANIFEST), sign1("release", bytes(32))
    cases: list[tuple] = [
        ("no signature", [manifest, []], UNSIGNED),
        ("three signatures", [manifest, [envelope] * 3], TOO_LARGE),
        ("a signature that is none", [manifest, [b"signature"]], MALFORMED),
        ("signatures: a map", [manifest, {0: 0}], MALFORMED),
        ("a signature as text", [manifest, ["signature"]], MALFORMED),
        ("manifest not in a string", [MANIFEST, [envelope]], MALFORMED),
        ("one item", [manifest], MALFORMED),
        ("a list of nothing", [], MALFORMED),
    ]
    found = [_bad("release", name, reference.cbor(value), code) for name, value, code in cases]
    found.append(_bad("release", "11521 bytes", bytes(11521), TOO_LARGE))
    return found


def _check() -> list[dict]:
    """Each way to deceive a device with a release: the release, what the device is and holds, the reject code."""
    one = _release(MANIFEST, "release")
    two = _release(MANIFEST, "release", "recovery")
    other = hashlib.sha256(reference.cbor(_changed(number=42))).digest()
    swapped = reference.cbor([reference.cbor(MANIFEST), [sign1("release", other)]])
    renamed = one.replace(_key_id("release"), _key_id("recovery"))
    edited = one.replace(b"A. Author", b"B. Author")
    reset = _changed(number=3, reset=[40, _TOP])
    cases: list[tuple] = [
        ("good", one, {}, 0),
        ("good, two signers", two, {}, 0),
        ("good, the number that is confirmed", one, {"floor": 41}, 0),
        ("good, a root and a successor not known yet", two, {"roots": ["release"]}, 0),
        ("good, for a cohort", _release(_changed(target=[1, "first"]), "release"), {}, 0),
        ("good, for a kind", _release(_changed(target=[2, "pump"]), "release"), {}, 0),
        ("good, as far ahead as may be", _release(_changed(number=1040), "release"), {}, 0),
        ("good, a reset of two signers", _release(reset, "release", "recovery"), {}, 0),
        ("unsigned", reference.cbor([reference.cbor(MANIFEST), []]), {}, UNSIGNED),
        ("wrong key", _release(MANIFEST, "stranger"), {}, SIGNER),
        ("wrong key under a right name", renamed, {}, SEAL),
        ("the same signer twice", _release(reset, "release", "release"), {}, UNSIGNED),
        ("a reset of one signer", _release(reset, "release"), {}, UNSIGNED),
        ("a second signature that is false", _spoilt(two), {}, SEAL),
        ("signature of another manifest", swapped, {}, SEAL),
        ("manifest changed after signing", edited, {}, SEAL),
        ("rollback", one, {"floor": 42}, ROLLBACK),
        (
            "a reset played to a floor that it does not name",
            _release(reset, "release", "recovery"),
            {"floor": 39},
            ROLLBACK,
        ),
        (
            "a reset played back after it was adopted",
            _release(reset, "release", "recovery"),
            {"floor": 4},
            ROLLBACK,
        ),
        ("fast-forward", _release(_changed(number=1041), "release"), {}, FORWARD),
        ("fast-forward to the end", _release(_changed(number=_TOP), "release"), {}, FORWARD),
        ("freeze: expired", one, {"now": [_UNTIL - 2000, _UNTIL]}, VALIDITY),
        ("freeze: no trusted time", one, {"now": None}, VALIDITY),
        ("not yet valid", one, {"now": [_FROM - 1, _FROM + 1]}, VALIDITY),
        ("wrong device", one, {"device": _OTHER}, TARGET),
        ("wrong cohort", _release(_changed(target=[1, "first"]), "release"), {"cohort": "second"}, TARGET),
        ("wrong kind", _release(_changed(target=[2, "pump"]), "release"), {"kind": "first"}, TARGET),
        ("wrong hardware", one, {"hardware": "rp2"}, HARDWARE),
        ("wrong schema", one, {"schema": bytes(32)}, SCHEMA),
    ]
    return [
        {"name": name, "hex": raw, "standing": _standing(changes), "code": code}
        for name, raw, changes, code in cases
    ]


def _spoilt(release: bytes) -> bytes:
    bad = bytearray(release)
    bad[-40] ^= 1
    return bytes(bad)


def _standing(changes: dict) -> dict:
    made = {**STANDING, **changes}
    return {**made, "roots": [root(name) for name in made["roots"]]}
