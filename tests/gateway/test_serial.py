"""Serial lines at the gateway: hot-plug, a wrong baud rate, noise, and a console's text.

Lines are ptys; at their far ends is the device's own link code. What a pty cannot show (real UARTs, their drivers and baud rates) is
for the bench checklist of docs/operating/boards.md.
"""

import asyncio
import os
import random

import pytest

from agent.links.serial import SerialLink as DeviceSerial
from gateway.health import Health
from gateway.links import serial_line
from gateway.links.line_quality import LineQuality
from gateway.links.serial import SerialLink
from protocol.coap import datagram_bytes_max
from protocol.slipmux import encode_frame, encode_text
from tests.gateway.serial_bench import SEED, Heard, Lines, over_line, plug_state, serial_settings
from tests.gateway.site import custody_of, device_id, segment, until
from tests.support.serial_lines import Noise, Plug, Wire, as_heard

BOOT_TEXT = (
    "MicroPython v1.26.1 on 2026-01-01; MPS2 with Cortex-M3\r\n"
    'Type "help()" for more information.\r\n>>> import main\r\n'
    'Traceback (most recent call last):\r\n  File "<stdin>", line 1, in <module>\r\n'
)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Look for a port that is away more often than in earnest."""
    monkeypatch.setattr(serial_line, "RETRY_S_MIN", 0.02)
    monkeypatch.setattr(serial_line, "RETRY_S_MAX", 0.05)


# ---- frames in, frames out


def check_datagrams_pass_both_ways(folder):
    async def body():
        async with Lines(folder) as lines:
            datagrams = [bytes(range(256)) * 4, b"\xc0\xdb\x0a\xa9" * 200, b"x", bytes(datagram_bytes_max)]
            far = DeviceSerial(lines.plugs[0])
            for datagram in datagrams:
                lines.link.send(f"serial:{lines.plugs[0].path}", datagram)
                assert await far.recv(5000) == datagram
                await lines.pour(encode_frame(datagram))
            await until(lambda: len(lines.server.datagrams) == len(datagrams), "a datagram is missing")
            assert lines.server.datagrams == [(f"serial:{lines.plugs[0].path}", one) for one in datagrams]

    asyncio.run(body())


def test_datagrams_pass_both_ways_whatever_their_bytes(tmp_path):
    """Up to the longest one; and the line's name is their sender."""
    check_datagrams_pass_both_ways(tmp_path)


def test_device_is_served_over_serial_as_over_udp(site, tmp_path):
    """The same exchange, the same custody, counted; and another device over UDP meanwhile."""
    plug = Plug(tmp_path / "ttyUSB0")

    async def body(running):
        wired, other = over_line(plug, 1), running.device(2)
        for number in range(5):
            assert custody_of(await wired.send(segment(number))) == number + 1
            assert custody_of(await other.send(segment(number, device=device_id(2)))) == number + 1
        running.gateway.serial.count()
        counts = running.gateway.health.counts
        # The first request is answered with Echo and comes again.
        assert (counts["segments"], counts["serial_frames"], counts["serial_spoiled"]) == (10, 6, 0)

    site(body, more=serial_settings(plug))


def test_stranger_on_a_line_gets_a_code_alone(site, tmp_path):
    """As over UDP: refused, counted, nothing kept; and garbage in a whole frame is no error."""
    from tests.gateway.test_udp import plain

    plug = Plug(tmp_path / "ttyUSB0")

    async def body(running):
        far = DeviceSerial(plug)
        await until(lambda: plug_state(running, plug) == "silent", "the port was not opened")
        for _ in range(3):
            far.send(plain(payload=segment(0)))
            assert len(await far.recv(5000)) <= 8
        far.send(b"\x00")
        far.send(b"")
        far.send(b"\xff" * 40)
        assert custody_of(await over_line(plug, 1).send(segment(0))) == 1
        assert running.gateway.health.counts["unauthenticated"] == 3

    site(body, more=serial_settings(plug))


# ---- hot-plug


