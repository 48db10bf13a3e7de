"""Devices and a gateway over virtual radios, in one process on the clock of the simulation; messages are counted, not events."""

import asyncio

from agent.links.ble import BleLink, BleStream
from gateway.health import Health
from gateway.links.ble import BleLink as Central
from gateway.links.ble import Radio
from protocol.coap import ACK, CHANGED, CON, OSCORE, POST, Message, decode, encode
from tests.sim.clock import HostClock, SimLoop, Time
from tests.support.ble_air import Air
from tests.support.ble_bleak import Adapter
from tests.support.ble_module import Ble

# As the agent's CoAP client waits: doubled for each repetition.
WAIT_MS = 2000
REPETITIONS = 4
# Of a test's virtual time; everything that is to heal has long done so.
GIVE_UP_S = 600.0


class BleDevice:
    """One device: asks, repeats what is not answered, keeps count. answered: numbers of questions; heard: every datagram that came."""

    def __init__(self, site, number, **options):
        self.site = site
        self.number = number
        self.radio = Ble(site.air.make_device(), **options)
        time = site.time
        self.stream = BleStream(
            self.radio, str, lambda: int(time.now * 1000), lambda new, old: new - old, site.mtu
        )
        self.link = BleLink(self.stream)
        self.answered = []
        self.heard = []
        self.transmissions = 0

    async def ask(self, question, size=300):
        """Ask once, as a CoAP client does; return whether it was answered."""
        payload = b"%d/%d " % (self.number, question)
        datagram = encode(
            Message(
                CON,
                POST,
                question & 0xFFFF,
                b"%04d" % question,
                [(OSCORE, b"\x09")],
                payload.ljust(size, b"."),
            )
        )
        wait_ms = WAIT_MS
        for _ in range(REPETITIONS + 1):
            self.link.send(datagram)
            self.transmissions += 1
            ends = self.site.time.now + wait_ms / 1000
            while self.site.time.now < ends - 0.001:
                answer = await self.link.recv(round((ends - self.site.time.now) * 1000))
                if answer is None:
                    continue
                self.heard.append(answer)
                if decode(answer).token == b"%04d" % question:
                    self.answered.append(question)
                    return True
            wait_ms *= 2
        return False

    async def ask_all(self, questions, every_s=0.0):
        """Ask each until it is answered. Fails where that takes longer than GIVE_UP_S."""
        for question in questions:
            while not await self.ask(question):
                assert self.site.time.now < GIVE_UP_S, f"question {question} of {self.number} is not answered"
                await asyncio.sleep(1)
            await asyncio.sleep(every_s)


class BleSite:
    """air, adapter, central, devices. taken: (device, question) of each request that was carried out, once however often it came;
    arrived: how often each came. protects: answers are protected. answer_bytes: of an answer's payload.
    """

    def __init__(self, seed=0, connections=3, turn_s=20.0, late_s=0.03, mtu=247, adapter_mtu=247):
        self.time = Time()
        self.mtu = mtu
        self.seed = seed
        self._options = (connections, turn_s, late_s, adapter_mtu)
        self.devices = []
        self.taken = []
        self.arrived = {}
        self.peers = {}
        self.protects = True
        self.answer_bytes = 20
        self.told = []
        self.health = Health()

    def run(self, body):
        """Run async body(site) in virtual time."""
        with asyncio.Runner(loop_factory=lambda: SimLoop(self.time)) as runner:
            return runner.run(self._main(body))

    async def _main(self, body):
        connections, turn_s, late_s, adapter_mtu = self._options
        self.air = Air(self.seed, late_s)
        self.adapter = Adapter(self.air, adapter_mtu)
        await self.adapter.switch_on()
        scanner, client = self.adapter.backends()
        self.central = Central(
            Radio(scanner=scanner, client=client),
            self.health,
            self.told.append,
            clock=HostClock(self.time, 0),
            connections=connections,
            turn_s=turn_s,
        )
        self.central.start(self.feed)
        try:
            return await body(self)
        finally:
            await self.central.close()

    def device(self, **options):
        """Add a device."""
        self.devices.append(BleDevice(self, len(self.devices), **options))
        return self.devices[-1]

    def feed(self, peer, datagram):
        """Take a datagram as a server does: a request is carried out once, and answered as often as it comes."""
        request = decode(datagram)
        name, question = (int(word) for word in request.payload.rstrip(b".").split(b"/"))
        if (name, question) not in self.arrived:
            self.taken.append((name, question))
        self.arrived[name, question] = self.arrived.get((name, question), 0) + 1
        self.peers.setdefault(name, set()).add(peer)
        options = [(OSCORE, b"")] if self.protects else []
        answer = Message(ACK, CHANGED, request.message_id, request.token, options, bytes(self.answer_bytes))
        self.central.send(peer, encode(answer))
