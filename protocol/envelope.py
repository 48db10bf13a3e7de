"""COSE_Sign1 with HSS/LMS: what the office signs, and who may follow whom as its signer.

The payload is always there: of a release it is the digest of the manifest, so that a signature is whole by itself and
several may stand over one manifest. The key identifier is a hint which root to try; only the signature convinces.

Source: SPEC.md sections 12.1 and 12.5; RFC 9052 section 4; RFC 8778.
"""

import hashlib

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, ROLLBACK, SEAL, SIGNER, TOO_LARGE, VERSION, ProtocolError
from protocol.limits import envelope_bytes_max
from protocol.lms import PUBLIC_BYTES, check_public, verify
from protocol.shape import is_bytes, is_int, is_uint

_PROTECTED = b"\xa1\x01\x38\x2d"  # { 1: -46 }, HSS-LMS
_KID = 4
KEY_ID_BYTES = 8

RELEASE = b"outstation release v1"
ROOT = b"outstation root v1"


class Envelope:
    """A parsed COSE_Sign1. key_id: 8 bytes, of the root that is said to have signed; payload: what was signed."""

    __slots__ = ("raw", "key_id", "payload", "signature")

    def __init__(self, raw, key_id, payload, signature):
        self.raw = raw
        self.key_id = key_id
        self.payload = payload
        self.signature = signature

    def verify(self, public: bytes, purpose: bytes) -> None:
        """Check the signature. public: 60 bytes; purpose: RELEASE or ROOT. Raises ProtocolError(SEAL)."""
        if not verify(public, signed_bytes(purpose, self.payload), self.signature):
            raise ProtocolError(SEAL, "the signature of {} does not fit".format(purpose.decode()))


class Succession:
    """Fields of a succession: whoever trusts the key of predecessor (8 bytes) may trust public (60 bytes) in its place."""

    __slots__ = ("predecessor", "public", "made_ms")

    def __init__(self, predecessor, public, made_ms):
        self.predecessor = predecessor
        self.public = public
        self.made_ms = made_ms


def key_id(public: bytes) -> bytes:
    """Return the 8 bytes that name a public key."""
    return hashlib.sha256(public).digest()[:KEY_ID_BYTES]


def signed_bytes(purpose: bytes, payload: bytes) -> bytes:
    """Return what a signature is over: the Sig_structure of RFC 9052 section 4.4, purpose as external_aad."""
    return dumps(["Signature1", _PROTECTED, purpose, payload])


def encode_envelope(signer: bytes, payload: bytes, signature: bytes) -> bytes:
    """Return a COSE_Sign1. signer: key_id of the public key; signature: over signed_bytes(purpose, payload)."""
    return dumps([_PROTECTED, {_KID: signer}, payload, signature])


def parse_envelope(raw: bytes) -> Envelope:
    """Return the Envelope, its signature not yet checked. Raises ProtocolError, never anything else."""
    if len(raw) > envelope_bytes_max:
        text = "signature of {} bytes exceeds envelope_bytes_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(len(raw), envelope_bytes_max))
    items = loads(raw)
    if not isinstance(items, list) or len(items) != 4 or items[0] != _PROTECTED:
        raise ProtocolError(MALFORMED, "not a COSE_Sign1 with HSS-LMS")
    hint = items[1]
    if not isinstance(hint, dict) or len(hint) != 1 or not is_bytes(hint.get(_KID), KEY_ID_BYTES):
        raise ProtocolError(
            MALFORMED, "the key identifier of a signature is not {} bytes".format(KEY_ID_BYTES)
        )
    if not isinstance(items[2], bytes) or not isinstance(items[3], bytes):
        raise ProtocolError(MALFORMED, "payload or signature of a COSE_Sign1 is not a byte string")
    return Envelope(raw, hint[_KID], items[2], items[3])


def encode_succession(succession: Succession) -> bytes:
    """Return the payload of an envelope of purpose ROOT."""
    return dumps([1, succession.predecessor, succession.public, succession.made_ms])


def check_succession(raw: bytes, public: bytes) -> Succession:
    """Return who follows the root public (60 bytes), as that root itself signed it. Raises ProtocolError."""
    envelope = parse_envelope(raw)
    envelope.verify(public, ROOT)
    succession = _parse_succession(envelope.payload)
    if succession.predecessor != key_id(public):
        raise ProtocolError(SEAL, "succession names another predecessor than the key that signed it")
    return succession


def check_replacement(raw: bytes, roots: list) -> Succession:
    """Return who follows one of the roots held (public keys, 60 bytes each), as one of them signed it.

    Raises ProtocolError with the code of the first check of SPEC.md section 12.5 that fails; never anything else.
    """
    envelope = parse_envelope(raw)
    held = {}
    for public in roots:
        held[key_id(public)] = public
    if envelope.key_id not in held:
        raise ProtocolError(SIGNER, "no root held here signed the replacement")
    envelope.verify(held[envelope.key_id], ROOT)
    succession = _parse_succession(envelope.payload)
    if succession.predecessor not in held:
        raise ProtocolError(ROLLBACK, "the replacement is of a root that is not held, or not any more")
    is_held = key_id(succession.public) in held
    if is_held and (len(held) < 3 or key_id(succession.public) == succession.predecessor):
        raise ProtocolError(SIGNER, "the replacement names a root that is held already")
    return succession


def _parse_succession(payload: bytes) -> Succession:
    items = loads(payload)
    if not isinstance(items, list) or not items or not is_int(items[0]):
        raise ProtocolError(MALFORMED, "succession has no version")
    if items[0] != 1:
        raise ProtocolError(VERSION, "succession version {} is not 1".format(items[0]))
    shaped = len(items) == 4 and is_bytes(items[1], KEY_ID_BYTES) and is_bytes(items[2], PUBLIC_BYTES)
    if not shaped or not is_uint(items[3]):
        raise ProtocolError(MALFORMED, "succession is not the four items of version 1")
    check_public(items[2])
    return Succession(items[1], items[2], items[3])
