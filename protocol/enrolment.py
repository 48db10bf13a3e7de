"""Hosts only: the code that a new gateway is invited with, and what both ends say of the authorities they trust.

The code carries a secret and the beginning of the digest of the office's certificate authority. Whoever has it can be sure of the
office before the secret leaves the machine; whoever listens learns nothing that helps. Source: SPEC.md section 14.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

SECRET_BYTES = 16
PIN_BYTES = 16
_CHECK_BYTES = 2
_CODE_BYTES = SECRET_BYTES + PIN_BYTES + _CHECK_BYTES
_GROUP = 5
# Crockford's: without I, L, O and U, so that a person can read it aloud.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans("ILO", "110")
_BITS = 5
_CHARACTERS = -(-_CODE_BYTES * 8 // _BITS)

AUTHORITIES_PATH = "/v1/authorities"
ENROLMENTS_PATH = "/v1/enrolments"
RENEWALS_PATH = "/v1/renewals"
IDENTITY_PATH = "/v1/identity"
# In requests: what the gateway trusts; in answers: what the office wants it to trust.
AUTHORITIES_HEADER = "Outstation-Authorities"
_MARK_BYTES = 8


class CodeWrong(ValueError):
    """What was typed is no code of an office. Who must act: who typed it."""


class Code(NamedTuple):
    """secret: 16 bytes, known to the new gateway alone; pin: the first 16 bytes of the SHA-256 of the office's authority (DER)."""

    secret: bytes
    pin: bytes

    def text(self) -> str:
        """Return the code as a person carries it: eleven groups of five characters."""
        body = self.secret + self.pin
        number = int.from_bytes(body + _check(body), "big") << (_CHARACTERS * _BITS - _CODE_BYTES * 8)
        shifts = range((_CHARACTERS - 1) * _BITS, -1, -_BITS)
        digits = "".join(_ALPHABET[number >> shift & 31] for shift in shifts)
        return "-".join(digits[at : at + _GROUP] for at in range(0, _CHARACTERS, _GROUP))


def parse_code(text: str) -> Code:
    """Return the code in a text; spaces, dashes and small letters do not matter, and I, L, O are read as 1, 1, 0.

    Raises CodeWrong, which never repeats the text.
    """
    digits = "".join(text.replace("-", " ").split()).upper().translate(_ALIKE)
    if len(digits) != _CHARACTERS:
        raise CodeWrong(f"the code has {len(digits)} characters, not {_CHARACTERS}")
    number = 0
    for digit in digits:
        value = _ALPHABET.find(digit)
        if value < 0:
            raise CodeWrong("the code has a character that no code has")
        number = number << _BITS | value
    spare = _CHARACTERS * _BITS - _CODE_BYTES * 8
    raw = (number >> spare).to_bytes(_CODE_BYTES, "big")
    body = raw[: SECRET_BYTES + PIN_BYTES]
    if number & (1 << spare) - 1 or raw[len(body) :] != _check(body):
        raise CodeWrong("the code is not as it was made: a character is wrong")
    return Code(body[:SECRET_BYTES], body[SECRET_BYTES:])


def code_hash(secret: bytes) -> bytes:
    """Return what the office keeps of a code's secret. It has 128 random bits, so a plain hash is enough."""
    return hashlib.sha256(b"outstation invitation\0" + secret).digest()


def pin_of(authority: bytes) -> bytes:
    """Return the pin of an authority's certificate (DER)."""
    return hashlib.sha256(authority).digest()[:PIN_BYTES]


def authorities_mark(authorities: Iterable[bytes]) -> str:
    """Return 16 hex digits that change with the authorities (DER) to be trusted, the one that issues first."""
    digests = [hashlib.sha256(one).digest() for one in authorities]
    whole = b"".join(digests[:1] + sorted(digests[1:]))
    return hashlib.sha256(whole).digest()[:_MARK_BYTES].hex()


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"outstation code\0" + body).digest()[:_CHECK_BYTES]
