"""Faults in changing the view class of a device's readings, planted into the real code: on the device, and in the office that watches.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from agent import recovery
from agent.commander import Commander
from agent.host import Host
from agent.journal import Journal
from office_ingest.watch import view_class
from protocol.command import ROUTINE_CLASS, parse_command
from protocol.keys import ROUTINE


def change_within_a_period(put):
    """Seal in the class that is wanted at once."""
    put(
        Journal, "_class_of", lambda self, lane: self.routine_class if lane == ROUTINE else self.classes[lane]
    )


def forget_the_class_in_force(put):
    """Take nothing from the flash: each boot begins with the class that is wanted."""
    put(recovery, "newest_class", lambda journal, lane: None)


def forget_the_class_over_a_restart(put):
    """Seal after a boot as it was provisioned."""
    true = Commander.resume

    def resume(self, taken, settings):
        true(self, taken, {setting: value for setting, value in settings.items() if setting != ROUTINE_CLASS})

    put(Commander, "resume", resume)


def change_the_critical_lane_too(put):
    """Let decisions and checkpoints have the class of the readings."""
    true = Journal.want_class

    def want(self, wanted):
        true(self, wanted)
        self.classes = (wanted, self.classes[ROUTINE])

    put(Journal, "want_class", want)


def say_done_and_do_nothing(put):
    """Answer the command, and go on as before."""
    true = Host.change

    def change(self, setting, value):
        if setting != ROUTINE_CLASS:
            true(self, setting, value)

    put(Host, "change", change)


def take_orders_of_anybody(put):
    """Carry out what carries no seal of the office."""
    put(Commander, "_read", lambda self, raw: parse_command(raw).fields)


def believe_what_it_said(put):
    """Look at the device's answer, and never at what comes."""
    put(view_class, "_newest", lambda store, device: None)


def expect_it_at_once(put):
    """Find the rest of the period in which it was taken."""
    put(view_class, "_period_at", lambda store, device, at_ms: -1)


FAULTS = {
    plant.__name__: plant
    for plant in (
        change_within_a_period,
        forget_the_class_in_force,
        forget_the_class_over_a_restart,
        change_the_critical_lane_too,
        say_done_and_do_nothing,
        take_orders_of_anybody,
        believe_what_it_said,
        expect_it_at_once,
    )
}
