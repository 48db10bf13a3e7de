"""An air for virtual radios: bumble's controllers, a delay, and connections that break at any packet. One seed, one history.

BLE's link layer repeats until a packet arrives or the connection is over; so what a bad radio does to those above is late packets and
connections that end, with all that was on its way.
"""

import asyncio
import random

from bumble import hci
from bumble.controller import Controller
from bumble.device import Device
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

_TIMEOUT = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR


class Air(LocalLink):
    """cut_chance: that a packet breaks its connection instead of arriving. late_s: of each packet. cut_at: number of a packet (of `packets`)
    that breaks its connection; packets, bytes, cuts: counted. Of two radios a subclass may know more: cut_chance_of, are_apart.
    """

    def __init__(self, seed=0, late_s=0.0):
        super().__init__()
        self.random = random.Random(seed)
        self.cut_chance = 0.0
        self.cut_at = None
        self.late_s = late_s
        self.packets = 0
        self.bytes = 0
        self.cuts = 0
        self._numbers = 0

    def make_device(self):
        """Return a bumble device with a radio and a random address of its own."""
        self._numbers += 1
        address = hci.Address(f"F0:00:00:00:{self._numbers >> 8:02X}:{self._numbers & 255:02X}")
        controller = Controller(f"radio {self._numbers}", link=self, public_address=str(address)[:17])
        device = Device(address=address, host=Host(controller, AsyncPipeSink(controller)))
        device.controller = controller
        return device

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        receiver = self.find_le_controller(destination_address)
        connection = receiver and receiver.le_connections.get(sender_controller.random_address)
        if connection is None:
            return
        self.packets += 1
        self.bytes += len(data)
        chance = self.cut_chance_of(sender_controller, receiver)
        if self.packets == self.cut_at or self.random.random() < chance:
            self.cut(sender_controller, receiver)
            return
        asyncio.get_running_loop().call_later(
            self.late_s, self._arrive, receiver, connection, sender_controller.random_address, transport, data
        )

    def send_advertising_pdu(self, sender_controller, packet):
        for controller in list(self.controllers):
            if controller is not sender_controller and not self.are_apart(sender_controller, controller):
                asyncio.get_running_loop().call_soon(controller.on_ll_advertising_pdu, packet)

    def cut_chance_of(self, one, other):
        """Return the chance of a packet between two radios to break their connection."""
        return 1.0 if self.are_apart(one, other) else self.cut_chance

    def are_apart(self, one, other):
        """Say whether two radios cannot hear each other."""
        return False

    def _arrive(self, receiver, connection, source, transport, data):
        if receiver.le_connections.get(source) is connection:
            receiver.on_link_acl_data(source, transport, data)

    def cut(self, one, other):
        """Break the connection of two radios: both find out, as after a supervision timeout."""
        self.cuts += 1
        for this, that in ((one, other), (other, one)):
            connection = this.le_connections.get(that.random_address)
            if connection is not None:
                this.on_le_disconnected(connection, _TIMEOUT)

    def cut_all(self, controller):
        """Break every connection of one radio."""
        for connection in list(controller.le_connections.values()):
            other = self.find_le_controller(connection.peer_address)
            if other is not None:
                self.cut(controller, other)
