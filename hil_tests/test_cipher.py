"""The block cipher of the image, which is ours: the examples of FIPS 197, and random blocks against another implementation."""

import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hil_tests.qemu import Repl

PLAIN = "00112233445566778899aabbccddeeff"
# FIPS 197, appendices B, C.1 and C.3.
EXAMPLES = (
    (
        "2b7e151628aed2a6abf7158809cf4f3c",
        "3243f6a8885a308d313198a2e0370734",
        "3925841d02dc09fbdc118597196a0b32",
    ),
    ("000102030405060708090a0b0c0d0e0f", PLAIN, "69c4e0d86a7b0430d8cdb78070b4c55a"),
    (bytes(range(32)).hex(), PLAIN, "8ea2b7ca516745bfeafc49904b496089"),
)
BOTH_WAYS = """
import cryptolib
from binascii import hexlify, unhexlify
def both(key, mode, iv, text):
    key, iv, text = unhexlify(key), unhexlify(iv), unhexlify(text)
    sealed = cryptolib.aes(key, mode, iv).encrypt(text)
    assert cryptolib.aes(key, mode, iv).decrypt(sealed) == text
    print(hexlify(sealed).decode())
"""


@pytest.fixture
def repl(development, start, blank_flash):
    """A board that encrypts and decrypts again."""
    found = Repl(start(development, blank_flash))
    found.run(BOTH_WAYS)
    return found


def test_examples_of_fips_197(repl):
    """The published ciphertexts come out, and go back."""
    for key, text, sealed in EXAMPLES:
        assert repl.run(f"both({key!r}, 1, {'00' * 16!r}, {text!r})").strip() == sealed


@pytest.mark.parametrize("key_bytes", [16, 32])
def test_random_blocks_agree_with_another_implementation(repl, key_bytes):
    """ECB and CBC, one to eight blocks."""
    chosen = random.Random(key_bytes)
    for blocks in range(1, 9):
        key, iv, text = chosen.randbytes(key_bytes), chosen.randbytes(16), chosen.randbytes(16 * blocks)
        for number, mode in ((1, modes.ECB()), (2, modes.CBC(iv))):
            encryptor = Cipher(algorithms.AES(key), mode).encryptor()
            said = repl.run(f"both({key.hex()!r}, {number}, {iv.hex()!r}, {text.hex()!r})")

            assert said.strip() == encryptor.update(text).hex()
