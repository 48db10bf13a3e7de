"""A real gateway process, killed at each named point, by chance, and on a disk whose fsync fails."""

import asyncio
import hashlib
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from agent.coap_client import LinkError, LinkRefused
from gateway.points import EXIT_CODE, POINTS
from gateway.store import REOPEN_INTERVAL_S
from protocol import coap
from tests.gateway.site import DeviceDouble, GatewayProcess, OfficeDouble, device_id, segment
from tools.ports import free_port

SEGMENTS = 12


def durable(folder):
    """Return the numbers that the store alone shows as durable: held, or below the newest receipt."""
    connection = sqlite3.connect(folder / "gateway.db")
    held = {n for (n,) in connection.execute("SELECT number FROM segments WHERE lane = 1")}
    for (receipted,) in connection.execute("SELECT receipted FROM lanes WHERE lane = 1"):
        held |= set(range(receipted))
    verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    assert verdict == "ok"
    return held


class Killed:
    """A device that sends SEGMENTS segments, an office, and a gateway that is started again whenever it dies."""

    def __init__(self, files, certificates, *, point=None, fault=None):
        self.certificates = certificates
        self.files = files
        self.point = point
        self.fault = fault
        self.acknowledged = set()
        self.deaths = []

    async def run(self, kill=None, deaths_min=0):
        self.office = await OfficeDouble(self.certificates).start()
        port = free_port(socket.SOCK_DGRAM)
        self.path = self.files(coap_port=port, office_port=self.office.port)
        self.gateway = await asyncio.to_thread(GatewayProcess, self.path, point=self.point, fault=self.fault)
        device = DeviceDouble(port, ack_timeout_ms=150)
        device.client._retransmit_max = 2
        try:
            async with asyncio.timeout(60):
                await self.drive(device, kill, deaths_min)
            assert self.gateway.terminate() == 0, self.gateway.errors
        finally:
            if self.gateway.is_running():
                self.gateway.kill()
            device.close()
            await self.office.stop()

    async def drive(self, device, kill, deaths_min):
        everything = list(range(SEGMENTS))
        while len(self.deaths) < deaths_min or self.office.numbers(device.device) != everything:
            number = next((n for n in range(SEGMENTS) if n not in self.acknowledged), 0)
            try:
                if len(self.acknowledged) < SEGMENTS:
                    response = await device.post("s", segment(number))
                    assert response.code == coap.CHANGED
                    self.acknowledged.add(number)
                else:
                    await device.beat(
                        routine=(0, SEGMENTS - 1, hashlib.sha256(segment(SEGMENTS - 1)).digest())
                    )
                    await asyncio.sleep(0.05)
            except LinkError:
                await asyncio.sleep(0.02)
            if kill is not None and kill() and self.gateway.is_running():
                self.gateway.kill()
            if not self.gateway.is_running():
                await self.restart()

    async def restart(self):
        self.deaths.append(self.gateway.wait())
        self.check()
        self.gateway = await asyncio.to_thread(GatewayProcess, self.path)

    def check(self):
        missing = self.acknowledged - durable(self.path.parent)
        assert not missing, f"acknowledged and gone: {sorted(missing)}"


def check_kill(files, certificates, point, *, fault=None):
    killed = Killed(files, certificates, point=point, fault=fault)
    asyncio.run(killed.run())
    killed.check()

    assert killed.deaths[:1] == [EXIT_CODE]
    assert killed.office.numbers(device_id()) == list(range(SEGMENTS))


@pytest.mark.parametrize("point", POINTS)
def test_acknowledged_segments_survive_a_kill_at_each_named_point(files, certificates, point):
    """Killed at the third pass of any point: what was acknowledged is durable, and in the end the office has all, once."""
    check_kill(files, certificates, f"{point}:3")


def test_acknowledged_segments_survive_kills_at_seeded_moments(files, certificates):
    """kill -9 at seeded moments between exchanges, several times in one run: nothing acknowledged is missing."""
    chance = random.Random(11)
    killed = Killed(files, certificates)
    asyncio.run(killed.run(lambda: len(killed.deaths) < 4 and chance.random() < 0.25, deaths_min=4))

    assert len(killed.deaths) == 4
    assert killed.office.numbers(device_id()) == list(range(SEGMENTS))


