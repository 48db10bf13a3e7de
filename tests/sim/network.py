"""The site's network and the way to the office: loses, repeats, delays, overtakes, parts; and an attacker who hears everything.

It also sees what nobody else can: whether two different messages ever went out under one nonce.
"""

import asyncio
import functools
import hashlib
from collections import deque

from protocol import coap
from protocol.errors import ProtocolError
from protocol.oscore import decode_option

_OVERHEARD_MAX = 64
_INJECTED = tuple(f"stranger {did} a datagram" for did in ("repeated", "changed", "made up"))


class Weather:
    """Chances of the network at present, of each message. late_s: longest delay."""

    def __init__(self, loss=0.0, again=0.0, late_s=0.2, attack=0.0):
        self.loss = loss
        self.again = again
        self.late_s = late_s
        self.attack = attack


class DeviceLink:
    """What one boot of the agent sends and hears through."""

    def __init__(self, device, gateway):
        self._device = device
        self._gateway = gateway
        self._queue = []
        self._waiter = None
        self.is_dead = False
        self.sent_bytes = self.received_bytes = self.lost = 0

    def send(self, datagram):
        if not self.is_dead:
            self.sent_bytes += len(datagram)
            self._device.world.network.up(self._device, self._gateway, bytes(datagram))

    async def recv(self, timeout_ms):
        if not self._queue:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            alarm = loop.call_later(timeout_ms / 1000, self._wake)
            try:
                await self._waiter
            finally:
                alarm.cancel()
                self._waiter = None
        return self._queue.pop(0) if self._queue else None

    def put(self, datagram):
        if not self.is_dead:
            self.received_bytes += len(datagram)
            self._queue.append(datagram)
            self._wake()

    def _wake(self):
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self):
        self._queue.clear()


