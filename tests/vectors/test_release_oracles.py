"""Signatures and envelopes against other people's code: pyhsslms for HSS/LMS, pycose for COSE_Sign1."""

import cbor2
import pytest
from pycose.algorithms import CoseAlgorithm
from pycose.messages import Sign1Message
from pyhsslms import pyhsslms

from protocol import lms
from protocol.envelope import RELEASE, ROOT, parse_envelope, signed_bytes
from tests.both.vector_files import bytes_of, read_vectors

LMS = read_vectors("lms")["accept"]
ENVELOPES = read_vectors("envelope")


@CoseAlgorithm.register_attribute()
class HssLms(CoseAlgorithm):
    """pycose knows the algorithms of RFC 9053; this one's number is registered by RFC 8778."""

    identifier = -46
    fullname = "HSS-LMS"


def _name(vector):
    return vector["name"]


def _foreign(public, message, signature):
    """Return what pyhsslms says; it raises for bytes that are no signature."""
    try:
        return pyhsslms.HssPublicKey.deserialize(public).verify(message, signature)
    except (ValueError, IndexError, KeyError):
        return False


@pytest.mark.parametrize("vector", LMS, ids=_name)
def test_pyhsslms_agrees_on_every_golden_signature(vector):
    """What we take, a second implementation takes."""
    assert _foreign(vector["public"], vector["message"], vector["signature"])


@pytest.mark.parametrize("vector", LMS, ids=_name)
def test_pyhsslms_agrees_on_what_is_refused(vector):
    """A bit at any of many places is refused by both."""
    for bit in range(3, 8 * len(vector["signature"]), 1009):
        bad = bytearray(vector["signature"])
        bad[bit >> 3] ^= 1 << (bit & 7)
        ours = lms.verify(vector["public"], vector["message"], bytes(bad))
        assert (ours, _foreign(vector["public"], vector["message"], bytes(bad))) == (False, False), bit


@pytest.mark.parametrize("vector", ENVELOPES["accept"], ids=_name)
def test_pycose_reads_every_envelope_and_signs_over_the_same_bytes(vector):
    """A COSE library that knows nothing of us finds alg -46, the key identifier, the payload and the Sig_structure."""
    items = cbor2.loads(bytes_of(vector))
    message = Sign1Message.from_cose_obj(list(items), allow_unknown_attributes=False)
    message.external_aad = vector["purpose"]
    envelope = parse_envelope(bytes_of(vector))

    assert cbor2.loads(items[0]) == {1: -46}
    assert items[1] == {4: envelope.key_id}
    assert message.payload == envelope.payload
    assert message.signature == envelope.signature
    assert message._create_sig_structure() == signed_bytes(vector["purpose"], envelope.payload)
    assert _foreign(vector["public"], signed_bytes(vector["purpose"], message.payload), message.signature)


def test_purposes_are_not_the_same():
    """A signature of a release can never be taken for one of a root."""
    assert RELEASE != ROOT
    assert signed_bytes(RELEASE, bytes(32)) != signed_bytes(ROOT, bytes(32))
