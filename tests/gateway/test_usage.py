"""What each device moved in a day: counted where datagrams come and go, kept, and told to the office as totals."""

import asyncio

import pytest

from gateway.errors import OfficeConfused, OfficeUnreachable
from gateway.health import Health
from gateway.links.server import EMPTY_ACK_DELAY_S, Verdict
from gateway.usage import DAYS_KEPT, Usage
from protocol import coap
from protocol.limits import usage_rows_max
from protocol.usage import BLE, DAY_MS, SERIAL, UDP, parse_usage
from tests.gateway.site import TestClock, new_store
from tests.gateway.test_server import PEER, SlowSite, request, serve

DEVICE, OTHER = b"device 1", b"device 2"
DAY = 20_000


class DayClock(TestClock):
    """A wall clock that begins a day."""

    day_ms = DAY * DAY_MS

    def wall_ms(self):
        return self.day_ms


class Told:
    """An office that adds up nothing: the last totals that it heard, by (device, day, link). fault: what it says instead."""

    def __init__(self):
        self.rows = {}
        self.requests = 0
        self.fault = None

    async def ask(self, method, path, bytes_max, body):
        assert (method, path) == ("POST", "/v1/usage")
        self.requests += 1
        if self.fault is not None:
            raise self.fault
        for row in parse_usage(body):
            self.rows[row[:3]] = row[3:]
        return b""


class Bench:
    """A gateway's store and its counts, and an office."""

    def __init__(self, folder):
        self.folder, self.clock, self.office = folder, DayClock(), Told()
        self.open()

    def open(self):
        """Begin with nothing in memory."""
        self.health = Health()
        self.store = new_store(self.folder, clock=self.clock)
        self.usage = Usage(self.store, self.health, self.office.ask, clock=self.clock, interval_s=60)

    async def restart(self):
        """End as a kill does, and begin again."""
        await self.store.close()
        self.open()
        await self.usage.load()


def runner(folder):
    """Return bench(body): run an async body(bench) on new files."""

    def run(body):
        made = Bench(folder)

        async def main():
            try:
                await made.usage.load()
                await body(made)
            finally:
                await made.store.close()

        asyncio.run(main())

    return run


@pytest.fixture
def bench(tmp_path):
    """Run an async body on new files."""
    return runner(tmp_path)


def test_totals_are_of_a_device_a_day_and_a_link(bench):
    """Bytes and datagrams of both ways, each link's by itself; the office is told what has changed and no more."""

    async def body(made):
        made.usage.moved(UDP, DEVICE, 100, 0)
        made.usage.moved(UDP, DEVICE, 0, 40)
        made.usage.moved(BLE, DEVICE, 7, 0)
        made.clock.day_ms += DAY_MS
        made.usage.moved(UDP, DEVICE, 1, 0)
        await made.usage.step()
        first = dict(made.office.rows)
        made.office.rows = {}
        made.usage.moved(SERIAL, OTHER, 9, 0)
        await made.usage.step()
        await made.usage.step()

        assert {
            (DEVICE, DAY, UDP): (100, 40, 1, 1),
            (DEVICE, DAY, BLE): (7, 0, 1, 0),
            (DEVICE, DAY + 1, UDP): (1, 0, 1, 0),
        } == first
        assert {(OTHER, DAY + 1, SERIAL): (9, 0, 1, 0)} == made.office.rows
        assert 2 == made.office.requests
        assert (101, 40, 7) == tuple(
            made.health.counts[name]
            for name in ("udp_received_bytes", "udp_sent_bytes", "ble_received_bytes")
        )

    bench(body)


def test_totals_go_on_after_a_kill(bench):
    """The office never hears less of a day than it heard before, and nothing twice."""

    async def body(made):
        made.usage.moved(UDP, DEVICE, 100, 0)
        await made.usage.step()
        made.usage.moved(UDP, DEVICE, 5, 0)
        await made.restart()
        made.usage.moved(UDP, DEVICE, 20, 0)
        await made.usage.step()

        assert {(DEVICE, DAY, UDP): (120, 0, 2, 0)} == made.office.rows

    bench(body)


@pytest.mark.parametrize("fault", [OfficeUnreachable("gone"), OfficeConfused("404: too old")])
def test_an_office_that_does_not_hear_is_told_later(bench, fault):
    """Nothing is lost but time; a day that is over waits too."""

    async def body(made):
        made.office.fault = fault
        made.usage.moved(UDP, DEVICE, 100, 0)
        with pytest.raises(type(fault)):
            await made.usage.step()
        made.clock.day_ms += DAY_MS
        await made.restart()
        made.office.fault = None
        await made.usage.step()

        assert {(DEVICE, DAY, UDP): (100, 0, 1, 0)} == made.office.rows

    bench(body)


