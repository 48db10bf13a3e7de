"""What happens when in a demonstration: everything that is chosen by chance, from one seed."""

from dataclasses import dataclass
from random import Random

DEVICES_MAX = 32
SECONDS_MIN = 20
SECONDS_MAX = 3600
# Ten sectors in 45 s: small enough to wrap twice, large enough for a gateway that is away for seconds.
_SECONDS_PER_SECTOR = 4.5
_SECTORS_MIN = 6
_SECTORS_MAX = 10


@dataclass(frozen=True)
class Plan:
    """Times are seconds from the start of the devices; rows count into the recording.

    offsets: the row at which each device starts. victim: the device that loses power, at victim_s.
    journal_sectors: sectors of 4 KiB of each device's ring, so few that it wraps twice in this time.
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

    @property
    def cut_seconds(self) -> float:
        """How long the uplink is cut."""
        return self.mend_s - self.cut_s


def make_plan(seed: int, devices: int, seconds: float, leaks: list[int], rows: int) -> Plan:
    """Return the plan of a seed. leaks: rows at which a leak begins; each device starts shortly before one of them."""
    chance = Random(seed)  # noqa: S311 -- a story, not a secret
    offsets = tuple((leaks[i % len(leaks)] - chance.randint(20, 60)) % rows for i in range(devices))
    third = seconds / 3
    kill = third + third * chance.uniform(0.2, 0.35)
    return Plan(
        seed=seed,
        seconds=seconds,
        offsets=offsets,
        cut_s=third,
        mend_s=2 * third,
        kill_s=kill,
        restart_s=kill + third * 0.15,
        victim=chance.randrange(devices),
        victim_s=third + third * chance.uniform(0.6, 0.9),
        journal_sectors=max(_SECTORS_MIN, min(_SECTORS_MAX, round(seconds / _SECONDS_PER_SECTOR))),
    )
