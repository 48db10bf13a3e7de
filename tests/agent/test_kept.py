"""What the power cuts of an emulated board ask of its journal, asked of a desk: it lets go what may go, and nothing else.

A soak on the board once ended with "segment (1, 0, 140) is gone": the office had taken a tombstone's word for it, so the tombstone
could go from the flash too, and only the test did not know.
"""

import pytest

from agent import prune
from protocol.keys import ROUTINE
from tests.agent.desk import Desk
from tests.agent.kept import Kept
from tools.flashimage import parse_image

# A ring of eight sectors, gone round twice in SECONDS.
SECTORS = 12
SECONDS = 8


def _image(desk):
    return parse_image(bytes(desk.flash.image), "the desk's flash")


def _run(desk, kept, seconds=SECONDS):
    """Let a desk run, and look at its flash twenty times a second."""
    desk.later = [(at / 20, lambda: kept.look(_image(desk))) for at in range(1, 20 * seconds)]
    assert desk.run(seconds) is None
    kept.look(_image(desk))


def _desk():
    desk = Desk(SECTORS, routine_seal_ms=36_000)
    return desk, Kept(desk.gateway.receipted)


def test_segment_whose_tombstone_the_office_took_may_leave_no_trace_on_flash():
    """The ring was too small for an outage; afterwards the office accounts for all of it, and the flash has forgotten it."""
    desk, kept = _desk()
    desk.gateway.is_down = True
    _run(desk, kept)
    pruned = [segment.tombstone for segment in _image(desk).lane(ROUTINE).tombstones]
    desk.gateway.is_down = False
    _run(desk, kept)

    lost = desk.gateway.lost_below(ROUTINE, 0)
    assert pruned and set(range(pruned[-1].first, pruned[-1].last + 1)) <= lost
    assert lost.isdisjoint({number for lane, _, number in desk.gateway.segments if lane == ROUTINE})
    assert _image(desk).lane(ROUTINE).tombstones == []


def test_segment_that_is_pruned_without_a_tombstone_is_missed(monkeypatch):
    """A planted fault: room is made and nobody is told."""
    monkeypatch.setattr(prune, "_write_tombstone", lambda journal, lane, victim: None)
    desk, kept = _desk()
    desk.gateway.is_down = True

    with pytest.raises(AssertionError, match=r"routine segments .* are gone"):
        _run(desk, kept)


def test_lane_that_is_gone_as_a_whole_is_missed():
    """No segment is left that could have a hole before it."""
    desk, kept = _desk()
    desk.gateway.gives_receipts = False
    _run(desk, kept, 1)
    image = _image(desk)
    image.lanes = [lane for lane in image.lanes if lane.lane != ROUTINE]

    with pytest.raises(AssertionError, match=r"routine segments .* are gone"):
        kept.look(image)


def test_segment_with_other_bytes_and_an_epoch_of_its_own_are_seen():
    """A lane that begins anew is no recovery, nor is one that seals a number twice."""
    desk, kept = _desk()
    _run(desk, kept, 1)
    other, later = _image(desk), _image(desk)
    other.lane(ROUTINE).segments[-1].digest = bytes(32)
    later.lanes[0].epoch = 1

    with pytest.raises(AssertionError, match="has other bytes than before"):
        kept.look(other)
    with pytest.raises(AssertionError, match="an epoch was begun"):
        kept.look(later)
