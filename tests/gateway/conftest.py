"""Fixtures of the gateway's tests: certificates once a run, a store, and a whole site in one process."""

import asyncio
import contextlib
import random
import shutil
import socket

import pytest

from gateway.app import Gateway
from gateway.clock import SystemClock
from gateway.config import read_configuration
from gateway.points import KillPoint
from tests.gateway.site import (
    DeviceDouble,
    OfficeDouble,
    device_id,
    make_certificates,
    until,
    write_files,
)
from tools.ports import free_port


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """The folder with the office's certificates."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder)
    return folder


@pytest.fixture
def files(tmp_path, certificates):
    """write(**options) -> path of a gateway.toml whose office is at office_port."""

    def write(**options):
        shutil.copy(certificates / "office-ca.pem", tmp_path / "office-ca.pem")
        options.setdefault("office_port", free_port(socket.SOCK_STREAM))
        options.setdefault("coap_port", free_port(socket.SOCK_DGRAM))
        return write_files(tmp_path, **options)

    return write


class Site:
    """An office and a gateway in this process, and devices that reach it over UDP."""

    def __init__(self, office, gateway, path):
        self.office = office
        self.gateway = gateway
        self.path = path
        self.devices = []

    def device(self, n=1, **options):
        device = DeviceDouble(options.pop("port", self.gateway.link.port), n, **options)
        self.devices.append(device)
        return device

    async def offer(self, release, bodies, n=1):
        """Let the office want a release on device n; return the device once the gateway names it in its answers."""
        number = self.office.put_release(release, bodies)
        self.office.wanted[device_id(n)] = number
        device = self.device(n)
        await device.beat(counter=1)
        await until(lambda: self.gateway.shelf.deliverable(device_id(n)) == number, "it never came")
        assert (await device.beat(counter=2)).release == number
        return device

    async def restart(self):
        """Stop the gateway in order and start it again on the same files."""
        port = self.gateway.link.port
        await self.gateway.stop()
        self.gateway = build(self.path)
        await self.gateway.start()
        assert port == self.gateway.link.port


def build(path, **options):
    options.setdefault("clock", SystemClock())
    options.setdefault("point", KillPoint())
    return Gateway(read_configuration(path), rng=random.Random(random.randbytes(16)), **options)


@pytest.fixture
def site(files, certificates):
    """site(body, **options): run an async body(site) with an office and a gateway, and stop both after it."""

    def run(body, *, gateway_options=None, **options):
        async def main():
            office = await OfficeDouble(certificates).start()
            path = files(office_port=office.port, **options)
            gateway = build(path, **(gateway_options or {}))
            running = Site(office, gateway, path)
            try:
                await gateway.start()
                return await body(running)
            finally:
                for device in running.devices:
                    device.close()
                await running.gateway.stop()
                with contextlib.suppress(ConnectionError):
                    await office.stop()

        return asyncio.run(main())

    return run
