"""The storage of a device on both runtimes: the same events, cuts and boots leave the same flash, byte for byte."""

from binascii import hexlify
from hashlib import sha256

from agent.flash import MODES, PowerCut
from agent.journal import NoRoom
from protocol.keys import CRITICAL, ROUTINE
from tests.both.flash_site import Site

# Equal on CPython and MicroPython. Changes only with the bytes of SPEC.md, with the cell's fields, or with where the ring places them.
DIGEST = "5e57742e8e14e3d49e8f8d999f1c267da594f0c9a939d4d2d370a493b63e2b60"


def _live(site, turns):
    for turn in range(turns):
        site.decide(turn)
        for i in range(20):
            if site.sample((turn * turn + 977 * i) % 4001):
                site.seal(ROUTINE, "seal_full")
        try:
            site.seal(ROUTINE)
            site.bulk()
        except NoRoom:
            site.journal.thin(ROUTINE)
        if turn % 9 == 5:
            site.acknowledge(CRITICAL, site.journal.offer()[CRITICAL][1])
        if turn % 11 == 7:
            site.switch()


def test_same_events_and_cuts_leave_the_same_flash():
    """Sealing, pruning, key steps, period switches, and cuts in every mode: one digest of the final image."""
    site = Site(ring_sectors=6)
    for cut in range(6):
        site.power_on()
        site.flash.cut_after(13 + 17 * cut, MODES[cut % 3], seed=cut + 1)
        try:
            site.boot()
            _live(site, 30)
            raise AssertionError("no cut")
        except PowerCut:
            pass
    site.power_on()
    site.boot()
    site.check_all()
    _live(site, 30)
    site.power_on()
    site.boot()
    site.check_all()

    assert site.journal.kept_from(ROUTINE) > 0
    assert site.keystore.seal_key(ROUTINE)[0] > 0
    assert hexlify(sha256(site.flash.image).digest()).decode() == DIGEST


def test_every_sealed_segment_can_be_read_back():
    """What seal() returned is found by its number, and a number that was never sealed is not."""
    site = Site(ring_sectors=8)
    site.boot()
    _live(site, 5)
    for lane in (CRITICAL, ROUTINE):
        kept, top, _ = site.journal.offer()[lane]
        for number in range(kept, top + 1):
            assert site.journal.read(lane, number) == site.durable[(lane, 0, number)]
        assert site.journal.read(lane, top + 1) is None
