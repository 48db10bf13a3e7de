"""A real gateway process, killed at each named point, by chance, and on a disk whose fsync fails."""

import asyncio
import hashlib
import random
import shutil
import socket
import sqlite3
import subprocess

import pytest

from agent.coap_client import LinkError, LinkRefused
from gateway.points import EXIT_CODE, POINTS
from protocol import coap
from tests.gateway.site import DeviceDouble, GatewayProcess, OfficeDouble, device_id, segment
from tools.site import free_port

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


def strace_works():
    """Return whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0


def test_failed_fsync_of_the_kernel_loses_nothing(files, certificates):
    """The system call fsync fails (strace injects EIO): custody is refused, and after it works again nothing is missing."""
    if not strace_works():
        pytest.skip("strace is not installed or may not trace here")
    killed = Killed(files, certificates)
    asyncio.run(with_failing_fsync(killed))

    assert killed.refused > 0
    assert killed.office.numbers(device_id()) == list(range(SEGMENTS))
    assert "disk I/O error" in killed.gateway.errors
    killed.check()


async def answer_to(device, raw):
    """Return the code of the answer; without a sequence number for Echo the gateway refuses unprotected."""
    try:
        return (await device.post("s", raw)).code
    except LinkRefused as refused:
        assert refused.code == "5.03"
        return coap.SERVICE_UNAVAILABLE


async def with_failing_fsync(killed):
    office = killed.office = await OfficeDouble(killed.certificates).start()
    port = free_port(socket.SOCK_DGRAM)
    killed.path = killed.files(coap_port=port, office_port=office.port)
    killed.refused = 0
    prefix = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    prefix += ["-e", "inject=fdatasync,fsync:error=EIO:when=11..12"]
    killed.gateway = await asyncio.to_thread(GatewayProcess, killed.path, prefix=prefix)
    device = DeviceDouble(port, ack_timeout_ms=2000)
    try:
        async with asyncio.timeout(60):
            number = 0
            while number < SEGMENTS or office.numbers(device.device) != list(range(SEGMENTS)):
                await asyncio.sleep(0.02)
                code = await answer_to(device, segment(min(number, SEGMENTS - 1)))
                if code == coap.CHANGED:
                    killed.acknowledged.add(min(number, SEGMENTS - 1))
                    number = min(number + 1, SEGMENTS)
                else:
                    assert code == coap.SERVICE_UNAVAILABLE
                    killed.refused += 1
                    await asyncio.sleep(0.2)
        assert killed.gateway.terminate() == 0, killed.gateway.errors
    finally:
        if killed.gateway.is_running():
            killed.gateway.kill()
        device.close()
        await office.stop()
