"""What a gateway holds of the links that the office tells: whole sets and differences, over restarts, damage and refusals."""

import asyncio
import contextlib
import sqlite3

import pytest

from gateway.config import Link
from gateway.errors import StoreFailed
from gateway.health import Health
from gateway.link_set import LinkSet
from protocol.uplink import UplinkAnswer, encode_uplink_answer, links_mark, parse_uplink_answer
from tests.gateway import part_bench
from tests.gateway.part_bench import PartBench
from tests.gateway.site import TestClock


def link(n, turn=0):
    """Return the link of the n-th device; turn: of its secret."""
    return Link(bytes(7) + bytes([n]), bytes([n, turn]), b"secret of %d at %d" % (n, turn))


def whole(*entries):
    """Return what an answer says of all links."""
    return links_mark(entries), None, list(entries), []


def change(base, after, put, gone=()):
    """Return what turns one list of entries into another."""
    return links_mark(after), links_mark(base), list(put), list(gone)


class Bench(PartBench):
    """A gateway's store and its set of links. listed: what its links.toml has."""

    def __init__(self, folder, listed=(), *, asks=True):
        self.listed = list(listed)
        self.asks = asks
        self.health = Health()
        self.told = []
        super().__init__(folder, TestClock(), self.begin)

    def begin(self, store):
        """Hold no set in memory."""
        self.set = LinkSet(store, self.health, self.listed, reload=self._reload, asks=self.asks)
        return self.set

    def _reload(self, links):
        self.told = sorted(links)

    async def take(self, said):
        """Carry out what crosses the uplink."""
        raw = encode_uplink_answer(UplinkAnswer(links=said))
        await self.set.take(parse_uplink_answer(raw).links)

    def written(self):
        """Return the bytes of the store's files."""
        return b"".join(file.read_bytes() for file in self.folder.glob("gateway.db*"))


def runner(folder, listed=(), **about):
    """Return bench(body): run an async body(bench) on new files."""
    return part_bench.runner(lambda: Bench(folder, listed, **about))


@pytest.fixture
def bench(tmp_path):
    """Run an async body on new files."""
    return runner(tmp_path)


@pytest.fixture
def listing(tmp_path):
    """The same, with the first device in links.toml."""
    return runner(tmp_path, [link(1)])


def test_a_set_counts_at_once_and_after_a_restart(bench):
    """Devices of the set are served, from the store too."""

    async def body(made):
        empty = made.set.held()
        await made.take(whole(link(1), link(2)))
        now = made.told
        await made.restart()

        assert ("", [link(1), link(2)], [link(1), link(2)]) == (empty, now, made.told)
        assert links_mark([link(1), link(2)]).hex() == made.set.held()

    bench(body)


@pytest.mark.proves("S38")
def test_a_device_that_the_set_no_longer_names_is_gone_whatever_the_file_says(listing):
    """Moved or revoked: it is not served, also not from links.toml, and its secret is in no file of the store."""

    async def body(made):
        await made.take(whole(link(1), link(2)))
        await made.take(change([link(1), link(2)], [link(2)], [], [link(1).device]))
        now, written = made.told, made.written()
        made.set.relist(made.listed)
        await made.restart()

        assert ([link(2)], [link(2)]) == (now, made.told)
        assert link(1).secret not in written
        assert link(2).secret in made.written()

    listing(body)


def test_the_file_counts_until_a_set_was_told_and_where_the_office_knows_no_secret(listing):
    """A gateway of before goes on with its links.toml."""

    async def body(made):
        before = made.set.links()
        await made.take(whole((link(1).device,), link(2)))
        now = made.told
        await made.restart()

        assert ([link(1)], [link(1), link(2)], [link(1), link(2)]) == (before, now, made.told)

    listing(body)


def test_a_gateway_with_a_token_takes_none(tmp_path):
    """It asks for none, and does not believe what it did not ask for."""

    async def body(made):
        held = made.set.held()
        await made.take(whole(link(2)))

        assert (None, [link(1)]) == (held, made.set.links())
        assert link(2).secret not in made.written()

    runner(tmp_path, [link(1)], asks=False)(body)


def test_two_links_of_a_device_count_beside_each_other(bench):
    """The old and the new secret, until the office names one alone; then the other one is in no file."""

    async def body(made):
        await made.take(whole(link(1), link(1, 1)))
        both = made.told
        await made.take(change([link(1), link(1, 1)], [link(1, 1)], [link(1, 1)]))

        assert ([link(1), link(1, 1)], [link(1, 1)]) == (both, made.told)
        assert link(1).secret not in made.written()

    bench(body)


@pytest.mark.parametrize("wrong", ["mark", "base"])
def test_what_does_not_fit_changes_nothing_and_is_asked_for_whole(bench, wrong):
    """Another mark than what comes out has, or a change of a set that is not held."""

    async def body(made):
        await made.take(whole(link(1)))
        if wrong == "mark":
            await made.take((bytes(8), links_mark([link(1)]), [link(2)], []))
        else:
            await made.take(change([link(3)], [link(1), link(2)], [link(2)]))
        refused = (made.told, made.set.held(), made.health.counts["links_refused"])
        await made.take(whole(link(1), link(2)))

        assert ([link(1)], "", 1) == refused
        assert ([link(1), link(2)], links_mark([link(1), link(2)]).hex()) == (made.told, made.set.held())

    bench(body)


