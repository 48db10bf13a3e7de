"""Faults in what waits for a window, planted into the real code: on the device that waits, and at the gateway that says for how long.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from agent import adopter, resources
from agent.bulk import Bulk
from agent.exchange import Exchange
from agent.host import Host
from gateway.links import site
from gateway.links.site import Site
from protocol import window
from protocol.command import BULK_UNTIL_S


def hold_what_is_critical(put):
    """Let nothing at all go outside the window."""
    true = Exchange._choose

    def choose(self):
        return None if self.bulk.holds_releases() else true(self)

    put(Exchange, "_choose", choose)


def send_a_backlog_outside(put):
    """Take the window for a hint."""
    put(Bulk, "holds_routine", lambda self, waiting: False)


def fetch_releases_outside(put):
    """Ask for a release as soon as it is named."""
    put(adopter.Adopter, "is_bulk", False)


def wait_for_a_window_that_never_comes(put):
    """Let the oldest readings give way rather than send them at the wrong time."""
    table = tuple((*row[:4], row[4] & ~resources.OPEN_WINDOW, row[5]) for row in resources.TABLE)
    put(resources, "TABLE", table)


def open_while_no_time_is_known(put):
    """Take 1970 for a time of day."""
    true = Bulk.holds_releases

    def holds(self):
        return self._clock.wall() is not None and true(self)

    put(Bulk, "holds_releases", holds)


def forget_what_a_command_opened(put):
    """Wait for the window whatever a person said."""
    true = Host.change

    def change(self, setting, value):
        if setting != BULK_UNTIL_S:
            true(self, setting, value)

    put(Host, "change", change)


def go_on_as_the_dear_link_said(put):
    """Keep the longest wait that any link named."""
    true = Bulk.told
    put(Bulk, "told", lambda self, seconds: None if seconds is None else true(self, seconds))


def close_at_midnight(put):
    """Take a window over midnight for none."""
    true = window.wait_s
    put(site, "wait_s", lambda hours, wall_ms: 60 if hours[1] < hours[0] else true(hours, wall_ms))


def say_it_of_every_link(put):
    """Take one link's window for that of all."""
    windows = {}
    true = Site.over

    def over(self, link, hours=None):
        windows.setdefault("first", hours)
        return true(self, link, windows["first"])

    put(Site, "over", over)


FAULTS = {
    plant.__name__: plant
    for plant in (
        hold_what_is_critical,
        send_a_backlog_outside,
        fetch_releases_outside,
        wait_for_a_window_that_never_comes,
        open_while_no_time_is_known,
        forget_what_a_command_opened,
        go_on_as_the_dear_link_said,
        close_at_midnight,
        say_it_of_every_link,
    )
}