# Lets whoever runs beside this process trace it, also where the kernel allows that to parents alone (Yama), and becomes what follows.
_TRACEABLE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
# The second is an attempt to open the store again, which fails too: it comes a second after the first, later ones as often.
REFUSALS_MIN = 2
REFUSED_S = 2 * REOPEN_INTERVAL_S


class FailingFsync:
    """While it is entered, each fsync of a process fails with EIO. Attached, never counted: a start has as many as it likes."""

    def __init__(self, process):
        self._pid = process.pid

    def __enter__(self):
        words = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
        words += ["-e", "inject=fdatasync,fsync:error=EIO", "-p", str(self._pid)]
        self._strace = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        said = self._strace.stderr.readline()
        assert "attached" in said, said

    def __exit__(self, *error):
        self._strace.terminate()
        self._strace.communicate(timeout=30)


def strace_works():
    """Return whether strace is here and may attach to a process that lets it."""
    if shutil.which("strace") is None:
        return False
    words = [sys.executable, "-c", _TRACEABLE, shutil.which("cat")]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        # What comes back says that it runs: from then on it may be traced.
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        with FailingFsync(process):
            return True
    except AssertionError:
        return False
    finally:
        process.communicate()


def test_failed_fsync_of_the_kernel_loses_nothing(files, certificates):
    """The system call fsync fails (strace injects EIO): custody is refused, and after it works again nothing is missing."""
    if not strace_works():
        pytest.skip("strace is not installed or may not trace here")
    killed = Killed(files, certificates)
    asyncio.run(with_failing_fsync(killed))

    assert killed.refused >= REFUSALS_MIN
    assert killed.office.numbers(device_id()) == list(range(SEGMENTS))
    assert "disk I/O error" in killed.gateway.errors
    killed.check()


async def with_failing_fsync(killed):
    office = killed.office = await OfficeDouble(killed.certificates).start()
    port = free_port(socket.SOCK_DGRAM)
    killed.path = killed.files(coap_port=port, office_port=office.port)
    killed.refused = 0
    prefix = [sys.executable, "-c", _TRACEABLE]
    killed.gateway = await asyncio.to_thread(GatewayProcess, killed.path, prefix=prefix)
    device = DeviceDouble(port, ack_timeout_ms=2000)
    device.client._retransmit_max = 1
    try:
        async with asyncio.timeout(60):
            await hand_over(killed, device, range(SEGMENTS // 3))
            with FailingFsync(killed.gateway.process):
                await be_refused(killed, device, SEGMENTS // 3)
            await hand_over(killed, device, range(SEGMENTS // 3, SEGMENTS))
            while office.numbers(device.device) != list(range(SEGMENTS)):
                await asyncio.sleep(0.02)
        assert killed.gateway.terminate() == 0, killed.gateway.errors
    finally:
        if killed.gateway.is_running():
            killed.gateway.kill()
        device.close()
        await office.stop()


async def hand_over(killed, device, numbers):
    """Send each segment until there is custody of it."""
    for number in numbers:
        while await answer_to(killed, device, number) != coap.CHANGED:
            await asyncio.sleep(0.2)
        killed.acknowledged.add(number)


async def be_refused(killed, device, number):
    """Send a segment again and again while no fsync works: there must be no custody of it, however often it comes."""
    began = time.monotonic()
    while killed.refused < REFUSALS_MIN or time.monotonic() - began < REFUSED_S:
        code = await answer_to(killed, device, number)
        assert code in (coap.SERVICE_UNAVAILABLE, None), coap.code_text(code)
        killed.refused += code is not None
        await asyncio.sleep(0.2)


async def answer_to(killed, device, number):
    """Return the code of the answer, None if there was none; without a sequence number for Echo the gateway refuses unprotected."""
    assert killed.gateway.is_running(), "the gateway ended by itself"
    try:
        return (await device.post("s", segment(number))).code
    except LinkRefused as refused:
        assert refused.code == "5.03"
        return coap.SERVICE_UNAVAILABLE
    except LinkError:
        return None
