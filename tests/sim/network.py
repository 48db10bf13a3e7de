"""The site's network and the way to the office: loses, repeats, delays, overtakes, parts; and an attacker who hears everything.

It also sees what nobody else can: whether two different messages ever went out under one nonce.
"""

import asyncio
import hashlib
from collections import deque

from protocol import coap
from protocol.errors import ProtocolError
from protocol.oscore import decode_option

_OVERHEARD_MAX = 64


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
        self._nonces = {}
        self._repeatable = set()

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
                self._carry(device, other, datagram, lambda other=other: other.hear(device, datagram))

    def down(self, gateway, device, datagram, request):
        """A gateway answers."""
        self._check_answer(gateway, device, datagram, request)
        self._carry(gateway, device, datagram, lambda: device.hear(datagram))

    def _carry(self, sender, receiver, datagram, deliver):
        weather = self.weather
        self._world.history.note(sender.name, "send", receiver.name, _short(datagram))
        if self._is_cut(sender, receiver) or self._random.random() < weather.loss:
            return
        for _ in range(1 + (self._random.random() < weather.again)):
            late_s = 0.005 + self._random.random() ** 3 * weather.late_s
            asyncio.get_running_loop().call_later(late_s, self._arrive, sender, receiver, deliver)
        if self._random.random() < weather.attack:
            self._attack(receiver)

    def _arrive(self, sender, receiver, deliver):
        if not self._is_cut(sender, receiver):
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
        if receiver is device:
            device.hear(datagram)
        else:
            gateway.hear(device, datagram)

    # ---- nonces

    def _check_request(self, device, gateway, datagram):
        message = coap.decode(datagram)
        piv, kid, context = decode_option(coap.option(message.options, coap.OSCORE))
        body = hashlib.sha256(message.payload).digest()
        self._once(("request", device.link_secret(gateway), kid, context, piv), body, device)

    def _check_answer(self, gateway, device, datagram, request):
        try:
            message, asked = coap.decode(datagram), coap.decode(request)
            value = coap.option(message.options, coap.OSCORE)
            if value is None:
                return
            own = decode_option(value)[0] if value else None
            piv, kid, context = decode_option(coap.option(asked.options, coap.OSCORE))
        except ProtocolError:
            return
        nonce = ("own", own) if own is not None else ("asked", piv)
        body = hashlib.sha256(message.payload).digest()
        if body in self._repeatable:
            # A repeated answer: who changes the message ID of a request gets what was answered to another one.
            return
        self._repeatable.add(body)
        self._once(("answer", device.link_secret(gateway), kid, context, *nonce), body, device)

    def _once(self, nonce, body, device):
        if self._nonces.setdefault(nonce, body) != body:
            self._world.history.breaks(
                "counters", f"{device.name}: a nonce was used twice: {nonce[0]} {nonce[4:]}"
            )

    # ---- the uplink

    async def ask(self, gateway, call):
        """Let a gateway ask the office: call() is made when the request arrives; raises ConnectionError where nothing comes back."""
        await asyncio.sleep(0.02 + self._random.random() * self.weather.late_s)
        if self._is_up_cut(gateway) or self._random.random() < self.weather.loss / 2:
            await asyncio.sleep(self._random.choice((0, 10)))
            raise ConnectionError("the request did not arrive")
        answer = call()
        if self._random.random() < self.weather.again / 2:
            # A proxy that sends a request twice.
            answer = call()
        await asyncio.sleep(0.02)
        if self._is_up_cut(gateway) or self._random.random() < self.weather.loss / 2:
            raise ConnectionError("the answer was lost")
        return answer

    def _is_up_cut(self, gateway):
        return "office" in self.parted or f"uplink of {gateway.name}" in self.parted


def _short(datagram):
    return hashlib.sha256(datagram).digest()[:6].hex()
