"""Promises of protocol.segment beyond its vectors."""

import hashlib
import itertools

import pytest

from protocol.aead import ctr as aes_ctr
from protocol.aes_host import Aes128
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.limits import events_bytes_max, segment_bytes_max
from protocol.segment import (
    Header,
    Tombstone,
    check_first,
    check_follows,
    genesis,
    parse_segment,
    seal_segment,
    seal_tombstone,
)

DEVICE = bytes(8)
TAG_KEY, BODY_KEY, IV_KEY = bytes(32), bytes(16), b"\x01" * 32


def _ctr(key, iv, data):
    return aes_ctr(Aes128(key), iv, data)


def _header(number=0, first_sequence=0, previous=bytes(32), count=1, view_class=2):
    return Header(DEVICE, 0, 0, number, first_sequence, count, previous, number // 32, view_class, 0)


def _sealed(header, plaintext=b"events"):
    return seal_segment(header, plaintext, TAG_KEY, BODY_KEY, IV_KEY, _ctr)


def test_equal_input_gives_equal_bytes_and_other_input_another_key_stream():
    """A number sealed twice with the same events is the same segment; with others it never shares an IV."""
    first, again, other = _sealed(_header()), _sealed(_header()), _sealed(_header(), b"evenus")

    assert first == again
    assert parse_segment(first)._iv != parse_segment(other)._iv
    assert parse_segment(first)._iv != parse_segment(_sealed(_header(number=1)))._iv


def test_longest_counters_still_leave_room_for_events():
    """Whatever the counters have grown to, events_bytes_max bytes always fit."""
    top = 0xFFFFFFFF
    longest = Header(DEVICE, 1, top, top, 1 << 62, 1023, bytes(32), top, 2, top)

    assert len(_sealed(longest, bytes(events_bytes_max))) <= segment_bytes_max
    with pytest.raises(ProtocolError) as refused:
        _sealed(longest, bytes(events_bytes_max + 2))
    assert refused.value.code == TOO_LARGE


def test_a_run_of_segments_is_a_chain():
    """Each of a hundred follows the one before, and none follows another."""
    parsed = []
    previous, sequence = genesis(DEVICE, 0, 0), 0
    for number in range(100):
        raw = _sealed(_header(number, sequence, previous, count=1 + number % 3))
        parsed.append(parse_segment(raw))
        previous, sequence = hashlib.sha256(raw).digest(), sequence + 1 + number % 3

    check_first(parsed[0].header)
    for before, after in itertools.pairwise(parsed):
        check_follows(after.header, before.header, before.digest)
    with pytest.raises(ProtocolError):
        check_follows(parsed[5].header, parsed[3].header, parsed[3].digest)


def test_tombstone_is_readable_without_any_key():
    """Gateway and auditor read what was pruned, and its seal holds like any other."""
    tombstone = Tombstone(0, 3, bytes(32), b"\x01" * 32, 40, 0)
    parsed = parse_segment(seal_tombstone(_header(4, 40, view_class=0), tombstone, TAG_KEY))

    parsed.verify(TAG_KEY)
    assert parsed.tombstone.as_list() == tombstone.as_list()
