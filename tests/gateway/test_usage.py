"""What each device moved in a day: counted where datagrams come and go, kept, and told to the office as totals."""

import asyncio

import pytest

from gateway.errors import OfficeConfused, OfficeUnreachable
from gateway.health import Health
from gateway.links.server import COPIES_MAX, EMPTY_ACK_DELAY_S, UNPROVED_MAX, Verdict
from gateway.usage import DAYS_KEPT, Usage
from protocol import coap
from protocol.limits import usage_rows_max
from protocol.usage import BLE, DAY_MS, LIFE_HEADER, SERIAL, UDP, parse_life, parse_usage
from tests.gateway import part_bench
from tests.gateway.part_bench import PartBench
from tests.gateway.site import TestClock
from tests.gateway.test_server import PEER, SlowSite, request, serve

DEVICE, OTHER = b"device 1", b"device 2"
DAY = 20_000


class DayClock(TestClock):
    """A wall clock that begins a day."""

    day_ms = DAY * DAY_MS

    def wall_ms(self):
        return self.day_ms


class Told:
    """An office that adds up lives alone: the last totals that it heard, by (device, day, link). fault: what it says instead."""

    def __init__(self):
        self.heard = {}
        self.requests = 0
        self.fault = None

    @property
    def rows(self):
        """Return what it would show."""
        sums = {}
        for (_, *key), counts in self.heard.items():
            so_far = sums.get((*key,), (0, 0, 0, 0))
            sums[(*key,)] = tuple(a + b for a, b in zip(so_far, counts, strict=True))
        return sums

    async def ask(self, method, path, bytes_max, body, headers):
        assert (method, path) == ("POST", "/v1/usage")
        self.requests += 1
        if self.fault is not None:
            raise self.fault
        life = parse_life(headers[LIFE_HEADER])
        for row in parse_usage(body):
            self.heard[(life, *row[:3])] = row[3:]
        return b""


class Bench(PartBench):
    """A gateway's store and its counts, and an office. lives: how many processes there were."""

    def __init__(self, folder):
        self.office, self.lives = Told(), 0
        super().__init__(folder, DayClock(), self.begin)

    def begin(self, store):
        """Count with nothing in memory."""
        self.health, self.lives = Health(), self.lives + 1
        self.usage = Usage(
            store,
            self.health,
            self.office.ask,
            life=bytes(7) + bytes([self.lives]),
            clock=self.clock,
            interval_s=60,
        )
        return self.usage


