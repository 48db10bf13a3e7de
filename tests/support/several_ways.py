"""One device and one gateway with several ways between them, each with a seeded medium, in one process on the clock of the simulation.

The agent's links, client and session; the gateway's server, site, sessions and store. What carries bytes between is the test's.
"""

import asyncio
import errno
import random

from agent.coap_client import LinkError, LinkRefused
from agent.links.ble import BleLink, BleStream
from agent.links.serial import SerialLink
from agent.links.several import SeveralLinks
from agent.links.udp import UdpLink
from agent.session import Session
from gateway.collector import Reply
from gateway.config import Link
from gateway.health import Health
from gateway.links.ble import BleLink as Central
from gateway.links.ble import Radio
from gateway.links.server import CoapServer
from gateway.links.site import Site
from gateway.points import KillPoint
from gateway.sessions import Sessions
from protocol.aes_host import Aes128
from protocol.coap import CHANGED, POST
from protocol.slipmux import COAP, FrameReader, encode_frame
from tests.gateway.site import device_id, new_store, secret_of
from tests.sim.clock import DeviceTicks, HostClock, SimLoop, Time
from tests.support.ble_air import Air
from tests.support.ble_bleak import Adapter
from tests.support.ble_module import Ble

KINDS = ("udp", "serial", "ble")
# Of virtual time; everything that is to heal has long done so.
GIVE_UP_S = 20_000.0
_RETRY_S = 1.0
_REFUSALS_MAX = 2


class Medium:
    """What a datagram meets on its way: loss, doubling, delay that reorders, cuts. up, down: whether that direction is cut."""

    def __init__(self, seed, loss=0.0, double=0.0):
        self.chance = random.Random(seed)
        self.loss = loss
        self.double = double
        self.is_up_cut = self.is_down_cut = False
        self.heard = []

    def cut(self, is_cut=True):
        self.is_up_cut = self.is_down_cut = is_cut

    def carry(self, is_up, datagram, deliver, in_order=False):
        """Deliver it now or later, once, twice or never."""
        self.heard.append((is_up, datagram))
        if self.is_up_cut if is_up else self.is_down_cut:
            return
        for again in (False, True):
            if again and self.chance.random() >= self.double:
                return
            if self.chance.random() >= self.loss:
                late_s = 0.01 if in_order else self.chance.uniform(0.005, 0.4)
                asyncio.get_running_loop().call_later(late_s + again, deliver, datagram)


class UdpWay:
    """The agent's link over a socket that is the test's."""

    def __init__(self, world, medium):
        self.medium = medium
        self._came = []
        self.link = UdpLink("gateway", 5683)
        self.link._open = lambda: self
        self.server = world.server(lambda peer, d: medium.carry(False, d, self._came.append))

    def send(self, datagram):
        self.medium.carry(True, datagram, lambda d: self.server.feed("udp:1", d))

    def recv(self, _n):
        if not self._came:
            raise OSError(errno.EAGAIN, "nothing has come")
        return self._came.pop(0)

    async def close(self):
        pass


class SerialWay:
    """The agent's link over a line that is the test's: what is lost there is spoiled."""

    def __init__(self, world, medium):
        self.medium = medium
        self._line = bytearray()
        self._reader = FrameReader()
        self.link = SerialLink(self)
        down = self._line.extend
        self.server = world.server(lambda peer, d: medium.carry(False, encode_frame(d), down, in_order=True))

    def write(self, frame):
        self.medium.carry(True, frame, self._feed, in_order=True)

    def read(self, n):
        piece = bytes(self._line[:n])
        del self._line[:n]
        return piece or None

    def _feed(self, frame):
        for kind, content in self._reader.feed(frame):
            if kind == COAP:
                self.server.feed("serial:1", content)

    async def close(self):
        pass


class BleWay:
    """Both links over virtual radios, where loss is a connection that ends; the medium doubles, and cuts the air."""

    def __init__(self, world, medium):
        self.medium = medium
        self.air = _Air(medium, 0.03)
        self._world = world

    async def start(self):
        world, medium = self._world, self.medium
        self.adapter = Adapter(self.air, 247)
        await self.adapter.switch_on()
        scanner, client = self.adapter.backends()
        self.central = Central(
            Radio(scanner=scanner, client=client),
            Health(),
            lambda said: None,
            clock=HostClock(world.time, 0),
            connections=3,
            turn_s=20.0,
        )
        self.server = world.server(
            lambda peer, d: (medium.heard.append((False, d)), self.central.send(peer, d))
        )
        self.central.start(self._feed)
        ticks = world.ticks
        radio = Ble(self.air.make_device(), piece_s=0.01)
        self.link = BleLink(BleStream(radio, str, ticks.ticks_ms, ticks.ticks_diff))

    def _feed(self, peer, datagram):
        self.medium.heard.append((True, datagram))
        self.server.feed(peer, datagram)
        if self.medium.chance.random() < self.medium.double:
            asyncio.get_running_loop().call_later(1.0, self.server.feed, peer, datagram)

    async def close(self):
        await self.central.close()


