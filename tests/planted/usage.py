"""Faults in counting what devices move, planted into the real code: at the gateway that counts, and in the office that adds up.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from gateway import usage as gateway_usage
from gateway.links import server
from gateway.links.server import CoapServer
from gateway.usage import Usage
from office_ingest.storage import usage as office_usage
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.storage.usage import UsageStore
from office_ingest.watch import budget


def add_what_is_told_again(put):
    """Take totals for differences."""
    true = UsageStore.put

    def added(self, gateway, device, day, link, counts, life):
        sql = "SELECT sum(received_bytes), sum(sent_bytes) FROM link_usage WHERE device = ? AND gateway = ?"
        held = self._store.connection.execute(sql, (device, gateway)).fetchone()
        more = [(held[at] or 0) + counts[at] for at in range(2)]
        true(self, gateway, device, day, link, (*more, *counts[2:]), life)

    put(UsageStore, "put", added)


def believe_whatever_came_last(put):
    """Let a request that was overtaken put the total back."""

    def last(self, gateway, device, day, link, counts, _life):
        self._store.put("link_usage", device, day, link, gateway, *counts)

    put(UsageStore, "put", last)


def let_one_gateway_speak_for_all(put):
    """Keep one total of a device, whoever counted it."""
    true = UsageStore.put
    put(
        UsageStore,
        "put",
        lambda self, gateway, device, day, link, counts, life: true(
            self, "gw-1", device, day, link, counts, life
        ),
    )


def take_all_lives_for_one(put):
    """Let what a gateway with an empty store counts wait until it is more than before."""
    true = UsageStore.put
    put(
        UsageStore,
        "put",
        lambda self, gateway, device, day, link, counts, _life: true(
            self, gateway, device, day, link, counts
        ),
    )


def take_any_number_of_lives(put):
    """Keep whatever lives a gateway thinks of."""
    put(office_usage, "LIVES_MAX", 1 << 30)


def begin_in_the_life_of_before(put):
    """Say one life for ever."""
    put(Usage, "_life_of", lambda self, key: bytes(8))


def count_replays_as_repetitions(put):
    """Let a device pay for whoever plays its request again."""
    put(server, "COPIES_MAX", 1 << 30)


def believe_what_was_challenged(put):
    """Count a challenged request for its device, whoever sent it."""
    put(server.CoapServer, "_doubt", lambda self, context, exchange: None)


def never_close_a_budget(put):
    """Leave the finding to a person."""
    true = SqliteStore.clear_finding

    def unless_budget(self, device, kind, place, now_ms):
        if kind != budget.BUDGET:
            true(self, device, kind, place, now_ms)

    put(SqliteStore, "clear_finding", unless_budget)


def count_the_request_alone(put):
    """Pass over what comes again, as if it had cost nothing."""
    true = CoapServer._repeat

    def free(self, exchange):
        self._site.moves.pop()
        true(self, exchange)

    put(CoapServer, "_repeat", free)


def begin_at_nothing(put):
    """Forget at the start what was counted before."""

    async def load(self):
        return

    put(Usage, "load", load)


def load_what_was_kept_twice(put):
    """Add what is kept to what is counted, each time that it is kept."""
    true = Usage.save

    async def save(self):
        await true(self)
        await self.load()

    put(Usage, "save", save)


def count_the_day_of_the_start(put):
    """Let a day be as long as the process."""
    true, first = Usage.moved, {}

    def moved(self, link, device, received, sent):
        clock = self._clock
        now = first.setdefault(id(self), clock.wall_ms())
        self._clock = type("Stopped", (), {"wall_ms": lambda _: now})()
        true(self, link, device, received, sent)
        self._clock = clock

    put(Usage, "moved", moved)


def forget_what_was_not_told(put):
    """Drop a day that is over, told or not."""
    put(gateway_usage, "DAYS_KEPT", 0)


FAULTS = {
    plant.__name__: plant
    for plant in (
        add_what_is_told_again,
        believe_whatever_came_last,
        let_one_gateway_speak_for_all,
        take_all_lives_for_one,
        take_any_number_of_lives,
        begin_in_the_life_of_before,
        count_replays_as_repetitions,
        believe_what_was_challenged,
        never_close_a_budget,
        count_the_request_alone,
        begin_at_nothing,
        load_what_was_kept_twice,
        count_the_day_of_the_start,
        forget_what_was_not_told,
    )
}
