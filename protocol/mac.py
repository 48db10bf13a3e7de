"""HMAC-SHA256 and HKDF-SHA256 for both runtimes: MicroPython has no `hmac`, and its hashes cannot be copied.

Source: RFC 2104, RFC 5869.
"""

import hashlib

_INNER = int.from_bytes(b"\x36" * 64, "big")
_OUTER = int.from_bytes(b"\x5c" * 64, "big")


class Hmac:
    """HMAC-SHA256 under one key: the two pads are computed once, so that each tag costs two hashes and no more.

    Use it where a key makes several tags; hmac_sha256 where it makes one.
    """

    def __init__(self, key: bytes):
        if len(key) > 64:
            key = hashlib.sha256(key).digest()
        # One XOR of a big integer is far cheaper on a microcontroller than 64 of bytes.
        number = int.from_bytes(key, "big") << 8 * (64 - len(key))
        self._inner = (number ^ _INNER).to_bytes(64, "big")
        self._outer = (number ^ _OUTER).to_bytes(64, "big")

    def tag(self, *parts: bytes) -> bytes:
        """Return the 32-byte tag over the parts, one after the other."""
        inner = hashlib.sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    """Return HMAC-SHA256 under key over the parts, one after the other: 32 bytes."""
    return Hmac(key).tag(*parts)


def is_equal(first: bytes, second: bytes) -> bool:
    """Compare two tags without stopping at the first byte that differs, so that time tells nothing about them."""
    if len(first) != len(second):
        return False
    return int.from_bytes(first, "big") ^ int.from_bytes(second, "big") == 0


def hkdf_sha256(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """Return length (1..8160) bytes derived from secret: RFC 5869, extract and expand."""
    assert 0 < length <= 255 * 32
    return hkdf_expand(hkdf_extract(salt, secret), info, length)


def hkdf_extract(salt: bytes, secret: bytes) -> bytes:
    """Return the 32-byte pseudorandom key of RFC 5869 section 2.2; do it once where several keys are expanded."""
    return hmac_sha256(salt, secret)


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """Return length (1..8160) bytes for the purpose info: RFC 5869 section 2.3."""
    mac = Hmac(key)
    block = b""
    out = b""
    counter = 0
    while len(out) < length:
        counter += 1
        block = mac.tag(block, info, bytes((counter,)))
        out += block
    return out[:length]
