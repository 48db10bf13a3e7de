"""A gateway that listens on several links at once: who hears one of them gains nothing on another.

The real gateway on UDP and on a pty, one device with both. What a stranger may do is play what he heard, and cut a link.
"""

import asyncio

import pytest

from agent.links.serial import SerialLink as DeviceSerial
from agent.links.several import SeveralLinks
from agent.links.udp import UdpLink
from gateway.links import serial_line
from protocol import coap
from protocol.slipmux import COAP, FrameReader, encode_frame
from tests.gateway.serial_bench import over_line, plug_state, serial_settings
from tests.gateway.site import custody_of, segment, until
from tests.support.serial_lines import Plug


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Look for a port that is away more often than in earnest."""
    monkeypatch.setattr(serial_line, "RETRY_S_MIN", 0.02)
    monkeypatch.setattr(serial_line, "RETRY_S_MAX", 0.05)


class Ear:
    """A link whose datagrams somebody writes down; deaf, it lets nothing through."""

    def __init__(self, link):
        self._link = link
        self.heard = []
        self.is_cut = False

    sent_bytes = received_bytes = lost = 0

    def send(self, datagram):
        self.heard.append(datagram)
        if not self.is_cut:
            self._link.send(datagram)

    async def recv(self, timeout_ms):
        datagram = await self._link.recv(timeout_ms)
        return None if self.is_cut else datagram

    def close(self):
        self._link.close()


async def said_to(link, datagram):
    """Play a datagram on a link; return the answer, decoded."""
    link.send(datagram)
    answer = await link.recv(5000)
    assert answer is not None, "the gateway says nothing"
    return coap.decode(answer)


def check_what_was_heard_on_one_link_is_refused_on_another(site, folder):
    """Each datagram of UDP on the serial line, and each of the serial line over UDP: a code alone, nothing taken, the device not disturbed."""
    plug = Plug(folder / "ttyUSB0")

    async def body(running):
        await until(lambda: plug_state(running, plug) == "silent", "the port was not opened")
        udp = Ear(UdpLink("127.0.0.1", running.gateway.link.port))
        line = Ear(DeviceSerial(plug))
        device = over_line(plug, 1)
        for link in (udp, line):
            device.client._link = device.link = link
            for number in range(3):
                await device.send(segment(number + 3 * (link is line)))
        taken = running.gateway.health.counts["segments"]
        assert taken == 6
        for heard, other in (
            (udp.heard, DeviceSerial(plug)),
            (line.heard, UdpLink("127.0.0.1", running.gateway.link.port)),
        ):
            assert len(heard) >= 3
            for datagram in heard:
                answer = await said_to(other, datagram)
                assert answer.code == coap.UNAUTHORIZED and not answer.payload
                assert coap.option(answer.options, coap.OSCORE) is None
        assert running.gateway.health.counts["segments"] == taken
        assert running.gateway.health.counts["duplicates"] == 0
        assert custody_of(await device.send(segment(6))) == 7

    site(body, more=serial_settings(plug))


def test_what_was_heard_on_one_link_is_refused_on_another(site, tmp_path):
    """The replay window is the device's, not the link's."""
    check_what_was_heard_on_one_link_is_refused_on_another(site, tmp_path)


def test_device_that_is_forced_onto_its_other_link_says_nothing_that_can_be_read_or_used(site, tmp_path):
    """Whoever cuts the first link meets the same keys on the second: the same protected bytes, no new context, no plain request, all taken."""
    plug = Plug(tmp_path / "ttyUSB0")

    async def body(running):
        await until(lambda: plug_state(running, plug) == "silent", "the port was not opened")
        udp = Ear(UdpLink("127.0.0.1", running.gateway.link.port))
        line = Ear(DeviceSerial(plug))
        ticks = asyncio.get_running_loop().time
        several = SeveralLinks([udp, line], lambda: int(ticks() * 1000), lambda new, old: new - old)
        device = running.device(1, link=several, ack_timeout_ms=40)
        secret = b"the reading that nobody else may see"
        assert custody_of(await device.send(segment(0, text=secret))) == 1
        udp.is_cut = True
        for number in range(1, 5):
            assert custody_of(await device.send(segment(number, text=secret))) == number + 1
        assert several.at == 1 and len(line.heard) >= 4
        # The request under way went over as it was.
        assert line.heard[0] == udp.heard[-1]
        for datagram in line.heard:
            message = coap.decode(datagram)
            assert message.code == coap.POST
            assert [number for number, _ in message.options] == [coap.OSCORE]
            assert secret not in datagram
        # Under the context that it had: nobody was asked for Echo a second time.
        assert running.gateway.sessions.counts["confirmed"] == 1
        assert running.gateway.health.counts["segments"] == 5
        assert running.gateway.health.counts["unauthenticated"] == 0

    site(body, more=serial_settings(plug))


def test_frame_of_a_line_is_what_udp_carries():
    """Framing adds and takes nothing: so what is shown for one link holds for all."""
    found = [
        content for kind, content in FrameReader().feed(encode_frame(b"\xc0\xdb request")) if kind == COAP
    ]

    assert found == [b"\xc0\xdb request"]
