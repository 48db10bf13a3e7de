"""What devices moved, as gateways tell it, against the golden vectors; only hosts read it."""

import pytest

from protocol.errors import ProtocolError
from protocol.limits import uint32_max, usage_rows_max
from protocol.usage import REQUEST_BYTES_MAX, encode_usage, parse_usage
from tests.both.vector_files import bytes_of, read_vectors

HELD = read_vectors("usage")
_COUNT = (1 << 48) - 1


@pytest.mark.parametrize("vector", HELD["accept"], ids=lambda vector: vector["name"])
def test_usage_is_as_the_vectors_say(vector):
    """The same bytes, and what was said comes back."""
    rows = [tuple(row) for row in vector["fields"]]

    assert bytes_of(vector) == encode_usage(rows)
    assert rows == parse_usage(bytes_of(vector))


@pytest.mark.parametrize("vector", HELD["reject"], ids=lambda vector: vector["name"])
def test_what_is_no_usage_is_refused(vector):
    """With the code that the vector names."""
    with pytest.raises(ProtocolError) as refused:
        parse_usage(bytes_of(vector))

    assert vector["code"] == refused.value.code


def test_the_longest_request_is_within_its_limit():
    """512 rows of the largest numbers, and not much less."""
    rows = [(at.to_bytes(8, "big"), uint32_max, 255, *[_COUNT] * 4) for at in range(usage_rows_max)]

    assert REQUEST_BYTES_MAX == len(encode_usage(rows))
