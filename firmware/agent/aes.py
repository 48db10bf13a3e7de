"""The block cipher of `protocol.aead` from MicroPython's `cryptolib`; hosts use `protocol.aes_host`.

Only ECB and CBC: CTR is left out of most builds. See docs/decisions/0010-ccm-from-cryptolib.md.
"""

import cryptolib

from protocol._const import const

_ECB = const(1)
_CBC = const(2)
_ZERO_IV = bytes(16)


class Aes128:
    """AES-128 under one key, as `protocol.aead` wants it."""

    def __init__(self, key: bytes):
        if len(key) != 16:
            raise ValueError("AES key of {} bytes is not 16".format(len(key)))
        self._key = key
        self._ecb = cryptolib.aes(key, _ECB)

    def ecb(self, blocks: bytes) -> bytes:
        """Return each 16-byte block of blocks encrypted by itself."""
        return self._ecb.encrypt(blocks)

    def cbc_mac(self, blocks: bytes) -> bytes:
        """Return the last block of CBC over blocks with a zero IV: 16 bytes. A bytearray is overwritten."""
        # A new object each time: cryptolib keeps the chaining value from one call to the next.
        chain = cryptolib.aes(self._key, _CBC, _ZERO_IV)
        if isinstance(blocks, bytearray):
            chain.encrypt(blocks, blocks)
            return bytes(blocks[-16:])
        return chain.encrypt(blocks)[-16:]
