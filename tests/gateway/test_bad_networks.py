"""A device over a network that loses, delays and moves: the client that ships against the server that ships, in virtual time; and IPv6."""

import asyncio
import random
import socket
from itertools import count

import pytest

from agent.coap_client import CoapClient
from agent.links.udp import UdpLink
from gateway.collector import Reply
from gateway.config import Link
from gateway.delivery import Delivery
from gateway.health import Health
from gateway.links.server import CoapServer
from gateway.links.site import Site
from gateway.links.udp import listen
from gateway.points import KillPoint
from gateway.sessions import Sessions
from protocol import coap
from protocol.aes_host import Aes128
from protocol.oscore import OscoreContext
from tests.gateway.site import TestClock, device_id, new_store, secret_of
from tests.sim.clock import SimLoop, Time
from tools.bench.gateway_front import open_client, running_gateway

LINKS = [Link(device_id(n), bytes([n]), secret_of(n)) for n in (1, 2)]


class Taking:
    """A collector that notes what was carried out."""

    def __init__(self):
        self.taken = []

    async def segment(self, device, payload, bulk_in_s=0):
        self.taken.append((device, bytes(payload)))
        return Reply(coap.CHANGED, b"custody of " + payload)

    heartbeat = segment


class Gateway:
    """What stands behind a socket, over a store of its own."""

    def __init__(self, folder, seed=1):
        folder.mkdir(exist_ok=True)
        self.store = new_store(folder, seed=seed)
        clock = TestClock()
        secret = random.Random(seed).randbytes(32)
        self.sessions = Sessions(self.store, LINKS, secret=secret, clock=clock)
        self.collector = Taking()
        health = Health()
        self.site = Site(
            self.sessions, self.collector, Delivery(None, health), health, clock=clock, point=KillPoint()
        )


class Air:
    """A link of the device that is also the network: each datagram takes latency_s, and is lost with that chance."""

    def __init__(self, server, *, latency_s=0.02, loss=0.0, seed=1):
        self.server = server
        self.peer = ("192.0.2.7", 40_000)
        self.sent = 0
        self._latency_s = latency_s
        self._loss = loss
        self._chance = random.Random(seed)
        self._arrived = asyncio.Queue()

    def send(self, datagram):
        self.sent += 1
        self._carry(self.server.feed, self.peer, datagram)

    def down(self, peer, datagram):
        # Whoever moved hears nothing more of what goes to his old address.
        if peer == self.peer:
            self._carry(self._arrived.put_nowait, datagram)

    def _carry(self, deliver, *arguments):
        if self._chance.random() >= self._loss:
            asyncio.get_running_loop().call_later(self._latency_s, deliver, *arguments)

    async def recv(self, timeout_ms):
        try:
            return await asyncio.wait_for(self._arrived.get(), timeout_ms / 1000)
        except TimeoutError:
            return None


def client_of(link, n=1, numbers=None):
    """Return the client that ships, with RFC 7252's times."""
    loop = asyncio.get_running_loop()
    context = OscoreContext(Aes128, secret_of(n), bytes([n]), b"", numbers or count().__next__)
    chance = random.Random(n)
    return CoapClient(link, context, lambda: int(loop.time() * 1000) & 0x3FFFFFFF, chance.randbytes)


def over(folder, body, **air):
    """Run an async body(gateway, air, client) in virtual time."""
    loop = SimLoop(Time())

    async def main():
        gateway = Gateway(folder)
        link = Air(None, **air)
        link.server = CoapServer(gateway.site, link.down, chance=random.Random(1))
        await body(gateway, link, client_of(link))
        await link.server.close()
        await gateway.store.close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def check_long_round_trip(folder):
    async def body(gateway, air, client):
        for number in range(20):
            answer = await client.request(coap.POST, "s", b"%d" % number)
            assert answer.payload == b"custody of %d" % number
        assert [payload for _, payload in gateway.collector.taken] == [b"%d" % n for n in range(20)]
        # Two waits fit in five seconds (2..3 s, then twice that): no request went out more than twice.
        assert air.sent <= 2 * client.requests
        # The challenge and twenty segments, at five seconds each: what came late kept nobody waiting any longer.
        assert asyncio.get_running_loop().time() < 21 * 5.5

    over(folder, body, latency_s=2.5)


