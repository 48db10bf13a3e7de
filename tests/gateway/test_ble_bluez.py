"""The gateway through bleak's own BlueZ backend, over D-Bus, to a service of ours: what production runs, but for the daemon and a radio."""

import asyncio
import contextlib
import os
import shutil
import subprocess

import pytest

from gateway.app import new_loop
from gateway.clock import SystemClock
from gateway.health import Health
from gateway.links import ble as gateway_ble
from gateway.links.ble import BleLink, Radio
from protocol.coap import ACK, CHANGED, CON, OSCORE, POST, Message, decode, encode
from protocol.gatt import OPENING, SERVICE
from protocol.slipmux import COAP, FrameReader, encode_frame
from tests.gateway.site import until
from tests.support.bluez_service import Bluez

pytestmark = [
    pytest.mark.skipif(
        shutil.which("dbus-daemon") is None, reason="dbus-daemon is missing: sudo apt-get install dbus-daemon"
    ),
    pytest.mark.timeout(90),
]
REQUEST = encode(Message(CON, POST, 7, b"tokn", [(OSCORE, b"\x09")], bytes(400)))


@pytest.fixture
def bus(monkeypatch):
    """A message bus of this test alone, which bleak takes for the system's; its address."""
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True
    )
    address = daemon.stdout.readline().strip()
    monkeypatch.setitem(os.environ, "DBUS_SYSTEM_BUS_ADDRESS", address)
    yield address
    daemon.kill()
    daemon.communicate()


class Device:
    """A device of the service: speaks when it was opened, keeps what it hears."""

    def __init__(self, bluez, address, mtu=247):
        self.heard = []
        self.pieces = []
        self.opened = 0
        self._reader = FrameReader()
        self.peripheral = bluez.add(address, mtu, self._written)

    def _written(self, piece):
        self.pieces.append(piece)
        if piece == OPENING:
            self.opened += 1
            self.say(REQUEST)
            return
        self.heard += [content for kind, content in self._reader.feed(piece) if kind == COAP]

    def say(self, datagram):
        frame = encode_frame(datagram)
        size = self.peripheral.mtu - 3
        for at in range(0, len(frame), size):
            self.peripheral.notify(frame[at : at + size])

    async def advertise(self):
        while True:
            self.peripheral.advertise()
            await asyncio.sleep(0.05)


def run(bus, monkeypatch, body, count=1, mtu=247, is_powered=True):
    """Run async body(bluez, link, devices, told) with a gateway's link that answers every request."""
    monkeypatch.setattr(gateway_ble, "LOOK_S", 0.05)
    monkeypatch.setattr(gateway_ble, "RETRY_S_MIN", 0.1)
    told = []

    async def main():
        bluez = Bluez()
        bluez.is_powered = is_powered
        await bluez.start(bus)
        link = BleLink(Radio(), Health(), told.append, clock=SystemClock(), connections=3, turn_s=20.0)

        def answer(peer, datagram):
            request = decode(datagram)
            said = Message(ACK, CHANGED, request.message_id, request.token, [(OSCORE, b"")], bytes(300))
            link.send(peer, encode(said))

        devices = [Device(bluez, f"C0:00:00:00:00:0{n}", mtu) for n in range(count)]
        advertising = [asyncio.ensure_future(device.advertise()) for device in devices]
        link.start(answer)
        try:
            await body(bluez, link, devices, told)
        finally:
            await link.close()
            for task in advertising:
                task.cancel()
            bluez.stop()
            with contextlib.suppress(ImportError):
                await forget_bluez()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


async def forget_bluez():
    """bleak keeps one connection to the bus for each loop."""
    from bleak.backends.bluezdbus import manager

    for one in list(manager._global_instances.values()):
        if one._bus is not None:
            one._bus.disconnect()
            with contextlib.suppress(Exception):
                await one._bus.wait_for_disconnect()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("mtu", [23, 247, 517])
def test_device_is_found_connected_and_answered_through_bluez(bus, monkeypatch, mtu):
    """Scan by service, connect, subscribe, open; request up and answer down in pieces that the connection carries."""

    async def body(bluez, link, devices, told):
        (device,) = devices
        await until(lambda: device.heard, "no answer")
        assert len(decode(device.heard[0]).payload) == 300
        assert device.opened == 1
        assert max(len(piece) for piece in device.pieces) <= min(mtu - 3, 509)
        assert [SERVICE] == bluez.filters["UUIDs"].value
        assert [] == told

    run(bus, monkeypatch, body, mtu=mtu)


def test_connection_that_ends_is_begun_anew_through_bluez(bus, monkeypatch):
    """The radio loses it, refuses the next attempt, and takes the one after."""

    async def body(bluez, link, devices, told):
        (device,) = devices
        await until(lambda: device.heard, "no answer")
        device.peripheral.fails = 1
        device.peripheral.disconnect()
        await until(lambda: device.opened == 2, "never connected again", 30)
        await until(lambda: len(device.heard) == 2, "no second answer")
        assert device.peripheral.connects == 3

    run(bus, monkeypatch, body)


def test_several_devices_are_served_at_once_through_bluez(bus, monkeypatch):
    """Each in a connection of its own, none with another's answer."""

    async def body(bluez, link, devices, told):
        await until(lambda: all(device.heard for device in devices), "somebody has no answer", 30)
        assert link.document()["connected"] == 3

    run(bus, monkeypatch, body, count=3)


def test_adapter_without_power_is_said_once_and_found_again_through_bluez(bus, monkeypatch):
    """Switched off by a person: every call is refused until it is on again."""

    async def body(bluez, link, devices, told):
        await until(lambda: told, "nobody was told", 30)
        bluez.power_on()
        await until(lambda: devices[0].heard, "no answer", 30)
        assert ["ble-away"] == [said.code for said in told]

    run(bus, monkeypatch, body, is_powered=False)


def test_service_that_was_restarted_is_found_again_through_bluez(bus, monkeypatch):
    """It says nothing of the end of scan and connections, and knows no device any more."""
    monkeypatch.setattr(gateway_ble, "SCAN_S", 1.0)
    monkeypatch.setattr(gateway_ble, "STALE_S", 0.5)

    async def body(bluez, link, devices, told):
        (device,) = devices
        await until(lambda: device.heard, "no answer")
        bluez.stop()
        other = Bluez()
        await other.start(bus)
        device.peripheral = other.add(device.peripheral.address, 247, device._written)
        await until(lambda: len(device.heard) == 2, "no answer through the other service", 40)
        other.stop()

    run(bus, monkeypatch, body)
