"""The golden vectors against other people's code: each file is what that code makes of it, not what ours made."""

import hashlib
import hmac
import io

import cbor2
import pytest
from cddl_verifier import cbor as cddl_cbor
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pycose.headers import Algorithm
from pycose.keys import SymmetricKey
from pycose.messages import Mac0Message

from protocol.cbor import Simple
from tests.both.vector_files import bytes_of, read_vectors
from tools import vectors

_AAD = {
    "segment": b"outstation segment v1",
    "heartbeat": b"outstation heartbeat v1",
    "receipt": b"outstation receipt v1",
    "time_token": b"outstation time v1",
    "command": b"outstation command v1",
}
SEGMENTS = read_vectors("segment")
MESSAGES = read_vectors("messages")
SEALED = [v for v in SEGMENTS["accept"] if "plaintext" in v]


def _name(vector):
    return vector["name"]


def _foreign(value):
    """Return a value of ours as cbor2 says it."""
    if isinstance(value, Simple):
        return cbor2.CBORSimpleValue(value.value)
    if isinstance(value, list):
        return [_foreign(item) for item in value]
    if isinstance(value, dict):
        return {key: _foreign(item) for key, item in value.items()}
    return value


def test_files_are_what_the_reference_writes():
    """No vector was mended by hand: `python -m tools.vectors` writes these very files."""
    stale = [
        name
        for name, content in vectors.files().items()
        if (vectors.FOLDER / name).read_text(encoding="utf-8") != vectors.text_of(content)
    ]

    assert stale == []


@pytest.mark.parametrize("vector", read_vectors("cbor")["accept"], ids=_name)
def test_cbor2_reads_the_value_of_every_item(vector):
    """cbor2 finds the same value in the same bytes, and nothing after it."""
    stream = io.BytesIO(bytes_of(vector))

    assert cbor2.load(stream) == _foreign(vector["value"])
    assert stream.read() == b""


@pytest.mark.parametrize(
    "vector", [v for v in read_vectors("cbor")["accept"] if not isinstance(v["value"], Simple)], ids=_name
)
def test_core_deterministic_encoder_writes_every_item(vector):
    """A second encoder, of RFC 8949 section 4.2.1 by its own word, writes the same bytes: order of keys below zero too."""
    assert cddl_cbor.encode(vector["value"], canonical=True) == bytes_of(vector)


def _mac0(raw, kind, key):
    items = cbor2.loads(raw)
    message = Mac0Message.from_cose_obj(list(items), allow_unknown_attributes=False)
    message.external_aad = _AAD[kind]
    message.key = SymmetricKey(key)
    return message


@pytest.mark.parametrize("vector", SEGMENTS["accept"], ids=_name)
def test_pycose_verifies_the_seal_of_every_segment(vector):
    """A COSE library that knows nothing of us finds HMAC 256/256 and a tag that fits."""
    message = _mac0(bytes_of(vector), "segment", vector["tag_key"])

    assert message.phdr[Algorithm].identifier == 5
    assert message.verify_tag()


@pytest.mark.parametrize("vector", MESSAGES["accept"], ids=_name)
def test_pycose_verifies_the_seal_of_every_message(vector):
    """A COSE library that knows nothing of us finds HMAC 256/64 and a tag that fits."""
    message = _mac0(bytes_of(vector), vector["rule"], vector["key"])

    assert message.phdr[Algorithm].identifier == 4
    assert message.verify_tag()


@pytest.mark.parametrize("vector", SEGMENTS["verify"], ids=_name)
def test_pycose_refuses_the_seals_that_we_refuse(vector):
    """A wrong key, a changed tag and another purpose fail there too."""
    assert not _mac0(bytes_of(vector), "segment", vector["tag_key"]).verify_tag()


@pytest.mark.parametrize("vector", MESSAGES["verify"], ids=_name)
def test_pycose_refuses_the_message_seals_that_we_refuse(vector):
    """A wrong key, a changed tag and another purpose fail there too."""
    assert not _mac0(bytes_of(vector), vector["rule"], vector["key"]).verify_tag()


def _body(vector):
    header, body = cbor2.loads(cbor2.loads(bytes_of(vector))[2])
    return header, body


@pytest.mark.parametrize("vector", SEALED, ids=_name)
def test_cryptography_opens_every_sealed_body(vector):
    """AES-128-CTR of `cryptography` gives the plaintext, and the standard library's HMAC the IV."""
    header, (_, unprotected, ciphertext) = _body(vector)
    decryptor = Cipher(algorithms.AES128(vector["body_key"]), modes.CTR(unprotected[5])).decryptor()
    plaintext = decryptor.update(ciphertext) + decryptor.finalize()
    digest = hmac.new(vector["iv_key"], cbor2.dumps(header) + plaintext, hashlib.sha256).digest()

    assert plaintext == vector["plaintext"]
    assert unprotected == {1: -65534, 5: digest[:12] + bytes(4)}


def test_no_two_golden_bodies_share_key_and_iv():
    """Two plaintexts under one key have two IVs."""
    seen = {}
    for vector in SEALED:
        iv = _body(vector)[1][1][5]
        said = (vector["header"], vector["plaintext"])
        assert seen.setdefault((vector["body_key"], iv), said) == said