def test_a_store_that_fails_changes_nothing(bench):
    """What was not made durable does not count."""

    async def body(made):
        await made.take(whole(link(1)))
        made.store.doubt("for this test")
        with pytest.raises(StoreFailed):
            await made.take(whole(link(2)))

        assert ([link(1)], links_mark([link(1)]).hex()) == (made.told, made.set.held())

    bench(body)


@pytest.mark.parametrize("column", ["secret", "kid", "device"])
def test_a_set_that_its_disk_changed_is_asked_for_again(bench, column):
    """The repaired store serves nobody by a wrong secret; the next whole set is taken as if there had been none."""

    async def body(made):
        await made.take(whole(link(1), link(2)))
        await made.store.close()
        with contextlib.closing(sqlite3.connect(made.store._path)) as connection:
            connection.execute(f"UPDATE links SET {column} = ? WHERE device = ?", (bytes(8), link(1).device))
            connection.commit()
        made.open()
        await made.set.load()
        repaired = (made.store.repaired, made.told, made.set.held())
        await made.take(whole(link(2)))

        assert (1, [], "", [link(2)]) == (*repaired, made.told)

    bench(body)


def test_second_link_of_a_device_is_served_beside_the_first_until_it_is_told_alone(bench):
    """Both count, over a restart too; of the one that ends nothing is left on disk."""

    async def body(made):
        before, after, other = link(1), Link(link(1).device, b"next", b"secret that is n"), link(2)
        await made.take(whole(before, other))
        await made.take(change([before, other], [before, after, other], [before, after]))
        both = made.told
        await made.restart()
        assert [before, after, other] == both == made.told
        await made.take(change([before, after, other], [after, other], [after]))

        assert [after, other] == made.told
        assert before.secret not in made.written()
        assert after.secret in made.written()

    bench(body)


def test_a_repair_of_something_else_keeps_the_set(bench):
    """Links that are whole are carried over."""

    async def body(made):
        await made.take(whole(link(1), link(2)))
        await made.store.close()
        with contextlib.closing(sqlite3.connect(made.store._path)) as connection:
            connection.execute("INSERT INTO revoked VALUES (1)")
            connection.commit()
        made.open()
        await made.set.load()

        assert (1, [link(1), link(2)]) == (made.store.repaired, made.told)

    bench(body)


def test_the_office_is_asked_at_the_start_and_once_a_minute(bench):
    """However idle the gateway is: a device that was moved or revoked is served no longer than that."""

    async def body(made):
        clock, asked = TestClock(), []
        asking = asyncio.create_task(made.set.keep_asking(lambda: asked.append(clock.now), clock))
        while len(asked) < 3:
            await asyncio.sleep(0)
        asking.cancel()

        assert [0, 60, 120] == [at - asked[0] for at in asked[:3]]

    bench(body)


def test_no_secret_is_logged(bench, caplog):
    """Whatever is told or refused, at the finest level."""
    caplog.set_level("DEBUG")

    async def body(made):
        await made.take(whole(link(1), link(2)))
        await made.take((bytes(8), None, [link(1)], []))
        await made.restart()

    bench(body)

    assert caplog.text
    assert not [
        n for n in (1, 2) if link(n).secret.hex() in caplog.text or str(link(n).secret) in caplog.text
    ]


def check_asks_again_after_a_change(bench):
    """Count what is asked while sets change, do not change, and are refused."""

    async def body(made):
        asked = []
        asking = asyncio.create_task(made.set.keep_asking(lambda: asked.append(1), Still()))
        await asyncio.sleep(0)
        counts = [len(asked)]
        for said in (whole(link(1)), change([link(1)], [link(1), link(2)], [link(2)]), None):
            await made.take(said)
            counts.append(len(asked))
        await made.take((bytes(8), links_mark([link(1)]), [link(3)], []))
        asking.cancel()

        assert [1, 2, 3, 3, 3] == [*counts, len(asked)]

    bench(body)


class Still:
    """A clock whose minute never ends."""

    async def sleep(self, _seconds):
        await asyncio.Event().wait()


def test_a_change_is_followed_by_the_next_question_at_once(bench):
    """Of a large site the office tells more in each answer: nobody waits a minute for the next step. Nothing new, no question."""
    check_asks_again_after_a_change(bench)


def test_a_set_of_many_steps_counts_whole_and_after_a_restart(bench):
    """5,000 devices in two steps; and each has its place in the store."""

    async def body(made):
        many = [
            Link(at.to_bytes(8, "big"), at.to_bytes(2, "big"), at.to_bytes(16, "big")) for at in range(5000)
        ]
        await made.take(whole(*many[:4096]))
        await made.take(change(many[:4096], many, many[4096:]))
        now = made.told
        await made.restart()

        assert now == made.told == many
        assert links_mark(many).hex() == made.set.held()

    bench(body)
