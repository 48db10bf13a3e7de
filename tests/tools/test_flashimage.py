"""What a flash image says without the device: heads, chains and tombstones, and where a chain is broken."""

import pytest

from agent.flash import PowerCut
from protocol.diagnostic import DiagnosticError
from protocol.keys import CRITICAL, ROUTINE
from tests.agent.desk import DEVICE, Desk
from tools.flashimage import read_image


def _image(desk, tmp_path):
    path = tmp_path / "flash.bin"
    path.write_bytes(desk.flash.image)
    return read_image(path)


def _heads(image):
    found = []
    for lane in (CRITICAL, ROUTINE):
        held = image.lane(lane)
        found.append((held.kept_from, held.head.number, held.head.digest) if held else None)
    return tuple(found)


def test_heads_are_those_that_the_device_offers(tmp_path):
    """Number, digest and lowest kept number of both lanes are the heartbeat's, and the sequences count all events."""
    desk = Desk()
    desk.run(6)
    image = _image(desk, tmp_path)

    assert image.device == DEVICE
    assert _heads(image) == desk.agent._journal.offer()
    assert sum(lane.head.next_sequence for lane in image.lanes) == len(desk.recorded) + 1
    assert (image.faults, image.torn) == ([], 0)


def test_pruned_ring_shows_its_tombstones(tmp_path):
    """A ring that wrapped during an outage names what it pruned, and its chain still closes."""
    desk = Desk(sectors=4 + 8, drain_ms=100)
    desk.gateway.is_down = True
    desk.run(40)
    image = _image(desk, tmp_path)
    newest = image.lane(ROUTINE).tombstones[-1].tombstone

    assert _heads(image) == desk.agent._journal.offer()
    assert (newest.first, newest.last) == (0, image.lane(ROUTINE).kept_from - 1)
    assert image.faults == []


@pytest.mark.parametrize("mode", ["torn", "noise"])
@pytest.mark.parametrize("operations", range(20, 40))
def test_torn_program_is_never_taken_for_a_head(tmp_path, operations, mode):
    """After a power cut the image says what the device finds when it boots from it."""
    desk = Desk()
    assert isinstance(desk.run(10, cut=(operations, mode)), PowerCut)
    image = _image(desk, tmp_path)
    before = _heads(image)
    desk.gateway.is_down = True
    journal = desk.boot()._journal
    after = _heads(_image(desk, tmp_path))

    assert after == journal.offer()
    assert image.faults == []
    for lane in (CRITICAL, ROUTINE):
        if before[lane] is not None:
            assert journal.read(lane, before[lane][1]) is not None
            assert after[lane][1] >= before[lane][1]


def test_changed_segment_breaks_its_chain(tmp_path):
    """One flipped bit in an older segment is found by the digest in the one after it."""
    desk = Desk()
    desk.run(12)
    raw = desk.agent._journal.read(CRITICAL, 5)
    at = desk.flash.image.find(raw)
    desk.flash.image[at + 200] ^= 1
    image = _image(desk, tmp_path)

    assert image.faults == ["critical epoch 0: segment 6 does not follow the 5 that is held"]


@pytest.mark.parametrize("size", [0, 4095, 4096 * 7])
def test_file_that_is_no_image_is_refused(tmp_path, size):
    """A file of another size is said to be none."""
    path = tmp_path / "flash.bin"
    path.write_bytes(bytes(size))

    with pytest.raises(DiagnosticError):
        read_image(path)
