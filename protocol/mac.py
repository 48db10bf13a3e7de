"""HMAC-SHA256 and HKDF from hashlib alone: MicroPython has no hmac module.

Source: RFC 2104, RFC 5869; vectors of RFC 4231.
"""

import hashlib

_BLOCK = 64
_INNER = bytes([i ^ 0x36 for i in range(256)])
_OUTER = bytes([i ^ 0x5C for i in range(256)])


def _pad(key: bytes, table: bytes) -> bytes:
    return bytes([table[byte] for byte in key]) + bytes([table[0]]) * (_BLOCK - len(key))


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    """Return HMAC-SHA256 of the parts one after the other, 32 bytes."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    inner = hashlib.sha256(_pad(key, _INNER))
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(_pad(key, _OUTER))
    outer.update(inner.digest())
    return outer.digest()


def equal(a: bytes, b: bytes) -> bool:
    """Compare two tags in a time that does not depend on where they differ."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return not difference
