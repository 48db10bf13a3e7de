"""Attestation events on both runtimes: their golden vectors, and the claims that a device makes."""

from protocol import event
from protocol.attestation import AGENT, claims_of, hwmodel_of, is_claims
from tests.both.vector_files import bytes_of, code_of, read_vectors


def test_attestations_give_the_golden_bytes_and_read_them_back():
    """With the image's own agent and a released one, and with claims that nobody knows yet."""
    for vector in read_vectors("attestation")["accept"] + read_vectors("attestation_roots")["accept"]:
        listed = [(order, tick, kind, tuple(fields)) for order, tick, kind, fields in vector["events"]]
        assert event.encode_events(vector["boot"], listed) == bytes_of(vector), vector["name"]
        assert event.decode_events(bytes_of(vector), 1) == (vector["boot"], listed), vector["name"]


def test_attestations_refuse_every_golden_bad_plaintext():
    """Each claim, broken or missing alone, has its reject code."""
    for vector in read_vectors("attestation")["reject"] + read_vectors("attestation_roots")["reject"]:
        code = code_of(event.decode_events, bytes_of(vector), vector["count"])
        assert code == vector["code"], vector["name"]


def test_what_a_device_claims_is_what_the_grammar_asks():
    """Whatever the name of its hardware; an agent only where a release brought it."""
    image, agent, bundle = bytes(32), b"a" * 32, b"b" * 32
    own = claims_of("unix", 0, 3, image, None, bundle, 1)
    released = claims_of("a-name-that-is-longer-than-there-is-room-for", 1, 3, image, agent, bundle, 1)

    assert is_claims(own) and is_claims(released)
    assert AGENT not in own and released[AGENT] == agent
    assert len(hwmodel_of("m" * 64)) == 32
