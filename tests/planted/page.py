"""Faults of the office's page, planted into the real code. Each name says what a broken page would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import sqlite3

from office_ingest.govern import rollout
from office_ingest.show import paper, reading_room, service, site, snapshot
from office_ingest.show.guarding import Guarding
from protocol.adoption import CONFIRMED


def count_adoption_events(put):
    """Count a device as running a release because it said that it confirmed it."""
    made = rollout._progress

    def progress(rollouts, held, row, step):
        return made(rollouts, held, row, step)._replace(runs=step is not None and step.step == CONFIRMED)

    put(rollout, "_progress", progress)


def answer_any_name(put):
    """Answer whatever name a request was sent to."""

    class AnyHost:
        def __init__(self, app, allowed_hosts):
            self._app = app

        async def __call__(self, scope, receive, send):
            await self._app(scope, receive, send)

    put(site, "TrustedHostMiddleware", AnyHost)


def send_no_policy(put):
    """Leave the headers out that make a slip fail."""

    async def call(self, scope, receive, send):
        await self._app(scope, receive, send)

    put(Guarding, "__call__", call)


def show_markup(put):
    """Put what people wrote into the page as it is."""
    environment = paper.Environment
    put(paper, "Environment", lambda **options: environment(**{**options, "autoescape": False}))


def listen_anywhere(put):
    """Take any address for this machine's own."""
    put(service, "check_loopback", lambda host: None)


def open_for_writing(put):
    """Read through a connection that could write."""
    put(
        reading_room,
        "open_read_only",
        lambda path: sqlite3.connect(path, isolation_level=None, check_same_thread=False),
    )


def keep_trouble(put):
    """See who got into trouble, and not who is out of it again."""
    put(snapshot, "_differing", lambda before, now: now.keys() - before.keys())


FAULTS = {
    plant.__name__: plant
    for plant in (
        count_adoption_events,
        answer_any_name,
        send_no_policy,
        show_markup,
        listen_anywhere,
        open_for_writing,
        keep_trouble,
    )
}