def test_round_trip_of_five_seconds_carries_each_request_once(tmp_path):
    """Each request is repeated before its answer can be here; it is carried out once, answered once, and the next one is not held up."""
    check_long_round_trip(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_thirty_percent_of_loss_costs_no_segment_and_doubles_none(tmp_path, seed):
    """Three of ten datagrams lost either way: all that is acknowledged was carried out once, in order."""

    async def body(gateway, air, client):
        done, given_up = [], 0
        for number in range(30):
            for _ in range(5):
                try:
                    answer = await client.request(coap.POST, "s", b"%d" % number)
                except Exception as error:  # noqa: BLE001 -- a link that is down, as the agent would see it
                    assert type(error).__name__ == "LinkDown", error
                    given_up += 1
                    continue
                assert answer.payload == b"custody of %d" % number
                done.append(number)
                break
        assert done == list(range(30))
        assert client.retransmissions > 5
        taken = [int(payload) for _, payload in gateway.collector.taken]
        assert sorted(set(taken)) == done
        # Only what the client gave up and asked anew, as another request, may be there twice.
        assert len(taken) <= 30 + given_up

    over(tmp_path, body, loss=0.3, seed=seed)


def test_device_whose_address_moves_is_served_on(tmp_path):
    """A NAT gives the device another port in the middle of a request: it is told so without protection, asks anew, and is served."""

    async def body(gateway, air, client):
        await client.request(coap.POST, "s", b"0")
        asking = asyncio.ensure_future(client.request(coap.POST, "s", b"1"))
        await asyncio.sleep(0.005)
        air.peer = ("192.0.2.7", 40_001)
        with pytest.raises(Exception, match=r"4\.01"):
            await asking
        assert (await client.request(coap.POST, "s", b"1")).payload == b"custody of 1"
        assert (await client.request(coap.POST, "s", b"2")).payload == b"custody of 2"
        # No new Echo: the session is the device's, not its address's.
        assert gateway.sessions.counts["challenges"] == 1

    over(tmp_path, body)


def test_sleeper_is_sent_nothing_between_its_requests(tmp_path):
    """A device that sleeps for hours is never called: all that goes out answers what it asked, and an hour later it is known still."""

    async def body(gateway, air, client):
        sent = []
        true_down = air.down
        air.server._send = lambda peer, datagram: (
            sent.append(asyncio.get_running_loop().time()),
            true_down(peer, datagram),
        )
        for number in range(4):
            await client.request(coap.POST, "s", b"%d" % number)
            awake = asyncio.get_running_loop().time()
            await asyncio.sleep(3 * 3600)
            assert all(moment <= awake for moment in sent)
        assert client.requests == 5 and client.retransmissions == 0
        assert len(air.server.remembered) == 0

    over(tmp_path, body)


def check_echo_is_for_one_context_and_one_start(folder):
    async def body(gateway, air, client):
        async def echo_of(one):
            plain = coap.Message(coap.CON, coap.POST, 1, b"t", coap.path_options("s"), b"x")
            protected, exchange = one.context.protect_request(plain)
            verdict = gateway.site.admit(protected, air.peer)
            return coap.option(one.context.unprotect_response(verdict.answer, exchange).options, coap.ECHO)

        def is_opened(one, site, echo):
            options = [*coap.path_options("s"), (coap.ECHO, echo)]
            protected, _ = one.context.protect_request(
                coap.Message(coap.CON, coap.POST, 2, b"t", options, b"x")
            )
            return site.admit(protected, air.peer).opened is not None

        other = client_of(air, 2)
        mine, others = await echo_of(client), await echo_of(other)
        assert not is_opened(client, gateway.site, others)
        assert not is_opened(other, gateway.site, mine)
        restarted = Gateway(folder / "again", seed=2)
        assert not is_opened(client, restarted.site, mine)
        assert is_opened(client, gateway.site, mine)
        await restarted.store.close()

    over(folder, body)


def test_echo_is_good_for_one_context_and_one_start(tmp_path):
    """An Echo of another device, or of a gateway that has started anew since, shows nothing."""
    check_echo_is_for_one_context_and_one_start(tmp_path)


def test_five_hundred_devices_are_served_again_after_a_restart(tmp_path):
    """A gateway starts anew under 500 devices: each answers one Echo, none is refused, none loses what it asked."""
    devices = [(number + 1).to_bytes(8, "big") for number in range(500)]

    async def main():
        async with running_gateway(tmp_path, devices) as port:
            opened = [await open_client(port, number) for number in range(len(devices))]
            await asyncio.gather(*(client.request(coap.GET, "c/0") for client, _ in opened))
        async with running_gateway(tmp_path, devices, port) as same:
            assert same == port
            before = [client.requests for client, _ in opened]
            answers = await asyncio.gather(*(client.request(coap.GET, "c/0") for client, _ in opened))
        for _, link in opened:
            link.close()
        rounds = [client.requests - had for (client, _), had in zip(opened, before, strict=True)]
        return [answer.code for answer in answers], rounds

    codes, rounds = asyncio.run(main())

    assert codes == [coap.NOT_FOUND] * 500
    assert rounds == [2] * 500


def has_ipv6():
    """Return whether this machine's loopback has IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback of this machine")
@pytest.mark.parametrize(
    ("bound", "reached"),
    [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1"), ("::", "127.0.0.2"), ("0.0.0.0", "127.0.0.2")],
)
def test_gateway_is_reached_over_ipv6_and_ipv4(tmp_path, bound, reached):
    """Bound to "::" it serves both, and answers from the very address that was asked: the device's socket hears no other."""

    async def main():
        gateway = Gateway(tmp_path)
        served = await listen(gateway.site, bound, 0)
        link = UdpLink(reached, served.port)
        answer = await client_of(link).request(coap.POST, "s", b"x")
        assert answer.payload == b"custody of x"
        link.close()
        await served.close()
        await gateway.store.close()

    asyncio.run(main())