def check_hot_plug(folder):
    async def body():
        async with Lines(folder, is_in=False) as lines:
            plug = lines.plugs[0]
            await until(lambda: lines.said, "nobody was told that the port is not there")
            plug.plug_in()
            for times in (1, 2, 3):
                await until(lambda: lines.states() == ["silent"], "the port was not opened")
                plug.write(encode_frame(b"whole %d" % times) + encode_frame(b"half")[:5])
                await until(lambda times=times: len(lines.contents()) == times, "nothing arrives")
                plug.unplug()
                await until(lambda: lines.states() == ["away"], "it was not missed")
                lines.link.send(f"serial:{plug.path}", b"to nobody")
                plug.plug_in()
            await until(lambda: lines.states() == ["silent"], "the port was not opened")
            line = lines.documents()[0]
            # Half a frame from before is not the beginning of what comes now.
            assert lines.contents() == [b"whole 1", b"whole 2", b"whole 3"]
            assert (line["losses"], line["spoiled"], line["unsent"]) == (3, 0, 3)
            assert lines.health.counts["serial_losses"] == 3
            assert [said.code for said in lines.said] == ["serial-away"] * 4
            assert str(plug.path) in lines.said[0].message and "115200" in lines.said[0].message

    asyncio.run(body())


def test_port_that_comes_and_goes_is_used_whenever_it_is_there(tmp_path):
    """One that is not there at the start is opened when it appears; one that vanishes is said once, and opened again."""
    check_hot_plug(tmp_path)


def test_port_that_somebody_else_holds_is_said_with_the_reason(tmp_path):
    """Two gateways on one line would each lose half; the second one waits."""

    async def body():
        async with Lines(tmp_path) as lines:
            other = SerialLink([(str(lines.plugs[0].path), 9600)], Health(), lines.said.append)
            other.start(lines.server.feed)
            await until(lambda: lines.said, "it was taken from who holds it")
            assert (
                "another program holds it" in lines.said[0].message and "9600 baud" in lines.said[0].message
            )
            await other.close()
            lines.plugs[0].write(encode_frame(b"still here"))
            await until(lambda: lines.contents(), "the holder lost it")

    asyncio.run(body())


def test_socket_port_is_found_when_its_server_comes_back(tmp_path):
    """A terminal server or an emulated board is a port too, by socket://HOST:PORT."""

    async def body():
        served = []

        async def serve(reader, writer):
            # A port forgets at its opening what came before: so does this one.
            while not served or served[-1] is not writer:
                writer.write(encode_frame(b"over a socket"))
                try:
                    answer = await asyncio.wait_for(reader.readexactly(len(encode_frame(b"answer"))), 0.05)
                except TimeoutError:
                    continue
                assert answer == encode_frame(b"answer")
                served.append(writer)
            writer.close()

        far = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = far.sockets[0].getsockname()[1]
        server, health = Heard(), Health()
        link = SerialLink([(f"socket://127.0.0.1:{port}", 115200)], health, lambda said: None)
        link.start(lambda peer, datagram: (server.feed(peer, datagram), link.send(peer, b"answer")))
        await until(lambda: len(served) >= 3, "it was not found again")
        await link.close()
        far.close()
        assert set(server.datagrams) == {(f"serial:socket://127.0.0.1:{port}", b"over a socket")}

    asyncio.run(body())


# ---- a wrong baud rate


def check_wrong_baud(folder):
    async def body():
        async with Lines(folder, baud=9600) as lines:
            chance = random.Random(SEED)
            frames = [encode_frame(chance.randbytes(90)) for _ in range(12)]
            await lines.pour(
                as_heard(b"".join(frames), 115200, 9600) + as_heard(b"".join(frames), 9600, 19200)
            )
            await until(lambda: lines.states() == ["garbled"], "nobody noticed")
            assert lines.contents() == []
            assert [said.code for said in lines.said] == ["serial-unreadable"]
            assert f"{lines.plugs[0].path} at 9600 baud" in lines.said[0].message
            assert "baud" in lines.said[0].fix
            await lines.pour(as_heard(frames[0], 9600, 9600))
            await until(lambda: lines.states() == ["frames"], "the right rate is not recognised")
            assert len(lines.contents()) == 1

    asyncio.run(body())


def test_wrong_baud_rate_is_named_with_the_port(tmp_path):
    """Bytes of which none is a whole frame are said once, with port and rate; at the right rate the line works at once."""
    check_wrong_baud(tmp_path)


@pytest.mark.parametrize(("sent", "heard"), [(115200, 9600), (9600, 115200), (115200, 57600), (57600, 38400)])
def test_wrong_baud_rate_is_told_from_text(sent, heard):
    """Whichever of the two is too fast."""
    quality = LineQuality()
    for _ in range(8):
        piece = b"".join(encode_frame(random.Random(SEED + n).randbytes(200)) for n in range(4))
        assert quality.hear(as_heard(piece, sent, heard)) == []

    assert quality.state == "garbled"


