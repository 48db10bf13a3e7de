"""AES-CCM-16-64-128 and AES-128-CTR from nothing but the block cipher, which is handed in.

The block cipher is an object made from a 16-byte key, with two methods; `agent.aes` and `protocol.aes_host` each offer
one as `Aes128(key)`:

    ecb(blocks) -> bytes       encrypts each 16-byte block by itself; len(blocks) is a multiple of 16
    cbc_mac(blocks) -> bytes   the last block of CBC with a zero IV; a bytearray handed in may be overwritten

Both take many blocks in one call, because on a microcontroller the call costs more than the block.
Both directions of CCM and CTR encrypt, so decryption of blocks is never needed.

Source: RFC 3610 (CCM), RFC 9053 section 4.2 (algorithm 10), RFC 9459 section 4 (CTR), NIST SP 800-38A appendix B.1.
"""

from protocol._const import const
from protocol.errors import MALFORMED, SEAL, ProtocolError
from protocol.mac import is_equal

TAG_BYTES = 8
NONCE_BYTES = 13
KEY_BYTES = 16
# The length field has two bytes when the nonce has thirteen.
_TEXT_BYTES_MAX = const(0xFFFF)
# Above it the length of the associated data would need the six-byte form, which nothing here uses.
_AAD_BYTES_MAX = const(0xFEFF)
# Flags of the first block: tag of 8 bytes, length field of 2; with and without associated data.
_FLAGS = const(0x19)
_FLAGS_AAD = const(0x59)


class AesCcm:
    """AES-CCM with a 16-byte key, 13-byte nonce and 8-byte tag. aes: the block cipher of the module's docstring.

    A nonce must never seal two texts: who calls seal answers for that.
    """

    def __init__(self, aes):
        self._aes = aes

    def seal(self, nonce: bytes, text: bytes, aad: bytes) -> bytes:
        """Return the ciphertext of text followed by the tag. aad is covered by the tag and not carried."""
        tag = self._tag(nonce, text, aad)
        return self._crypt(nonce, text, tag)

    def open(self, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Return the text of what seal made. Raises ProtocolError(MALFORMED) when too short, (SEAL) on a wrong tag."""
        size = len(sealed) - TAG_BYTES
        if size < 0 or size > _TEXT_BYTES_MAX:
            raise ProtocolError(MALFORMED, "ciphertext of {} bytes is not 8..65543 bytes".format(len(sealed)))
        opened = self._crypt(nonce, sealed[:size], sealed[size:])
        text = opened[:size]
        if not is_equal(opened[size:], self._tag(nonce, text, aad)):
            raise ProtocolError(SEAL, "the tag of an encrypted message of {} bytes does not fit".format(size))
        return text

    def _tag(self, nonce: bytes, text: bytes, aad: bytes) -> bytes:
        assert len(nonce) == NONCE_BYTES and len(text) <= _TEXT_BYTES_MAX and len(aad) <= _AAD_BYTES_MAX
        blocks = bytearray((_FLAGS_AAD if aad else _FLAGS,))
        blocks.extend(nonce)
        blocks.extend(len(text).to_bytes(2, "big"))
        if aad:
            blocks.extend(len(aad).to_bytes(2, "big"))
            blocks.extend(aad)
            _pad(blocks)
        blocks.extend(text)
        _pad(blocks)
        return self._aes.cbc_mac(blocks)[:TAG_BYTES]

    def _crypt(self, nonce: bytes, text: bytes, tag: bytes) -> bytes:
        # Counter 0 covers the tag, 1 and up the text: one native call makes the whole key stream.
        head = b"\x01" + nonce
        counters = b"".join([head + n.to_bytes(2, "big") for n in range((len(text) + 31) // 16)])
        stream = self._aes.ecb(counters)
        return xor(text, stream[16 : 16 + len(text)]) + xor(tag, stream[:TAG_BYTES])


def ctr(aes, iv: bytes, text: bytes) -> bytes:
    """Return text (any length) encrypted or decrypted with AES-128-CTR; iv is the first 16-byte counter block."""
    assert len(iv) == 16
    if not text:
        return b""
    first = int.from_bytes(iv, "big")
    count = (len(text) + 15) // 16
    counters = [((first + n) & 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF).to_bytes(16, "big") for n in range(count)]
    return xor(text, aes.ecb(b"".join(counters))[: len(text)])


def xor(first: bytes, second: bytes) -> bytes:
    """Return the XOR of two strings of equal length: as one big integer, which is fast on both runtimes."""
    assert len(first) == len(second)
    if not first:
        return b""
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).to_bytes(len(first), "big")


def _pad(blocks: bytearray) -> None:
    rest = len(blocks) % 16
    if rest:
        blocks.extend(bytes(16 - rest))
