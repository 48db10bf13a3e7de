"""What tests of serial lines stand on: a link over ptys, with a server that keeps what it hears or a whole gateway behind it."""

import asyncio

from agent.links.serial import SerialLink as DeviceSerial
from gateway.health import Health
from gateway.links.serial import SerialLink
from tests.gateway.site import DeviceDouble, until
from tests.support.serial_lines import Plug

SEED = 20260906


class Heard:
    """A server that keeps what it is fed."""

    def __init__(self):
        self.datagrams = []

    def feed(self, peer, datagram):
        self.datagrams.append((peer, datagram))


class Lines:
    """A link over some plugs, without a gateway behind it. said: the diagnostics that it told."""

    def __init__(self, folder, count=1, baud=115200, is_in=True):
        self.plugs = [Plug(folder / f"ttyUSB{n}", is_in) for n in range(count)]
        self.server = Heard()
        self.health = Health()
        self.said = []
        self.link = SerialLink([(str(plug.path), baud) for plug in self.plugs], self.health, self.said.append)

    async def __aenter__(self):
        self.link.start(self.server.feed)
        if self.plugs[0].fd is not None:
            await until(lambda: self.states() == ["silent"] * len(self.plugs), "a port was not opened")
        return self

    async def __aexit__(self, *exc):
        await self.link.close()
        for plug in self.plugs:
            plug.unplug()

    def documents(self):
        self.link.count()
        return [self.health.links[f"serial:{plug.path}"] for plug in self.plugs]

    def states(self):
        return [line["state"] for line in self.documents()]

    def contents(self):
        return [datagram for _, datagram in self.server.datagrams]

    async def pour(self, piece, n=0):
        """Send a piece however long it is: a line holds 4 KiB, and takes the rest as it is read."""
        while piece:
            piece = piece[self.plugs[n].write(piece) :]
            await asyncio.sleep(0.002)


def over_line(plug, n, **options):
    """Return a device at the far end of a line."""
    return DeviceDouble(None, n, link=DeviceSerial(plug), **options)


def serial_settings(*plugs, baud=115200):
    return "".join(f'[[serial]]\nport = "{plug.path}"\nbaud = {baud}\n' for plug in plugs)


def plug_state(running, plug):
    running.gateway.serial.count()
    return running.gateway.health.links[f"serial:{plug.path}"]["state"]