class _Air(Air):
    def __init__(self, medium, late_s):
        super().__init__(0, late_s)
        self.random = medium.chance
        self._medium = medium

    def cut_chance_of(self, one, other):
        # A packet that breaks its connection costs more than one that is lost.
        return 1.0 if self.are_apart(one, other) else self._medium.loss / 10

    def are_apart(self, one, other):
        return self._medium.is_up_cut


_WAYS = {"udp": UdpWay, "serial": SerialWay, "ble": BleWay}


class World:
    """ways: one for each kind. taken: questions that were carried out, in order, as often as that happened; answers: (question, answer).

    numbers: (context, sequence) of each request that the gateway's sessions let pass.
    """

    def __init__(self, folder, kinds, seed=0, loss=0.0, double=0.0):
        self._folder = folder
        self._kinds = kinds
        self.seed = seed
        self.media = [Medium(f"{seed} {kind}", loss, double) for kind in kinds]
        self.time = Time()
        self.ticks = DeviceTicks(self.time, (1 << 30) - 30_000, 0.0)
        self.taken = []
        self.numbers = []
        self.answers = []
        self.failures = []

    def server(self, send):
        """Return another server of the one site."""
        return CoapServer(self.site, send, chance=random.Random(self.seed))

    def run(self, body):
        """Run async body(world)."""
        with asyncio.Runner(loop_factory=lambda: SimLoop(self.time)) as runner:
            return runner.run(self._main(body))

    async def _main(self, body):
        clock = HostClock(self.time, 0)
        store = new_store(self._folder, clock=clock)
        links = [Link(device_id(), b"\x01", secret_of())]
        self.sessions = Sessions(store, links, secret=b"s" * 32, clock=clock)
        self.site = Site(self.sessions, self, None, Health(), clock=clock, point=KillPoint())
        self._open = self.sessions.open
        self.sessions.open = self._note
        self.ways = []
        for kind, medium in zip(self._kinds, self.media, strict=True):
            self.ways.append(_WAYS[kind](self, medium))
            if kind == "ble":
                await self.ways[-1].start()
        self.link = SeveralLinks([way.link for way in self.ways], self.ticks.ticks_ms, self.ticks.ticks_diff)
        self.session = Session(
            self.link, 1, Aes128, secret_of(), b"\x01", self.ticks.ticks_ms, self._random, 2000
        )
        try:
            return await body(self)
        finally:
            for way in self.ways:
                await way.server.close()
                await way.close()
            await store.close()

    def _random(self, count):
        return self.media[0].chance.randbytes(count)

    def _note(self, message):
        opened = self._open(message)
        self.numbers.append((opened.session.name, opened.exchange.sequence()))
        return opened

    async def segment(self, device, payload, bulk_in_s=0):
        """Take a question as the collector takes a segment."""
        self.taken.append(int(payload))
        return Reply(CHANGED, b"answer to " + payload)

    async def heartbeat(self, device, payload, bulk_in_s=0):
        raise AssertionError("nobody sends one")

    async def ask(self, question):
        """Ask until it is answered, as agent.exchange does: later, under another number, with fresh keys after two refusals."""
        refusals = 0
        while True:
            assert self.time.now < GIVE_UP_S, f"question {question} is not answered"
            try:
                answer = await self.session.request(POST, "s", b"%d" % question)
            except LinkError as error:
                self.failures.append(error)
                refusals = refusals + 1 if isinstance(error, LinkRefused) else 0
                if refusals >= _REFUSALS_MAX:
                    self.session.renew()
                    refusals = 0
                await asyncio.sleep(_RETRY_S)
                continue
            self.answers.append((question, answer.payload))
            return

    async def ask_all(self, count, every_s=1.0):
        for question in range(count):
            await self.ask(question)
            await asyncio.sleep(every_s)

    def check(self, count):
        """Nothing lost, nothing doubled, in order; and each answer belongs to its question."""
        # The store takes the same bytes once: what comes again is known by its digest, and counts nothing.
        assert list(dict.fromkeys(self.taken)) == list(range(count))
        assert sorted(self.taken) == self.taken
        assert len(set(self.numbers)) == len(self.numbers)
        assert self.answers == [(n, b"answer to %d" % n) for n in range(count)]
