"""Hosts only, not frozen: the block cipher of `protocol.aead` from `cryptography`, and AES-CCM whole. The device's is `agent.aes`."""

from functools import cached_property

from protocol.aead import TAG_BYTES
from protocol.errors import MALFORMED, SEAL, ProtocolError

_ZERO_IV = bytes(16)


class Aes128:
    """AES-128 under one key, as `protocol.aead` wants it."""

    def __init__(self, key: bytes):
        # Late, so that importing the module costs nothing and asks for nothing.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._algorithm = algorithms.AES128(key)
        self._ecb = Cipher(self._algorithm, modes.ECB()).encryptor()
        self._chained = 0

    @cached_property
    def _chain(self):
        from cryptography.hazmat.primitives.ciphers import Cipher, modes

        # One context for all tags: to make one takes ten times as long as to take out of the next first block what it chains on.
        return Cipher(self._algorithm, modes.CBC(_ZERO_IV)).encryptor()

    def ecb(self, blocks: bytes) -> bytes:
        """Return each 16-byte block of blocks encrypted by itself."""
        return self._ecb.update(blocks)

    def cbc_mac(self, blocks: bytes) -> bytes:
        """Return the last block of CBC over blocks with a zero IV: 16 bytes."""
        first = int.from_bytes(blocks[:16], "big") ^ self._chained
        mac = self._chain.update(first.to_bytes(16, "big") + blocks[16:])[-16:]
        self._chained = int.from_bytes(mac, "big")
        return mac


class Ccm:
    """AES-CCM as `protocol.aead.AesCcm` has it, in one call of the library: 16-byte key, 13-byte nonce, 8-byte tag."""

    def __init__(self, key: bytes):
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESCCM

        ccm = AESCCM(key, tag_length=TAG_BYTES)
        self._encrypt = ccm.encrypt
        self._decrypt = ccm.decrypt
        self._wrong = InvalidTag

    def seal(self, nonce: bytes, text: bytes, aad: bytes) -> bytes:
        """Return the ciphertext of text followed by the tag."""
        return self._encrypt(nonce, text, aad)

    def open(self, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Return the text of what seal made. Raises ProtocolError(MALFORMED) when too short, (SEAL) on a wrong tag."""
        if len(sealed) < TAG_BYTES:
            raise ProtocolError(MALFORMED, "ciphertext of {} bytes is not 8..65543 bytes".format(len(sealed)))
        try:
            return self._decrypt(nonce, sealed, aad)
        except self._wrong:
            size = len(sealed) - TAG_BYTES
            raise ProtocolError(
                SEAL, "the tag of an encrypted message of {} bytes does not fit".format(size)
            ) from None


def whole_ccm(context):
    """Return an OscoreContext whose messages are sealed and opened by `Ccm`: the same bytes, some ten times as fast."""
    context._sealer = Ccm(context.sender_key)
    context._opener = Ccm(context.recipient_key)
    return context
