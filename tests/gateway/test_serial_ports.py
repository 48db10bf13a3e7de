"""Many serial ports at once: each has its turn, whatever the others do; and what people are told of them."""

import asyncio
import json
import os
import random
import sys
import threading
import time

import pytest

from agent.links.serial import SerialLink as DeviceSerial
from gateway.health import Health
from gateway.links import serial_line
from gateway.links.serial import SerialLink
from protocol.diagnostic import UNREACHABLE, DiagnosticError
from protocol.slipmux import FrameReader, encode_frame
from tests.gateway.serial_bench import SEED, Lines, over_line, plug_state, serial_settings
from tests.gateway.site import custody_of, device_id, segment, until
from tests.gateway.test_cli import outstation
from tests.support.serial_lines import Plug, as_heard


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Look for a port that is away more often than in earnest."""
    monkeypatch.setattr(serial_line, "RETRY_S_MIN", 0.02)
    monkeypatch.setattr(serial_line, "RETRY_S_MAX", 0.05)


# ---- many ports


def test_many_ports_are_served_at_once(site, tmp_path):
    """Each line has a device of its own, all at the same time."""
    plugs = [Plug(tmp_path / f"ttyUSB{n}") for n in range(1, 9)]

    async def body(running):
        async def work(n):
            device = over_line(plugs[n - 1], n)
            for number in range(6):
                assert custody_of(await device.send(segment(number, device=device_id(n)))) == number + 1

        await asyncio.gather(*(work(n) for n in range(1, 9)))
        assert running.gateway.health.counts["segments"] == 48

    site(body, devices=8, more=serial_settings(*plugs))


class Flood(threading.Thread):
    """Fills a line without end, from a thread of its own. poured: bytes so far; it gives up after so many seconds or bytes."""

    def __init__(self, plug, piece, seconds=20.0):
        super().__init__(daemon=True)
        self._fd = os.dup(plug.fd)
        self._piece = piece
        self._until = time.monotonic() + seconds
        self.is_wanted = True
        self.poured = 0

    def run(self):
        while self.is_wanted and time.monotonic() < self._until:
            try:
                self.poured += os.write(self._fd, self._piece)
            except BlockingIOError:
                time.sleep(0.0005)
        os.close(self._fd)

    def end(self):
        """Return whether it was still pouring when it was told to end."""
        was_pouring = self.is_alive()
        self.is_wanted = False
        self.join()
        return was_pouring


FLOODS = {
    "frames": encode_frame(b"\x40\x01\x00\x01") * 300,
    "delimiters": b"\xc0" * 4096,
    "garbage": random.Random(SEED).randbytes(4096),
}


def check_flood(site, folder, kind):
    plugs = [Plug(folder / "ttyUSB0"), Plug(folder / "ttyUSB1")]

    async def body(running):
        await until(lambda: plug_state(running, plugs[0]) == "silent", "the port was not opened")
        # A real line could not bring so much; USB and sockets can.
        flood = Flood(plugs[0], FLOODS[kind])
        flood.start()
        await until(lambda: flood.poured > 20_000, "the flood does not come")
        wired, other = over_line(plugs[1], 1), running.device(2)
        for number in range(4):
            assert custody_of(await wired.send(segment(number))) == number + 1
            assert custody_of(await other.send(segment(number, device=device_id(2)))) == number + 1
        was_pouring = flood.end()
        assert was_pouring, "the others were served only when the flood was over"

    site(body, more=serial_settings(*plugs, baud=1_000_000))


@pytest.mark.parametrize("kind", sorted(FLOODS))
def test_port_that_floods_does_not_starve_the_others(site, tmp_path, kind):
    """Another port and UDP are served while one port brings frames, delimiters or garbage as fast as it can."""
    check_flood(site, tmp_path, kind)


def test_port_brings_no_more_than_its_baud_rate_allows(tmp_path):
    """Twice what the rate carries, for clocks differ; the rest waits at the sender. So no line can take the whole machine."""

    async def body():
        async with Lines(tmp_path, baud=9600) as lines:
            started = time.monotonic()
            flood = Flood(lines.plugs[0], FLOODS["frames"])
            flood.start()
            await asyncio.sleep(1.0)
            brought = lines.documents()[0]["received_bytes"]
            spent_s = time.monotonic() - started
            flood.end()
            # One look more than the pace gives, and what it may be ahead.
            assert 0 < brought <= 2 * 960 * (spent_s + 0.25) + 2 * serial_line.READ_BYTES

    asyncio.run(body())


class Impatient(threading.Thread):
    """Reads a line only if nobody else was served for a while. was_needed: whether that was so."""

    def __init__(self, plug):
        super().__init__(daemon=True)
        self._plug = plug
        self.is_served = threading.Event()
        self.was_needed = False
        self.start()

    def run(self):
        self.was_needed = not self.is_served.wait(5)
        while not self.is_served.wait(0.001):
            self._plug.read(65536)


def check_deaf_line(folder):
    async def body():
        async with Lines(folder, 2) as lines:
            deaf, other = (f"serial:{plug.path}" for plug in lines.plugs)
            impatient = Impatient(lines.plugs[0])
            for _ in range(200):
                lines.link.send(deaf, bytes(1000))
            lines.link.send(other, b"heard")
            assert await DeviceSerial(lines.plugs[1]).recv(5000) == b"heard"
            impatient.is_served.set()
            impatient.join()
            assert not impatient.was_needed, "the other line waited for the one that does not listen"
            line = lines.documents()[0]
            assert line["sent"] + line["unsent"] == 200 and line["unsent"] > 150
            # It listens again: what waited arrives whole, and so does what is sent then.
            reader, arrived = FrameReader(), []
            await until(lambda: take(lines.plugs[0], reader, arrived) == line["sent"], "some never came")
            lines.link.send(deaf, b"again")
            await until(lambda: take(lines.plugs[0], reader, arrived) > line["sent"], "it stays silent")
            assert arrived == [bytes(1000)] * line["sent"] + [b"again"] and reader.dropped == 0

    asyncio.run(body())


def take(plug, reader, arrived):
    """Add what a line brings to the far end; return how many datagrams that are by now."""
    arrived += [content for _, content in reader.feed(plug.read(65536) or b"")]
    return len(arrived)


def test_line_that_does_not_listen_costs_a_bounded_queue_and_nobody_else(tmp_path):
    """Answers for it wait up to 8 KiB, further ones are lost and counted, and no frame is ever cut."""
    check_deaf_line(tmp_path)


# ---- said to people


def status_of(path):
    said = outstation("status", "--config", path, "--json")
    return said.returncode, json.loads(said.stdout)


def test_status_shows_each_port_and_what_is_wrong_with_it(site, tmp_path):
    """A port that works, one that is not there, and one at another rate, with exit code 1; a stopped gateway accuses none."""
    plugs = [Plug(tmp_path / "ttyUSB0"), Plug(tmp_path / "ttyUSB1", is_in=False), Plug(tmp_path / "ttyUSB2")]

    async def body(running):
        await over_line(plugs[0], 1).send(segment(0))
        await until(lambda: plug_state(running, plugs[2]) == "silent", "the port was not opened")
        plugs[2].write(as_heard(encode_frame(bytes(range(250))) * 15, 115200, 9600))
        await until(lambda: plug_state(running, plugs[2]) == "garbled", "nobody noticed")
        await running.gateway._save_health()

        code, document = await asyncio.to_thread(status_of, running.path)
        text = await asyncio.to_thread(outstation, "status", "--config", running.path)

        assert code == 1 and [line["state"] for line in document["serial"]] == ["frames", "away", "garbled"]
        assert document["serial"][0]["frames"] == 2
        assert len(document["findings"]) == 2
        assert f"serial port {plugs[1].path} at 115200 baud cannot be used" in document["findings"][0]
        assert f"serial port {plugs[2].path} at 115200 baud brings bytes" in document["findings"][1]
        assert f"serial  {plugs[0].path} at 115200 baud: frames, 2 frames, 0 spoiled" in text.stdout
        assert f"{plugs[1].path} at 115200 baud: away (" in text.stdout
        return running.path

    path = site(body, more=serial_settings(*plugs))

    assert status_of(path)[1]["findings"] == []


def test_gateway_without_pyserial_says_what_to_install(files, monkeypatch, tmp_path):
    """Only where a port is configured; exit code 3."""
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(DiagnosticError, match="outstation\\[links\\]") as raised:
        asyncio.run(start_once(tmp_path))

    assert raised.value.exit_code == UNREACHABLE


async def start_once(folder):
    SerialLink([(str(folder / "none"), 9600)], Health(), lambda said: None).start(lambda peer, datagram: None)


def test_gateway_that_ends_gives_its_ports_back(tmp_path):
    """Also one that it is about to open."""

    async def body():
        for wait_s in (0, 0.001, 0.05):
            async with Lines(tmp_path) as lines:
                other = SerialLink([(str(lines.plugs[0].path), 9600)], Health(), lambda said: None)
                await lines.link.close()
                other.start(lines.server.feed)
                await asyncio.sleep(wait_s)
                await other.close()
                lines.link.start(lines.server.feed)
                await until(lambda: lines.states() == ["silent"], "somebody still holds the port")

    asyncio.run(body())
