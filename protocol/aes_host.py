"""Hosts only, not frozen: the block cipher of `protocol.aead` from `cryptography`. The device's is `agent.aes`."""

_ZERO_IV = bytes(16)


class Aes128:
    """AES-128 under one key, as `protocol.aead` wants it."""

    def __init__(self, key: bytes):
        # Late, so that importing the module costs nothing and asks for nothing.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        algorithm = algorithms.AES128(key)
        self._ecb = Cipher(algorithm, modes.ECB()).encryptor()
        self._cbc = Cipher(algorithm, modes.CBC(_ZERO_IV))

    def ecb(self, blocks: bytes) -> bytes:
        """Return each 16-byte block of blocks encrypted by itself."""
        return self._ecb.update(blocks)

    def cbc_mac(self, blocks: bytes) -> bytes:
        """Return the last block of CBC over blocks with a zero IV: 16 bytes."""
        return self._cbc.encryptor().update(blocks)[-16:]