class Network:
    """Carries datagrams between devices and gateways, and requests to the office. parted: names of who is cut off."""

    def __init__(self, world, random):
        self._world = world
        self._random = random
        self.weather = Weather()
        self.parted = set()
        self._overheard = deque(maxlen=_OVERHEARD_MAX)
        self._repeatable = set()
        self._carried = 0
        # (sender, receiver) -> number of the newest datagram that arrived.
        self._arrived = {}

    def open_link(self, device, gateway):
        """Return what one boot of a device sends and hears through."""
        return DeviceLink(device, gateway)

    def begin(self, gateway):
        """A gateway's process has started; it has what it needs of the network."""

    def end(self, gateway):
        """A gateway's process is gone."""

    # ---- datagrams

    def up(self, device, gateway, datagram):
        """A device sends to a gateway; whoever else listens on the same air hears it too."""
        self._check_request(device, gateway, datagram)
        self._overheard.append((device, gateway, datagram))
        self._carry(device, gateway, datagram, lambda: gateway.hear(device, datagram))
        for other in self._world.gateways:
            if other is not gateway and other.hears_strays and self._random.random() < 0.3:
                self._carry(device, other, datagram, lambda other=other: self._stray(other, device, datagram))

    def _stray(self, gateway, device, datagram):
        self._world.history.happened["second gateway heard a device"] += gateway.is_up
        gateway.hear(device, datagram)

    def down(self, gateway, device, datagram, request):
        """A gateway answers."""
        self._check_answer(gateway, device, datagram, request)
        self._carry(gateway, device, datagram, lambda: device.hear(datagram))

    def _carry(self, sender, receiver, datagram, deliver):
        weather = self.weather
        self._world.history.note(sender.name, "send", receiver.name, _short(datagram))
        happened = self._world.history.happened
        if self._is_cut(sender, receiver):
            happened["datagram met a cut line"] += 1
            return
        if self._random.random() < weather.loss:
            happened["datagram lost"] += 1
            return
        is_repeated = self._random.random() < weather.again
        happened["datagram repeated"] += is_repeated
        self._carried += 1
        for _ in range(1 + is_repeated):
            late_s = 0.005 + self._random.random() ** 3 * weather.late_s
            happened["datagram late by seconds"] += late_s > 1
            asyncio.get_running_loop().call_later(
                late_s, self._arrive, sender, receiver, deliver, self._carried
            )
        if self._random.random() < weather.attack:
            self._attack(receiver)

    def _arrive(self, sender, receiver, deliver, number):
        happened = self._world.history.happened
        if self._is_cut(sender, receiver):
            happened["datagram met a cut line"] += 1
            return
        # A later one arrived before this one: they overtook it.
        way = sender.name, receiver.name
        newest = self._arrived.get(way, 0)
        happened["datagram overtook another"] += number < newest
        self._arrived[way] = max(number, newest)
        deliver()

    def _is_cut(self, sender, receiver):
        return sender.name in self.parted or receiver.name in self.parted

    def _attack(self, receiver):
        """Somebody on the air sends what he heard before, what he changed, or what he made up."""
        if not self._overheard:
            return
        device, gateway, datagram = self._random.choice(self._overheard)
        choice = self._random.randrange(3)
        if choice == 1:
            at = self._random.randrange(len(datagram))
            datagram = (
                datagram[:at] + bytes([datagram[at] ^ 1 << self._random.randrange(8)]) + datagram[at + 1 :]
            )
        elif choice == 2:
            datagram = self._random.randbytes(self._random.randrange(1, 60))
        self._world.history.note("attacker", "inject", choice, _short(datagram))
        self._world.history.happened[_INJECTED[choice]] += 1
        if receiver is device:
            device.hear(datagram)
        else:
            gateway.hear(device, datagram)

    # ---- nonces

    def _check_request(self, device, gateway, datagram):
        _, (piv, kid, context), body = _sealed(datagram)
        self._world.watch.sent(device, ("request", device.link_secret(gateway), kid, context, piv), body)

    def _check_answer(self, gateway, device, datagram, request):
        try:
            answer, asked = _sealed(datagram), _sealed(request)
        except ProtocolError:
            return
        (is_protected, (own, _, _), body), (_, (piv, kid, context), _) = answer, asked
        if not is_protected:
            return
        nonce = ("own", own) if own is not None else ("asked", piv)
        if body in self._repeatable:
            # A repeated answer: who changes the message ID of a request gets what was answered to another one.
            return
        self._repeatable.add(body)
        self._world.watch.sent(device, ("answer", device.link_secret(gateway), kid, context, *nonce), body)

    # ---- the uplink

    async def ask(self, gateway, call):
        """Let a gateway ask the office: call() is made when the request arrives; raises ConnectionError where nothing comes back."""
        await asyncio.sleep(0.02 + self._random.random() * self.weather.late_s)
        happened = self._world.history.happened
        if self._is_up_lost(gateway, "request"):
            await asyncio.sleep(self._random.choice((0, 10)))
            raise ConnectionError("the request did not arrive")
        answer = call()
        if self._random.random() < self.weather.again / 2:
            # A proxy that sends a request twice.
            answer = call()
            happened["uplink request repeated"] += 1
        await asyncio.sleep(0.02)
        if self._is_up_lost(gateway, "answer"):
            raise ConnectionError("the answer was lost")
        return answer

    def _is_up_lost(self, gateway, what):
        """Say whether a request or its answer is lost now."""
        happened = self._world.history.happened
        if "office" in self.parted or f"uplink of {gateway.name}" in self.parted:
            happened["uplink met a cut line"] += 1
            return True
        is_lost = self._random.random() < self.weather.loss / 2
        happened[f"uplink {what} lost"] += is_lost
        return is_lost


# Of two datagrams in three each is one that was sent before: nobody answered.
@functools.lru_cache(maxsize=_OVERHEARD_MAX)
def _sealed(datagram):
    """Return (whether OSCORE protects it, (Partial IV, kid, kid context), digest of its payload). Raises ProtocolError."""
    message = coap.decode(datagram)
    value = coap.option(message.options, coap.OSCORE)
    return value is not None, decode_option(value), hashlib.sha256(message.payload).digest()


@functools.lru_cache(maxsize=_OVERHEARD_MAX)
def _short(datagram):
    return hashlib.sha256(datagram).digest()[:6].hex()
