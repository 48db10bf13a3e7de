"""HMAC, HKDF, AES-CCM and AES-CTR against the vectors of their standards, on both runtimes."""

import json
from binascii import unhexlify

import protocol
from protocol.aead import AesCcm, ctr, xor
from protocol.errors import MALFORMED, SEAL, ProtocolError
from protocol.mac import Hmac, hkdf_expand, hkdf_extract, hkdf_sha256, hmac_sha256, is_equal

try:
    import cryptolib  # noqa: F401  only MicroPython has it
except ImportError:
    from protocol.aes_host import Aes128
else:
    from agent.aes import Aes128

_KEY = bytes(range(16))
_NONCE = bytes(range(13))


def _vectors(name):
    with open(protocol.__file__.rsplit("/", 1)[0] + "/vectors/" + name) as file:
        return json.load(file)


def _code_of(call, *arguments):
    """Return the reject code with which a call fails."""
    try:
        call(*arguments)
    except ProtocolError as error:
        return error.code
    raise AssertionError("accepted")


def test_hmac_gives_the_tags_of_rfc_4231():
    """Each test case of RFC 4231, keys longer than a block among them; the fifth truncates."""
    for vector in _vectors("mac.json")["hmac"]:
        tag = hmac_sha256(unhexlify(vector["key"]), unhexlify(vector["text"]))
        wanted = unhexlify(vector["tag"])
        assert tag[: len(wanted)] == wanted, vector["name"]


def test_hmac_does_not_depend_on_how_the_text_is_cut():
    """One text in many parts has the tag of the whole, under one key object again and again."""
    mac = Hmac(_KEY)
    whole = mac.tag(bytes(range(200)))
    for cut in range(0, 201, 7):
        assert mac.tag(bytes(range(cut)), b"", bytes(range(cut, 200))) == whole


def test_is_equal_sees_every_bit_and_every_length():
    """A tag equals itself, and none that differs in one bit or in length."""
    tag = hmac_sha256(b"", b"")
    assert is_equal(tag, bytes(tag))
    for bit in range(256):
        other = bytearray(tag)
        other[bit // 8] ^= 1 << bit % 8
        assert not is_equal(tag, bytes(other))
    assert not is_equal(b"\x00" + tag, tag) and not is_equal(tag[:31], tag) and is_equal(b"", b"")


def test_hkdf_gives_the_keys_of_rfc_5869():
    """The three SHA-256 cases of RFC 5869, extract and expand apart and together."""
    for vector in _vectors("mac.json")["hkdf"]:
        secret, salt, info = [unhexlify(vector[name]) for name in ("secret", "salt", "info")]
        wanted = unhexlify(vector["expanded"])
        assert hkdf_extract(salt, secret) == unhexlify(vector["extracted"]), vector["name"]
        assert hkdf_expand(hkdf_extract(salt, secret), info, len(wanted)) == wanted, vector["name"]
        assert hkdf_sha256(salt, secret, info, 17) == wanted[:17], vector["name"]


def test_ccm_gives_the_messages_of_rfc_3610():
    """Each packet vector of RFC 3610 with an 8-byte tag seals to its bytes and opens again."""
    for vector in _vectors("aead.json")["ccm"]:
        cipher = AesCcm(Aes128(unhexlify(vector["key"])))
        nonce, aad, text, sealed = [unhexlify(vector[name]) for name in ("nonce", "aad", "text", "sealed")]
        assert cipher.seal(nonce, text, aad) == sealed, vector["name"]
        assert cipher.open(nonce, sealed, aad) == text, vector["name"]


def test_ccm_opens_what_it_sealed_at_every_length():
    """All lengths over three blocks, with and without associated data."""
    cipher = AesCcm(Aes128(_KEY))
    for size in range(50):
        text = bytes(range(size))
        for aad in (b"", b"a" * (size + 1)):
            sealed = cipher.seal(_NONCE, text, aad)
            assert len(sealed) == size + 8 and cipher.open(_NONCE, sealed, aad) == text


def test_ccm_refuses_every_changed_bit():
    """One flipped bit anywhere in ciphertext, tag, nonce or associated data is refused, and so is a cut at any length."""
    cipher = AesCcm(Aes128(_KEY))
    parts = [_NONCE, cipher.seal(_NONCE, b"twenty bytes of text", b"associated"), b"associated"]
    for which in range(3):
        for bit in range(8 * len(parts[which])):
            changed = bytearray(parts[which])
            changed[bit // 8] ^= 1 << bit % 8
            forged = list(parts)
            forged[which] = bytes(changed)
            assert _code_of(cipher.open, *forged) == SEAL
    for size in range(len(parts[1])):
        assert _code_of(cipher.open, _NONCE, parts[1][:size], parts[2]) == (MALFORMED if size < 8 else SEAL)


def test_ctr_gives_the_bytes_of_sp_800_38a():
    """The published vector, and every shorter text is a prefix of it."""
    for vector in _vectors("aead.json")["ctr"]:
        aes = Aes128(unhexlify(vector["key"]))
        iv, text, sealed = [unhexlify(vector[name]) for name in ("iv", "text", "sealed")]
        for size in range(len(text) + 1):
            assert ctr(aes, iv, text[:size]) == sealed[:size]
            assert ctr(aes, iv, sealed[:size]) == text[:size]


def test_ctr_carries_the_counter_over_all_sixteen_bytes():
    """Counting on from the last block of all starts again at zero, as SP 800-38A says."""
    aes = Aes128(_KEY)
    last, first = aes.ecb(b"\xff" * 16), aes.ecb(bytes(16))
    assert ctr(aes, b"\xff" * 16, bytes(32)) == last + first


def test_xor_keeps_leading_zeros():
    """The result is as long as the operands, whatever their first bytes."""
    assert xor(b"\x00\x01\x02", b"\x00\x01\x03") == b"\x00\x00\x01"
    assert xor(b"", b"") == b""