def test_right_baud_rate_is_heard_whole():
    """The model of a UART changes nothing where both ends agree, and little clock drift is no matter."""
    piece = bytes(range(256))

    assert as_heard(piece, 115200, 115200) == piece
    assert as_heard(piece, 115200, 117000) == piece


# ---- noise


def check_noise(folder):
    async def body():
        async with Lines(folder) as lines:
            chance = random.Random(SEED)
            sent = [chance.randbytes(chance.randrange(1, 300)) for _ in range(400)]
            noise = Noise(400, SEED)
            for datagram in sent:
                await lines.pour(noise(encode_frame(datagram)))
            await lines.pour(encode_frame(b"the last"))
            await until(lambda: lines.contents()[-1:] == [b"the last"], "the line never recovered")
            line = lines.documents()[0]
            arrived = lines.contents()[:-1]
            assert noise.spoiled > 50 and line["spoiled"] > 20
            # Nothing is made of noise, and a frame that it hits costs itself and at most the next one.
            left = iter(sent)
            assert all(any(one == other for other in left) for one in arrived)
            assert len(sent) - len(arrived) <= 2 * noise.spoiled
            assert line["state"] == "frames" and lines.said == []

    asyncio.run(body())


def test_noise_costs_the_frames_that_it_hits_and_no_others(tmp_path):
    """Whatever is delivered was sent, in its order; behind each spoiled frame the line is in step again."""
    check_noise(tmp_path)


def check_bad_check_is_refused(folder):
    async def body():
        async with Lines(folder) as lines:
            frame = bytearray(encode_frame(b"open the valve by 10"))
            frame[-3] ^= 1
            lines.plugs[0].write(bytes(frame) + encode_frame(b"next"))
            await until(lambda: lines.contents(), "nothing arrives")
            assert lines.contents() == [b"next"]
            assert lines.documents()[0]["spoiled"] == 1

    asyncio.run(body())


def test_frame_whose_check_is_wrong_is_never_delivered(tmp_path):
    """One bit is enough."""
    check_bad_check_is_refused(tmp_path)


def test_exchange_over_a_noisy_line_loses_nothing(site, tmp_path):
    """Spoiled requests and spoiled answers are repeated; each segment is taken once."""
    plug, device_end = Plug(tmp_path / "ttyUSB0"), Plug(tmp_path / "device")
    up, down = Noise(2500, SEED), Noise(2500, SEED + 1)

    async def body(running):
        # The far pty needs a reader of its own: the test's.
        far = os.open(device_end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        wire = asyncio.create_task(Wire(device_end, plug, up, down).run())
        device = over_line(Fd(far), 1, ack_timeout_ms=60)
        for number in range(25):
            assert custody_of(await device.send(segment(number, size=300))) == number + 1
        wire.cancel()
        os.close(far)
        assert up.spoiled and down.spoiled
        assert running.gateway.health.counts["segments"] == 25

    site(body, more=serial_settings(plug))


class Fd:
    """A tty that the test has opened, as a UART."""

    def __init__(self, fd):
        self._fd = fd

    def read(self, n):
        try:
            return os.read(self._fd, n) or None
        except BlockingIOError:
            return None

    def write(self, piece):
        return os.write(self._fd, piece)


# ---- text


def check_text_between(folder):
    async def body():
        async with Lines(folder) as lines:
            chance = random.Random(SEED)
            sent = [chance.randbytes(chance.randrange(1, 200)) for _ in range(60)]
            for datagram in sent:
                await lines.pour(BOOT_TEXT[: chance.randrange(len(BOOT_TEXT))].encode())
                await lines.pour(encode_text("a line for people") if chance.random() < 0.3 else b"")
                await lines.pour(encode_frame(datagram))
            await until(lambda: len(lines.contents()) >= len(sent), "a frame was lost to the text")
            assert lines.contents() == sent
            line = lines.documents()[0]
            assert line["skipped"] >= 60 and line["state"] == "frames" and lines.said == []

    asyncio.run(body())


def test_text_between_frames_costs_no_frame(tmp_path):
    """What a prompt, a boot or a traceback prints is passed over and counted."""
    check_text_between(tmp_path)


def test_console_is_told_from_a_data_line(tmp_path):
    """Text and never a frame: the port is the board's console, and whoever reads that is told so."""

    async def body():
        async with Lines(tmp_path) as lines:
            await lines.pour(BOOT_TEXT.encode() * 30)
            await until(lambda: lines.said, "nobody was told")
            assert lines.states() == ["text"]
            assert "it is a console" in lines.said[0].message
            assert "outstation device logs" in lines.said[0].fix

    asyncio.run(body())
