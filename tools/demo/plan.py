"""What happens when in a demonstration: everything that is chosen by chance, from one seed."""

from dataclasses import dataclass
from math import ceil
from random import Random

DEVICES_MAX = 32
SECONDS_MIN = 20
SECONDS_MAX = 3600
# In a shorter story the sectors beside the cut are so much of the ring that it is not written twice.
_TWO_WRAPS_S = 40
# Flash pages that a device writes in a second of the wall: up to 9.7 measured, decisions and their actions mostly.
_PAGES_PER_S = 10
_PAGES_PER_SECTOR = 16
# The open sector of each lane, the one that stays free, and one that is still left: with none, the device would begin to thin.
_SECTORS_BESIDE = 4
# Receipts of what came before the cut, and those of what waited in it, take so long.
_RECEIPTS_S = 2
# Of the whole: how long the uplink is there before the cut, and how long it is cut.
_BEFORE_CUT, _CUT = 0.35, 0.2


@dataclass(frozen=True)
class Plan:
    """Times are seconds from the start of the devices; rows count into the recording.

    offsets: the row at which each device starts. victim: the device that loses power, at victim_s.
    journal_sectors: sectors of 4 KiB of each device's ring. It holds what is written in the cut and little more:
    so it is written more than twice from end to end.
    A changed rule is released at release_s, well before the cut; a bad one at bad_s, after it.
    The uplink is cut from cut_s to mend_s; the gateway is killed at kill_s and started again at restart_s, both within.
    """

    seed: int
    seconds: float
    offsets: tuple[int, ...]
    cut_s: float
    mend_s: float
    kill_s: float
    restart_s: float
    victim: int
    victim_s: float
    journal_sectors: int
    release_s: float
    bad_s: float

    @property
    def wraps_min(self) -> int:
        """How often each ring must have been written from end to end: twice, but a short story has not the time."""
        return 2 if self.seconds >= _TWO_WRAPS_S else 0

    @property
    def cut_seconds(self) -> float:
        """How long the uplink is cut."""
        return self.mend_s - self.cut_s


def make_plan(seed: int, devices: int, seconds: float, leaks: list[int], rows: int) -> Plan:
    """Return the plan of a seed. leaks: rows at which a leak begins; each device starts shortly before one of them."""
    chance = Random(seed)  # noqa: S311 -- a story, not a secret
    offsets = tuple((leaks[i % len(leaks)] - chance.randint(20, 60)) % rows for i in range(devices))
    start, cut = seconds * _BEFORE_CUT, seconds * _CUT
    kill = start + cut * chance.uniform(0.2, 0.35)
    return Plan(
        seed=seed,
        seconds=seconds,
        offsets=offsets,
        cut_s=start,
        mend_s=start + cut,
        kill_s=kill,
        restart_s=kill + cut * 0.15,
        victim=chance.randrange(devices),
        victim_s=start + cut * chance.uniform(0.6, 0.9),
        journal_sectors=_SECTORS_BESIDE + ceil((cut + _RECEIPTS_S) * _PAGES_PER_S / _PAGES_PER_SECTOR),
        release_s=start * 0.15,
        bad_s=start + cut + start * 0.2,
    )
