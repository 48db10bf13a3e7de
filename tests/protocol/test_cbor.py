"""Promises of protocol.cbor beyond its vectors."""

import pytest

from protocol.cbor import Simple, dumps, load_prefix, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError


def test_order_of_insertion_does_not_change_the_bytes():
    """Equal maps have equal digests."""
    assert dumps({2: "b", 1: "a", -1: "c"}) == dumps({-1: "c", 1: "a", 2: "b"})


def test_prefix_says_where_the_next_item_starts():
    """Bytes behind an item are not looked at."""
    first, end = load_prefix(b"\x82\x01\x02\xff")

    assert (first, end) == ([1, 2], 3)


def test_announced_length_costs_no_memory():
    """A head that announces 2**31 items is refused before room is made for them."""
    with pytest.raises(ProtocolError) as refused:
        loads(b"\x9a\x7f\xff\xff\xff\x00")

    assert refused.value.code == MALFORMED


def test_depth_has_a_limit_that_a_bundle_may_raise():
    """Nesting of nine is refused, unless the reader says that it expects more."""
    nested = b"\x81" * 8 + b"\x80"
    with pytest.raises(ProtocolError) as refused:
        loads(nested)

    assert refused.value.code == TOO_LARGE
    assert loads(nested, depth_max=9) == [[[[[[[[[]]]]]]]]]


def test_our_own_mistakes_are_not_protocol_errors():
    """A value outside the subset is refused when it is written."""
    for value in (1.5, object(), {1, 2}):
        with pytest.raises(TypeError):
            dumps(value)
    for value in (1 << 64, Simple(20), Simple(256)):
        with pytest.raises(ValueError, match=r"64 bits|not 0..19"):
            dumps(value)
