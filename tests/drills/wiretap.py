"""Somebody between the two ends of a serial line: he hears each datagram, and gives on what he likes."""

import asyncio

from protocol.slipmux import COAP, FrameReader, encode_frame
from tests.support.serial_lines import Plug

_READ_BYTES = 4096


class Wiretap:
    """device, gateway: the plugs of the two ends. said: what the device said. Run it as a task.

    between(datagram): what happens to a request, None: it goes on as it is. It says what it likes by up() and down(). While is_held,
    the device is not listened to; what the gateway says meanwhile lies in answers.
    """

    def __init__(self, device: Plug, gateway: Plug):
        self.device = device
        self.gateway = gateway
        self.said = []
        self.answers = []
        self.between = None
        self.is_held = False
        self._readers = (FrameReader(), FrameReader())

    def up(self, datagram: bytes) -> None:
        """Say something to the gateway."""
        self.gateway.write(encode_frame(datagram))

    def down(self, datagram: bytes) -> None:
        """Say something to the device."""
        self.device.write(encode_frame(datagram))

    async def run(self) -> None:
        """Carry until cancelled."""
        while True:
            for datagram in self._heard(self.device, self._readers[0]):
                self._from_device(datagram)
            for datagram in self._heard(self.gateway, self._readers[1]):
                if self.is_held:
                    self.answers.append(datagram)
                else:
                    self.down(datagram)
            await asyncio.sleep(0.002)

    def _from_device(self, datagram):
        self.said.append(datagram)
        if self.is_held:
            return
        if self.between is None:
            self.up(datagram)
        else:
            self.between(datagram)

    @staticmethod
    def _heard(plug, reader):
        piece = plug.read(_READ_BYTES)
        return [content for kind, content in reader.feed(piece) if kind == COAP] if piece else []
