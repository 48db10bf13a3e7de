"""A device that was told to seal its readings in another view class: what the office says of it, and that it notices who does not."""

import pytest

from office_ingest.govern.commands import CommandRefused, demand_words, give_command
from office_ingest.watch.view_class import VIEW_CLASS, record_view_classes
from protocol.command import DONE, LATE, ROUTINE_CLASS, SET_SETTING
from protocol.event import COMMAND
from protocol.keys import CRITICAL, OFFICE, ROUTINE, SITE
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk


class Changed:
    """An office and a device of it, whose routine events come in class site."""

    def __init__(self, folder):
        self.desk, self.device = OfficeDesk(folder), DeviceModel(1)
        self.desk.add(self.device)
        self.seal()

    def seal(self, view_class=None, period=None):
        """Take a routine segment, in another class or period from now on."""
        if view_class is not None:
            self.device.view_class = (OFFICE, view_class)
        self.device.period = self.device.period if period is None else period
        self.desk.now_ms += 1
        self.desk.take(self.device.seal(ROUTINE))

    def order(self, view_class, verdict=DONE):
        """Give the command, and take the device's answer."""
        given = give_command(
            self.desk.store,
            self.desk.keystore,
            self.device.device,
            [SET_SETTING, ROUTINE_CLASS, view_class],
            author="a",
            now_ms=self.desk.now_ms,
            lasts_ms=1000,
        )
        demand = [SET_SETTING, ROUTINE_CLASS, view_class]
        self.desk.now_ms += 1
        row = self.device.row(COMMAND, given.number, demand, verdict, SITE if verdict == DONE else None)
        self.desk.take(self.device.seal(CRITICAL, [row]))

    def look(self):
        """Return the open findings of this kind, looked for now."""
        record_view_classes(self.desk.store, self.desk.now_ms)
        return [kind for kind, _ in self.desk.findings() if kind == VIEW_CLASS]


@pytest.fixture
def changed(tmp_path):
    return Changed(tmp_path)


def check_class_that_was_forgotten_is_found(changed):
    """Let the device take class office, go on in site for the rest of its period and beyond, and do as it said in the end."""
    seen = [changed.look()]
    changed.order(OFFICE)
    changed.seal()
    seen.append(changed.look())
    changed.seal(period=1)
    seen.append(changed.look())
    changed.seal(OFFICE, period=2)
    seen.append(changed.look())

    assert [[], [], [VIEW_CLASS], []] == seen


def test_class_that_was_forgotten_is_found(changed):
    """The period in which it was taken may end as it began; the next one may not."""
    check_class_that_was_forgotten_is_found(changed)


def test_newest_command_counts(changed):
    """Back in class site, by another command, is right again; a command that was not carried out changes nothing."""
    changed.order(OFFICE)
    changed.order(SITE)
    changed.order(OFFICE, verdict=LATE)
    changed.seal(period=1)

    assert [] == changed.look()


def test_segments_of_both_classes_are_one_chain(changed):
    """The office reads what came before and after, and the auditor finds nothing wrong."""
    changed.order(OFFICE)
    changed.seal(OFFICE, period=1)
    changed.seal(SITE, period=2)

    assert [(1,), (2,), (1,)] == changed.desk.rows("segments", "class", "lane = 1 ORDER BY number")
    assert [] == changed.desk.findings()


@pytest.mark.parametrize("value", [0, 3])
def test_what_is_no_class_is_not_sent(changed, value):
    """The device would refuse it."""
    with pytest.raises(CommandRefused, match="routine_class is 1 to 2"):
        changed.order(value)


def test_words_name_the_class():
    """A person reads the class, not its number."""
    assert "seal routine events in class office" == demand_words([SET_SETTING, ROUTINE_CLASS, OFFICE])
