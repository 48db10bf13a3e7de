"""What is held, what a device offers, and the plan between them."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.reconcile import Custody, Fork, Lane, Lost, Offer, Want, fold_wants, reconcile
from protocol.limits import segment_bytes_max
from protocol.ranges import Ranges

OURS = b"o" * 32
THEIRS = b"t" * 32
NUMBERS = st.integers(0, 60)


@st.composite
def lanes(draw):
    lane = Lane(receipted=draw(NUMBERS), kept_from=draw(NUMBERS))
    for start, size in draw(st.lists(st.tuples(NUMBERS, st.integers(1, 9)), max_size=6)):
        lane.held.add(start, start + size)
    for start, size in draw(st.lists(st.tuples(NUMBERS, st.integers(1, 9)), max_size=2)):
        lane.lost.add(start, start + size)
    return lane


@st.composite
def offers(draw):
    kept_from = draw(NUMBERS)
    return Offer(kept_from, kept_from + draw(st.integers(0, 30)), draw(st.sampled_from([OURS, THEIRS])))


def carry_out(lane, digests, plan):
    """Do what the plan says: the device sends what is wanted, losses are noted. Return the digests then held."""
    for action in plan:
        if isinstance(action, Want):
            lane.held.add(action.start, action.stop)
        elif isinstance(action, Lost):
            lane.lost.add(action.start, action.stop)
        elif isinstance(action, Fork):
            digests = digests | {action.theirs}
    return digests


@given(lanes(), offers(), st.booleans(), st.one_of(st.none(), st.tuples(NUMBERS, st.integers(0, 9))))
def test_plan_carried_out_is_not_repeated(lane, offer, has_head, gone):
    """After a plan was carried out, the same offer yields no want, fork or loss that was in it."""
    digests = frozenset([OURS]) if has_head else frozenset()
    tombstone = (gone[0], gone[0] + gone[1]) if gone else None

    first = reconcile(lane, offer, digests=digests, tombstone=tombstone)
    digests = carry_out(lane, digests, first)
    second = reconcile(lane, offer, digests=digests, tombstone=tombstone)

    assert not [action for action in second if not isinstance(action, Custody) and action in first]


@given(lanes(), offers(), st.integers(0, 40))
def test_wants_stay_within_the_budget_and_what_the_device_keeps(lane, offer, room):
    """Wants are disjoint, oldest first, inside the offer, never for what is settled, and within the budget."""
    plan = reconcile(lane, offer, budget_bytes=room * segment_bytes_max)
    wants = [action for action in plan if isinstance(action, Want)]

    settled = lane.settled()
    assert sum(want.stop - want.start for want in wants) <= room
    assert wants == sorted(wants)
    for want in wants:
        assert offer.kept_from <= want.start < want.stop <= offer.number + 1
        assert settled.missing(want.start, want.stop) == [(want.start, want.stop)]


@given(lanes())
def test_custody_never_covers_a_hole(lane):
    """Every number below the custody watermark is held, receipted, lost, or given up by the device; the watermark is not."""
    watermark = lane.watermark()

    for number in range(watermark + 1):
        is_settled = (
            number in lane.held or number in lane.lost or number < lane.receipted or number < lane.kept_from
        )
        assert is_settled == (number < watermark)


def test_forked_head_is_reported_first_and_wanted():
    """The other digest of a number is evidence: it comes before all else, and is asked for."""
    lane = Lane([(0, 10)])

    plan = reconcile(lane, Offer(0, 9, THEIRS), digests=frozenset([OURS]))

    assert plan == [Fork(9, OURS, THEIRS), Want(9, 10), Custody(10)]


def test_tombstone_closes_the_hole_it_covers():
    """What a tombstone covers and we lack is lost; what we hold of it stays held."""
    lane = Lane([(0, 3), (5, 6)])

    plan = reconcile(lane, None, tombstone=(2, 7))

    assert plan == [Lost(3, 5), Lost(6, 8), Custody(8)]


def test_fresh_gateway_does_not_wait_for_what_the_device_no_longer_keeps():
    """A gateway without history asks for what the device still keeps, and for nothing before it."""
    plan = reconcile(Lane(), Offer(50, 52, OURS))

    assert plan == [Want(50, 53), Custody(50)]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=9))
def test_folded_wants_are_the_same_numbers(pairs):
    """Wants of several sources become one list of disjoint ranges with the same numbers."""
    folded = fold_wants(pairs, 100)

    assert {n for start, stop in folded for n in range(start, stop)} == {
        n for start, stop in pairs for n in range(start, stop)
    }
    assert folded == Ranges(folded).pairs
