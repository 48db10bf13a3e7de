"""A device that runs short of something is a finding for as long as it says so."""

from office_ingest.watch.levels import DEGRADED
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk

LEVELS = 12
FLASH_LOW, FLASH_SCARCE = 1 << 2, 2 << 2
BATTERY_SCARCE = 2 << 4


class Said:
    """An office and a device of which only heartbeats come."""

    def __init__(self, folder):
        self.desk, self.device = OfficeDesk(folder), DeviceModel()
        self.desk.add(self.device)

    def say(self, health):
        self.desk.take(heartbeats=[self.device.heartbeat(health=health)])

    def open(self):
        return self.desk.findings()


def test_finding_opens_when_a_level_rises_and_closes_when_it_is_back(tmp_path):
    """One for each resource; what is not short any more is over, and stays in the list with its times."""
    said = Said(tmp_path)
    said.say({0: 1000, LEVELS: FLASH_LOW | BATTERY_SCARCE})
    both = said.open()
    said.say({0: 1000, LEVELS: BATTERY_SCARCE})
    one = said.open()
    said.say({0: 1000})

    assert both == [(DEGRADED, "battery scarce"), (DEGRADED, "flash low")]
    assert one == [(DEGRADED, "battery scarce")]
    assert said.open() == []
    assert said.desk.rows("findings", "place, state, times", "1 ORDER BY place") == [
        ("battery scarce", "cleared", 1),
        ("flash low", "cleared", 1),
    ]


def test_low_that_becomes_scarce_is_another_finding_in_its_place(tmp_path):
    """A person who looked away sees which it is now, and how often each was."""
    said = Said(tmp_path)
    for level in (FLASH_LOW, FLASH_SCARCE, FLASH_LOW):
        said.say({LEVELS: level})

    assert said.open() == [(DEGRADED, "flash low")]
    assert said.desk.rows("findings", "times", "place = 'flash low'") == [(2,)]


def test_heartbeat_without_health_ends_and_begins_nothing(tmp_path):
    """Most heartbeats of an idle device carry none: the level holds, and is not counted again."""
    said = Said(tmp_path)
    said.say({LEVELS: FLASH_LOW})
    said.say({})
    said.say({LEVELS: FLASH_LOW})

    assert said.open() == [(DEGRADED, "flash low")]
    assert said.desk.rows("findings", "times") == [(1,)]


def test_heartbeat_that_is_refused_says_nothing_of_levels(tmp_path):
    """An old one that somebody sends again, and one that nobody sealed, open no finding."""
    said = Said(tmp_path)
    old = said.device.heartbeat(health={LEVELS: FLASH_SCARCE})
    said.say({0: 5})
    said.desk.take(heartbeats=[old])
    forged = bytearray(said.device.heartbeat(health={LEVELS: FLASH_SCARCE}))
    forged[-1] ^= 1
    said.desk.take(heartbeats=[bytes(forged)])

    assert said.open() == []
