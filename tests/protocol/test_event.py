"""Promises of protocol.event beyond its vectors."""

import pytest

from protocol import event
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.event_shape import check_fields
from protocol.limits import events_bytes_max


def _sample(order, values, qualities):
    return (order, 1000 * order, event.SAMPLE, (values, qualities))


def test_value_that_is_not_good_is_no_value():
    """Whatever stands in the column, a reader gets none where the quality is not good."""
    listed = [_sample(1, [7], [0]), _sample(2, [None], [3]), _sample(3, [9], [0])]

    assert event.decode_events(event.encode_events(0, listed), 3)[1] == listed


def test_bad_value_costs_no_bits():
    """A missing reading repeats the one before it, so that the column stays as short."""
    good = [_sample(i, [500], [0]) for i in range(20)]
    gaps = [_sample(i, [None], [1]) if i % 2 else good[i] for i in range(20)]

    assert len(event.encode_events(0, gaps)) <= len(event.encode_events(0, good)) + 6


def test_too_many_events_are_refused_by_bytes_and_by_count():
    """The caller is told to seal fewer."""
    row = (event.CHECKPOINT, (0, 1, bytes(events_bytes_max)))
    with pytest.raises(ProtocolError) as by_bytes:
        event.encode_events(0, [(0, 0, *row)])
    with pytest.raises(ProtocolError) as by_count:
        event.encode_events(0, [_sample(i, [0], [0]) for i in range(1024)])

    assert by_bytes.value.code == by_count.value.code == TOO_LARGE


def test_unknown_kind_is_kept_and_a_known_one_is_checked():
    """A newer device's events pass; a known kind has the fields of the grammar."""
    check_fields(13, [object()])
    with pytest.raises(ProtocolError) as refused:
        check_fields(event.TIME_MARK, [1])

    assert refused.value.code == MALFORMED


def test_every_kind_has_a_name():
    """Tables of kinds and qualities are complete."""
    assert event.KIND_NAMES[event.COMMAND] == "command"
    assert event.QUALITY_NAMES[event.NOT_SAMPLED] == "not_sampled"
