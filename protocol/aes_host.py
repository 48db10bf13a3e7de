"""Hosts only, not frozen: the block cipher of `protocol.aead` from `cryptography`. The device's is `agent.aes`."""

_ZERO_IV = bytes(16)


class Aes128:
    """AES-128 under one key, as `protocol.aead` wants it."""

    def __init__(self, key: bytes):
        # Late, so that importing the module costs nothing and asks for nothing.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        algorithm = algorithms.AES128(key)
        self._ecb = Cipher(algorithm, modes.ECB()).encryptor()
        self._cbc = Cipher(algorithm, modes.CBC(_ZERO_IV)).encryptor()
        self._chained = 0

    def ecb(self, blocks: bytes) -> bytes:
        """Return each 16-byte block of blocks encrypted by itself."""
        return self._ecb.update(blocks)

    def cbc_mac(self, blocks: bytes) -> bytes:
        """Return the last block of CBC over blocks with a zero IV: 16 bytes."""
        # One context for all: to make a new one takes ten times as long as to take what it chains on out of the first block.
        first = int.from_bytes(blocks[:16], "big") ^ self._chained
        mac = self._cbc.update(first.to_bytes(16, "big") + blocks[16:])[-16:]
        self._chained = int.from_bytes(mac, "big")
        return mac
