"""What gateways witness of the leaves that sign, against the golden vectors; only hosts read it."""

import pytest

from protocol import witness
from protocol.errors import ProtocolError
from protocol.limits import envelope_bytes_max, uint32_max, witness_roots_max
from tests.both.vector_files import bytes_of, read_vectors

HELD = read_vectors("witness")
_CODECS = {
    "witness": (witness.encode_witness, witness.parse_witness),
    "witness_answer": (witness.encode_witness_answer, witness.parse_witness_answer),
}


@pytest.mark.parametrize("vector", HELD["accept"], ids=lambda vector: vector["name"])
def test_witness_is_as_the_vectors_say(vector):
    """The same bytes, and what was said comes back."""
    encode, parse = _CODECS[vector["rule"]]
    parts = [[tuple(one) if isinstance(one, list) else one for one in part] for part in vector["fields"]]

    assert bytes_of(vector) == encode(*parts)
    assert parts == list(parse(bytes_of(vector)))


@pytest.mark.parametrize("vector", HELD["reject"], ids=lambda vector: vector["name"])
def test_what_is_no_witness_is_refused(vector):
    """With the code that the vector names."""
    with pytest.raises(ProtocolError) as refused:
        _CODECS[vector["rule"]][1](bytes_of(vector))

    assert vector["code"] == refused.value.code


def test_the_longest_request_and_answer_are_within_their_limits():
    """Sixteen roots of the largest numbers and the longest envelopes, and not much less."""
    roots = [at.to_bytes(8, "big") for at in range(witness_roots_max)]
    envelopes = [bytes(envelope_bytes_max)] * witness_roots_max
    seen = [(root, uint32_max, bytes(8)) for root in roots]

    assert witness.REQUEST_BYTES_MAX == len(witness.encode_witness(seen, envelopes))
    assert witness.ANSWER_BYTES_MAX == len(witness.encode_witness_answer(envelopes, roots))
