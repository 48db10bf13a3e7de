"""A checkpoint counts only when it is whole."""

import pytest

from agent.checkpoint import BOOT, Checkpoint, PartJoiner, cut_parts, decode_checkpoint, encode_checkpoint
from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.keys import CRITICAL
from protocol.limits import checkpoint_part_bytes_max
from tests.both.flash_site import Site

D = bytes(range(32))
STATE = [[[5, 7], None], [[1, [1, -1, 0]], [2, list(range(120))]], [[1, None, None], [2, 9, 1]]]


def _point(**changes):
    fields = {
        "reason": BOOT,
        "now": 12,
        "bundle": (3, D),
        "schema": D,
        "agent": D,
        "semantics": 1,
        "engine": STATE,
        "positions": {2: 1, 1: 0},
        "period_start": 4,
        "pending": [(70000, 1, 1), (70001, 2, 0)],
    }
    return Checkpoint(**{**fields, **changes})


def _as_dict(point):
    return {name: getattr(point, name) for name in Checkpoint.__slots__}


def test_checkpoint_reads_as_it_was_written():
    """Every field comes back."""
    assert _as_dict(decode_checkpoint(encode_checkpoint(_point()))) == _as_dict(_point())


def test_parts_put_together_are_the_whole():
    """A checkpoint of several parts is whole with its last, not before."""
    data = encode_checkpoint(_point())
    parts = cut_parts(data)
    joiner = PartJoiner()
    got = [joiner.add(part) for part in parts]

    assert len(parts) > 1
    assert got == [None] * (len(parts) - 1) + [data]
    assert max(len(part[2]) for part in parts) <= checkpoint_part_bytes_max


@pytest.mark.parametrize("missing", [0, 1])
def test_checkpoint_that_lacks_a_part_does_not_count(missing):
    """Cut between two parts, then written anew: only the second one counts."""
    data = encode_checkpoint(_point())
    parts = cut_parts(data)
    joiner = PartJoiner()
    for part in parts[:missing] + parts[missing + 1 :]:
        assert joiner.add(part) is None

    assert [joiner.add(part) for part in parts][-1] == data


def test_checkpoint_beyond_sixteen_parts_is_refused():
    """What does not fit is refused, never cut off."""
    with pytest.raises(ProtocolError) as caught:
        cut_parts(bytes(16 * checkpoint_part_bytes_max + 1))

    assert caught.value.code == TOO_LARGE


@pytest.mark.parametrize(
    "data", [dumps([]), dumps({0: 2}), dumps({0: 1}), dumps(dict.fromkeys(range(10), 1))]
)
def test_bytes_that_are_no_checkpoint_are_refused(data):
    """Nothing that lacks an item is taken for one."""
    with pytest.raises(ProtocolError) as caught:
        decode_checkpoint(data)

    assert caught.value.code == MALFORMED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, True),
        (1, 5),
        (1, True),
        (2, -1),
        (2, True),
        (3, [3, D[:31]]),
        (3, [-3, D]),
        (4, D + D),
        (5, 7),
        (6, -1),
        (8, [[1, True]]),
        (8, [[-1, 0]]),
        (8, [[1, 0, 0]]),
        (9, -1),
        (9, None),
        (10, []),
        (10, [[-1, 1, 1]]),
        (10, [[1, 1, True]]),
        (11, 1 << 32),
        (11, True),
        (12, {}),
        (12, {256: 1}),
        (12, {1: -1}),
        (12, dict.fromkeys(range(9), 1)),
    ],
)
def test_item_that_the_grammar_does_not_have_is_refused(key, value):
    """Bounds and kinds are those of wire.cddl, item by item."""
    items = loads(encode_checkpoint(_point()))
    with pytest.raises(ProtocolError) as caught:
        decode_checkpoint(dumps({**items, key: value}))

    assert caught.value.code == MALFORMED


@pytest.mark.parametrize(("key", "value"), [(11, 0xFFFFFFFF), (12, {255: 0}), (8, []), (2, 1 << 63)])
def test_ends_of_the_grammars_ranges_are_taken(key, value):
    """What wire.cddl just allows is a checkpoint."""
    decode_checkpoint(dumps({**loads(encode_checkpoint(_point())), key: value}))


def test_checkpoint_is_due_once_more_than_a_third_of_the_ring_lies_behind_it():
    """Asked at each turn, and counted with each critical segment: never later, and no more after the next one."""
    site = Site(ring_sectors=7)
    site.boot()
    journal = site.journal
    answers = []
    for turn in range(100):
        site.decide(turn)
        sectors = [journal.ring.sectors[index] for index in journal.ring.of(CRITICAL, journal.epoch)]
        is_spread = len([sector for sector in sectors if sector.last >= journal.checkpoint]) > 2
        answers.append(journal.checkpoint_due)
        assert answers[-1] == journal.checkpoint_due == is_spread
        if is_spread:
            site.checkpoint()
            assert not journal.checkpoint_due

    assert 1 <= sum(answers) <= 4