def test_days_that_were_told_are_dropped(bench):
    """The store holds today's totals, and of others those that nobody heard, a month's at most."""

    async def body(made):
        made.usage.moved(UDP, DEVICE, 1, 0)
        await made.usage.step()
        made.office.fault = OfficeUnreachable("gone")
        made.usage.moved(UDP, OTHER, 1, 0)
        await made.usage.save()
        made.clock.day_ms += DAY_MS
        await made.usage.save()
        after_a_day = await rows_of(made)
        made.clock.day_ms += (DAYS_KEPT - 1) * DAY_MS
        await made.usage.save()

        assert [(OTHER, DAY)] == after_a_day
        assert [] == await rows_of(made)

    async def rows_of(made):
        sql = "SELECT device, day FROM usage"
        return await made.store.read(lambda connection: connection.execute(sql).fetchall())

    bench(body)


def test_many_devices_are_told_in_several_requests(bench):
    """No request is longer than the office takes."""

    async def body(made):
        for at in range(usage_rows_max + 1):
            made.usage.moved(UDP, at.to_bytes(8, "big"), 1, 0)
        await made.usage.step()

        assert (usage_rows_max + 1, 2) == (len(made.office.rows), made.office.requests)

    bench(body)


class MeteredSite(SlowSite):
    """As the other one, of one device."""

    def __init__(self):
        super().__init__()
        self.moves = []

    def admit(self, request, peer, *, is_multicast=False):
        verdict = super().admit(request, peer, is_multicast=is_multicast)
        return verdict._replace(device=DEVICE) if verdict.opened is not None else verdict

    def moved(self, device, received, sent):
        self.moves.append((device, received, sent))


def metered(body):
    """Run an async body(server, site, sizes) in virtual time; sizes: of each datagram that went out."""

    async def main(server, site, sent):
        meter = MeteredSite()
        server._site, sizes, send = meter, [], server._send

        def counted(peer, datagram):
            sizes.append(len(datagram))
            send(peer, datagram)

        server._send = counted
        await body(server, meter, sizes)

    serve(main)


def test_each_repetition_costs_what_it_moves():
    """A request that comes again and the answer to it count as often as they were on the link."""

    async def body(server, site, sizes):
        asked = request()
        server.feed(PEER, asked)
        await asyncio.sleep(1)
        server.feed(PEER, asked)

        assert 2 == len(sizes)
        assert 2 * len(asked) == sum(received for _, received, _ in site.moves)
        assert sum(sizes) == sum(sent for _, _, sent in site.moves)

    metered(body)


def test_late_answers_count_until_they_are_acknowledged():
    """The empty acknowledgement, the answer by itself as often as it goes, and what ends it."""

    async def body(server, site, sizes):
        site.seconds_of = lambda _: 2 * EMPTY_ACK_DELAY_S
        asked = request()
        server.feed(PEER, asked)
        await asyncio.sleep(7)
        separate = server._separate[next(iter(server._separate))]
        number = coap.decode(separate.datagram).message_id
        server.feed(PEER, coap.encode(coap.Message(coap.ACK, coap.EMPTY, number)))

        assert 3 <= len(sizes)
        assert sum(sizes) == sum(sent for _, _, sent in site.moves)
        assert len(asked) + 4 == sum(received for _, received, _ in site.moves)

    metered(body)


def test_strangers_count_for_nobody():
    """What did not verify is no device's traffic, nor is the answer to it."""

    async def body(server, site, sizes):
        server.feed(PEER, request(token=b"no"))
        server.feed(PEER, b"\x40\x00\x00")
        await asyncio.sleep(1)

        assert sizes
        assert [] == site.moves

    metered(body)


def test_a_challenge_is_its_devices_traffic():
    """Its tag verified: the request, the challenge, and both again."""

    async def body(server, site, sizes):
        answer = coap.Message(coap.ACK, coap.UNAUTHORIZED, 0)
        site.refusal = Verdict(answer=answer, is_kept=True, device=DEVICE)
        asked = request(token=b"no")
        server.feed(PEER, asked)
        server.feed(PEER, asked)

        assert (2 * len(asked), sum(sizes)) == tuple(sum(one[way] for one in site.moves) for way in (1, 2))

    metered(body)
