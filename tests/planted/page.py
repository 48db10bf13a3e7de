"""Faults of the office's page, planted into the real code. Each name says what a broken page would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import re
import sqlite3

from office_ingest.receive import claims
from office_ingest.show import (
    boards,
    device,
    findings,
    live,
    paper,
    reading_room,
    readings,
    service,
    site,
    snapshot,
)
from office_ingest.show.bodies import Bodies
from office_ingest.show.chain import Chains
from office_ingest.show.guarding import Guarding
from office_ingest.show.live import Hub
from office_ingest.show.order import Orders
from office_ingest.show.recents import Recents
from office_ingest.show.snapshot import FleetReader
from office_ingest.show.standing import Standing
from office_ingest.storage.downward import Adoption
from protocol.adoption import CONFIRMED
from protocol.bins import decode_bins

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
    put(service, "is_loopback", lambda host: True)


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


def overlook_attributes(put):
    """Take a live element for as it was while what it holds is."""
    made = live._rendering
    put(live, "_rendering", lambda html: made(re.sub(' class="[^"]*"', "", html)))


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


def show_what_was_erased(put):
    """Give out what was opened once without asking for its key."""
    asked = Bodies.body

    def body(self, keys, device, raw):
        return self._kept.get((device, raw)) or asked(self, keys, device, raw)

    put(Bodies, "body", body)


def keep_what_was_erased(put):
    """Forget what was read with an erased key only when somebody asks for it."""
    put(Recents, "forget_erased", lambda self, keystore: False)


def keep_written_readings(put):
    """Keep the pages of devices as they were written last."""
    put(paper, "PAGES_KEPT", ("findings", "device"))


def keep_readings(put):
    """Show of a device what was held when it was first looked at."""
    looked = Recents.look

    def look(self, connection, keystore, device):
        kept = self._kept.get(device)
        return kept.drawn if kept else looked(self, connection, keystore, device)

    put(Recents, "look", look)


def count_lanes_once(put):
    """Count a device's segments at the first look and never again."""
    counted = Chains._lanes

    def lanes(self, connection, device):
        kept = self._kept.get(device)
        return kept.lanes if kept else counted(self, connection, device)

    put(Chains, "_lanes", lanes)


def keep_findings(put):
    """Take the findings for unchanged as long as as many gaps, forks and refusals are there."""
    put(findings, "_TABLES", ("gaps", "forks", "quarantine", "devices"))


def keep_written_findings(put):
    """Write the findings' page once."""
    written = paper.Paper._body

    def body(self, page, shown, topic):
        kept = self._written.get((page, topic))
        return kept[1] if kept else written(self, page, shown, topic)

    put(paper.Paper, "_body", body)


def keep_orders(put):
    """Show the fleet in an order that is kept for longer than the snapshot it was made of."""
    looked = Orders.look

    def look(self, snapshot, asked):
        return looked(self, self._snapshot or snapshot, asked)

    put(Orders, "look", look)


def keep_standing(put):
    """Keep who runs a release for longer than the snapshot it was read from."""
    parted = Standing._parted
    put(
        Standing,
        "_parted",
        lambda self, snapshot: self._parts[1] if self._parts else parted(self, snapshot),
    )


def count_in_only(put):
    """Count a device's new state in and its old one not out."""
    counted = FleetReader._count
    put(FleetReader, "_count", lambda self, row, by: counted(self, row, by) if by > 0 else None)


def count_from_the_top(put):
    """Show the counts of a channel's range the wrong way round."""
    put(readings, "decode_bins", lambda raw: decode_bins(raw)[::-1])


def show_enough_where_nobody_knows(put):
    """Call a battery without a gauge, or a link without an allowance, enough."""
    put(device, "left_words", lambda health: {} if health is None else health["levels"])


def watch_the_database_alone(put):
    """Look for changes in the database, and not in the keystore, where boards wait."""
    seen = reading_room._version

    def version(connection):
        held = {row[1] for row in connection.execute("PRAGMA table_list")}
        return 0 if "claims" in held else seen(connection)

    put(reading_room, "_version", version)


def show_who_is_done(put):
    """Let a board wait after somebody decided."""
    put(claims.Board, "waits", property(lambda self: bool(self.hearings)))


def admit_like_anybody(put):
    """Name the first device there is, whatever board it runs on."""
    put(boards, "_like", lambda connection, hardware, site: "nobody there")


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
        overlook_attributes,
        hold_the_quick_up,
        keep_what_nobody_views,
        trust_the_calendar,
        show_what_was_erased,
        keep_what_was_erased,
        keep_written_readings,
        keep_readings,
        count_lanes_once,
        keep_findings,
        keep_orders,
        keep_standing,
        keep_written_findings,
        count_in_only,
        count_from_the_top,
        show_enough_where_nobody_knows,
        watch_the_database_alone,
        show_who_is_done,
        admit_like_anybody,
    )
}