def runner(folder):
    """Return bench(body): run an async body(bench) on new files."""
    return part_bench.runner(lambda: Bench(folder))


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
        made.usage.moved(UDP, None, 3, 0)
        await made.usage.step()
        first = dict(made.office.rows)
        made.office.heard = {}
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
        assert (101, 40, 7, 3) == tuple(
            made.health.counts[name]
            for name in ("udp_received_bytes", "udp_sent_bytes", "ble_received_bytes", "udp_unproved_bytes")
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


def test_totals_of_a_lost_store_count_beside_what_was_told(bench):
    """A gateway that begins anew under its name adds to what the office heard of the day; so does a row that was lost alone."""

    async def body(made):
        made.usage.moved(UDP, DEVICE, 100, 0)
        await made.usage.step()
        await made.lose_store()
        made.usage.moved(UDP, DEVICE, 5, 0)
        made.usage.moved(UDP, OTHER, 7, 0)
        await made.usage.step()
        await made.restart()
        made.usage.moved(UDP, DEVICE, 20, 0)
        await made.usage.step()
        await made.store.commits.submit(
            lambda store: store.execute("UPDATE usage SET day = -1 WHERE device = ?", (OTHER,))
        )
        await made.restart()
        made.usage.moved(UDP, OTHER, 2, 0)
        await made.usage.step()

        assert {(DEVICE, DAY, UDP): (125, 0, 3, 0), (OTHER, DAY, UDP): (9, 0, 2, 0)} == made.office.rows

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
        # Of the device, and of nobody that is known.
        self.moves, self.apart = [], []
        # Name of the context whose Echo the next good request shows.
        self.proves = None

    def admit(self, request, peer, *, is_multicast=False):
        verdict = super().admit(request, peer, is_multicast=is_multicast)
        return verdict._replace(device=DEVICE, proves=self.proves) if verdict.opened is not None else verdict

    def moved(self, device, received, sent):
        (self.moves if device == DEVICE else self.apart).append((device, received, sent))


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
    """What did not verify is no device's traffic, nor is the answer to it; the link moved it all the same."""

    async def body(server, site, sizes):
        strange = request(token=b"no"), b"\x40\x00\x00", b"\x40\x00\x00\x01"
        for datagram in strange:
            server.feed(PEER, datagram)
        await asyncio.sleep(1)

        assert 2 == len(sizes)
        assert [] == site.moves
        assert sum(map(len, strange)) + sum(sizes) == sum(sum(one[1:]) for one in site.apart)

    metered(body)


def check_replays_cost_a_device_no_more_than_its_own_repetitions():
    """Play one verified request again and again, from its device's own address."""

    async def body(server, site, sizes):
        asked = request()
        for _ in range(100):
            server.feed(PEER, asked)
            await asyncio.sleep(0.1)

        assert COPIES_MAX * len(asked) == sum(received for _, received, _ in site.moves)
        assert COPIES_MAX * sizes[0] == sum(sent for _, _, sent in site.moves)
        assert 95 * (len(asked) + sizes[0]) == sum(sum(one[1:]) for one in site.apart)

    metered(body)


def test_replays_cost_a_device_no_more_than_its_own_repetitions():
    """A stranger who plays a datagram again, under the device's own address, raises its count by what the device could have sent."""
    check_replays_cost_a_device_no_more_than_its_own_repetitions()


def test_what_ends_an_answer_is_four_bytes():
    """Nobody vouches for an acknowledgement: a long one in the device's name is not the device's."""

    async def body(server, site, sizes):
        site.seconds_of = lambda _: 2 * EMPTY_ACK_DELAY_S
        server.feed(PEER, request())
        await asyncio.sleep(2.5)
        before = sum(received for _, received, _ in site.moves)
        separate = server._separate[next(iter(server._separate))]
        number = coap.decode(separate.datagram).message_id
        server.feed(PEER, coap.encode(coap.Message(coap.ACK, coap.CONTENT, number, b"", [], bytes(1000))))

        assert before == sum(received for _, received, _ in site.moves)

    metered(body)


def challenged(site, context):
    """Let the site answer b"no" by a challenge under a context, None: of an old request."""
    answer = coap.Message(coap.ACK, coap.UNAUTHORIZED, 0)
    site.refusal = Verdict(answer=answer, is_kept=True, device=DEVICE, proves=context)


def test_a_challenge_is_its_devices_traffic_once_it_is_answered():
    """The request, the challenge, and both again: nobody's until the device has shown that it is there."""

    async def body(server, site, sizes):
        challenged(site, b"context")
        asked = request(token=b"no")
        server.feed(PEER, asked)
        server.feed(PEER, asked)
        before, passed = list(site.moves), sum(sizes)
        site.proves = b"context"
        first = request(number=8)
        server.feed(PEER, first)
        server.feed(PEER, asked)
        await asyncio.sleep(1)

        assert ([], []) == (before, site.apart)
        assert 3 * len(asked) + len(first) == sum(received for _, received, _ in site.moves)
        assert (sum(sizes), 4) == (sum(sent for _, _, sent in site.moves), len(sizes))
        assert passed < sum(sizes)

    metered(body)


def check_old_requests_are_nobodys():
    """Play requests of long ago again after a start of the gateway; then the device comes."""

    async def body(server, site, sizes):
        old = [request(token=b"no", number=number) for number in range(20, 30)]
        challenged(site, b"context")
        for datagram in old[:5]:
            server.feed(PEER, datagram)
        challenged(site, None)
        for datagram in old[5:]:
            server.feed(PEER, datagram)
        challenged(site, b"context")
        asked = request(token=b"no")
        server.feed(PEER, asked)
        site.proves = b"context"
        first = request(number=8)
        server.feed(PEER, first)
        await asyncio.sleep(1)

        assert len(asked) + len(first) == sum(received for _, received, _ in site.moves)
        assert sum(map(len, old)) == sum(received for _, received, _ in site.apart)

    metered(body)


def test_old_requests_are_nobodys():
    """Each gets a challenge, for its tag is good; but only the newest one's device ever shows the Echo."""
    check_old_requests_are_nobodys()


def test_what_waits_for_an_echo_is_bounded():
    """However many contexts wait, the oldest one's bytes go to nobody in the end."""

    async def body(server, site, sizes):
        for number in range(UNPROVED_MAX + 3):
            challenged(site, b"%d" % number)
            server.feed(PEER, request(token=b"no", number=number))

        assert (UNPROVED_MAX, 3) == (
            len(server._unproved),
            sum(received > 0 for _, received, _ in site.apart),
        )

    metered(body)
