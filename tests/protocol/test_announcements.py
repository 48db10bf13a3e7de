"""Announcements to the office and its answer against the golden vectors; only hosts read them."""

import pytest

from protocol.announcements import (
    ANSWER_BYTES_MAX,
    REQUEST_BYTES_MAX,
    encode_admissions,
    encode_announcements,
    parse_admissions,
    parse_announcements,
)
from protocol.errors import ProtocolError
from protocol.limits import admission_bytes_max, announcement_bytes_max, announcements_max
from tests.both.vector_files import bytes_of, read_vectors

CODECS = {
    "announcements": (encode_announcements, parse_announcements),
    "admissions": (encode_admissions, parse_admissions),
}
HELD = read_vectors("admission")


def _of(kind):
    return [
        pytest.param(vector, id=f"{vector['rule']}-{vector['name']}")
        for vector in HELD[kind]
        if vector["rule"] in CODECS
    ]


@pytest.mark.parametrize("vector", _of("accept"))
def test_calls_are_as_the_vectors_say(vector):
    """The same bytes, and what was said comes back."""
    encode, parse = CODECS[vector["rule"]]
    said = [tuple(one) if isinstance(one, list) else one for one in vector["fields"]]

    assert bytes_of(vector) == encode(said)
    assert said == parse(bytes_of(vector))


@pytest.mark.parametrize("vector", _of("reject"))
def test_what_is_no_call_is_refused(vector):
    """Each way in which it is none has its reject code."""
    with pytest.raises(ProtocolError) as refused:
        CODECS[vector["rule"]][1](bytes_of(vector))

    assert vector["code"] == refused.value.code


def test_the_longest_calls_are_within_their_limits():
    """What is read at most is enough for as much as there may be."""
    announced = encode_announcements([bytes(announcement_bytes_max)] * announcements_max)
    admitted = encode_admissions([(bytes(8), bytes(admission_bytes_max))] * announcements_max)

    assert len(announced) <= REQUEST_BYTES_MAX
    assert len(admitted) <= ANSWER_BYTES_MAX
