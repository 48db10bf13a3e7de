"""A simulated site whose devices speak over BLE: the agent's own link and the gateway's own, bumble's controllers between them.

In place of datagrams that are lost come connections that break at any packet; in place of a part of the network, a device out of range. One
gateway has a radio. A device has a new address after each boot.
"""

import asyncio

from agent.links.ble import BleLink, BleStream
from gateway.health import Health
from gateway.links.ble import BleLink as Central
from gateway.links.ble import Radio
from tests.sim.clock import DeviceTicks
from tests.sim.network import Network
from tests.support.ble_air import Air
from tests.support.ble_bleak import Adapter
from tests.support.ble_module import Ble

CONNECTIONS = 2
TURN_S = 20.0
# Of each chance of a datagram to be lost: a frame is several packets, and what breaks a connection costs seconds.
_CUTS_A_LOSS = 0.05
_LATE_S = 0.03


class SiteAir(Air):
    """The air of one site: who is out of range, and how bad the weather is, the network knows."""

    def __init__(self, network, seed):
        super().__init__(seed, _LATE_S)
        self._network = network

    def are_apart(self, one, other):
        return bool({self._network.owner(one), self._network.owner(other)} & self._network.parted)

    def cut_chance_of(self, one, other):
        return 1.0 if self.are_apart(one, other) else self._network.weather.loss * _CUTS_A_LOSS


class BleNetwork(Network):
    """The site's network, but for the way between devices and gateways. air: of all radios. ups, downs: datagrams that arrived, and that
    were sent back. late_s: how long each took that was sent into an open connection and arrived over it; recovery_s: each that met
    none, or saw one end.
    """

    def __init__(self, world, random):
        super().__init__(world, random)
        self.air = SiteAir(self, f"{world.seed} air")
        self.ups = self.downs = 0
        self.late_s, self.recovery_s = [], []
        self._owners = {}
        self._centrals = {}
        # Name of a device -> [when it sent what has not arrived yet, whether that met no connection or saw one end].
        self._sent = {}
        self._connected = set()
        self._work = []

    def owner(self, controller):
        """Return the name of whose radio it is."""
        return self._owners.get(controller.random_address.to_string(False))

    # ---- devices

    def open_link(self, device, gateway):
        """Return the link of one boot: a radio with a new address."""
        radio = self.air.make_device()
        self._owners[radio.random_address.to_string(False)] = device.name
        ticks = DeviceTicks(self._world.time, 0, device.drift)
        link = BleLink(BleStream(Ble(radio, piece_s=0.01), str, ticks.ticks_ms, ticks.ticks_diff))
        radio.on("connection", lambda connection: self._note_connection(device.name, connection))
        self._sent.pop(device.name, None)
        return DeviceRadio(self, device.name, radio, link)

    def _note_connection(self, name, connection):
        self._connected.add(name)
        connection.on("disconnection", lambda _: self._note_end(name))

    def _note_end(self, name):
        self._connected.discard(name)
        if name in self._sent:
            self._sent[name][1] = True

    def note_sent(self, name):
        """A device hands its link a datagram."""
        self._sent.setdefault(name, [self._world.time.now, name not in self._connected])

    # ---- gateways

    def begin(self, gateway):
        """A gateway's process starts, and its scan with it."""
        if gateway is self._world.gateways[0]:
            self._work.append(asyncio.ensure_future(self._begin(gateway, gateway.starts)))

    async def _begin(self, gateway, start):
        adapter = Adapter(self.air)
        await adapter.switch_on()
        if gateway.starts != start or gateway.server is None:
            adapter.switch_off()
            return
        self._owners[adapter.device.random_address.to_string(False)] = gateway.name
        scanner, client = adapter.backends()
        radio = Radio(scanner=scanner, client=client)
        central = Central(
            radio, Health(), lambda said: None, clock=gateway.clock, connections=CONNECTIONS, turn_s=TURN_S
        )
        self._centrals[gateway.name] = (adapter, central)
        central.start(lambda peer, datagram: self._arrive_at(gateway, peer, datagram))

    def end(self, gateway):
        """A gateway's process is gone; the system lets go of what it had connected."""
        adapter, central = self._centrals.pop(gateway.name, (None, None))
        if adapter is not None:
            adapter.switch_off()
            self._work.append(asyncio.ensure_future(central.close()))

    def _arrive_at(self, gateway, peer, datagram):
        name = self._owners[peer.removeprefix("ble:")]
        device = next(one for one in self._world.devices if one.name == name)
        self._world.history.note(name, "send", gateway.name, len(datagram))
        self._check_request(device, gateway, datagram)
        self.ups += 1
        since_s, was_apart = self._sent.pop(name, (None, False))
        if since_s is not None:
            (self.recovery_s if was_apart else self.late_s).append(self._world.time.now - since_s)
        device.peer = peer
        gateway.hear(device, datagram)

    def down(self, gateway, device, datagram, request):
        """A gateway answers."""
        self._check_answer(gateway, device, datagram, request)
        _, central = self._centrals.get(gateway.name, (None, None))
        if central is not None:
            self.downs += 1
            central.send(device.peer, datagram)


class DeviceRadio:
    """What one boot of the agent sends and hears through: its BLE link, and a radio that is off when the boot is over."""

    def __init__(self, network, name, radio, link):
        self._network = network
        self._name = name
        self._radio = radio
        self._link = link
        self._is_dead = False

    @property
    def is_dead(self):
        return self._is_dead

    @is_dead.setter
    def is_dead(self, value):
        if value and not self._is_dead:
            self._network.air.cut_all(self._radio.controller)
            self._network.air.remove_controller(self._radio.controller)
            self._radio.controller.le_legacy_advertiser.stop()
            for one in self._radio.controller.advertising_sets.values():
                one.stop()
        self._is_dead = value

    def send(self, datagram):
        if not self._is_dead:
            self._network.note_sent(self._name)
            self._link.send(bytes(datagram))

    @property
    def sent_bytes(self):
        return self._link.sent_bytes

    @property
    def received_bytes(self):
        return self._link.received_bytes

    @property
    def lost(self):
        return self._link.lost

    async def recv(self, timeout_ms):
        return await self._link.recv(timeout_ms)

    def close(self):
        self._link.close()
