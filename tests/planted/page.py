"""Faults of the office's page, planted into the real code. Each name says what a broken page would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import sqlite3

from office_ingest.show import live, paper, reading_room, service, site, snapshot
from office_ingest.show.guarding import Guarding
from office_ingest.show.live import Hub
from office_ingest.show.standing import Standing
from office_ingest.storage.downward import Adoption
from protocol.adoption import CONFIRMED

_NO_STEP = Adoption(0, 0, 0, 0, 0, -1, None, 0, 0)


def count_adoption_events(put):
    """Count a device as running a release because it said that it confirmed it."""
    put(Standing, "_runs", lambda self, row: self._steps.get(row.device, _NO_STEP).step == CONFIRMED)


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


def end_at_what_fails(put):
    """Take what cannot be rendered for nothing that can happen."""
    told = Hub._tell

    async def tell(self, topic):
        await self._render(topic)
        await told(self, topic)

    put(Hub, "_tell", tell)


def see_parts_only(put):
    """Overlook what changed outside the parts that are live."""
    made = live._rendering
    put(live, "_rendering", lambda html: made(html)._replace(rest=0))


def hold_the_quick_up(put):
    """Tell everybody to fetch the page because one did not keep up."""

    def send(self, topic, message):
        queues = self._viewers.get(topic, ())
        if any(queue.full() for queue in queues):
            message = self._message({"again": True})
        for queue in queues:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    put(Hub, "_send", send)


def keep_what_nobody_views(put):
    """Keep the last rendering of every address that anybody ever viewed."""

    class Kept(dict):
        def pop(self, *_):
            return None

    made = Hub.__init__

    def init(self, *arguments):
        made(self, *arguments)
        self._topics = Kept()

    put(Hub, "__init__", init)


def trust_the_calendar(put):
    """Take any number that a device says for a time that a calendar has."""
    put(paper, "_LAST_MS", 1 << 64)


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
        end_at_what_fails,
        see_parts_only,
        hold_the_quick_up,
        keep_what_nobody_views,
        trust_the_calendar,
    )
}
