"""The agent in MicroPython, its own BLE link, bumble's hosts and controllers, bleak, and the gateway as it ships: one path, in real time.

Not tried: NimBLE, BlueZ, a radio.
"""

import asyncio
import contextlib

import pytest

from agent.flash import FileFlash, create_image
from agent.keystore import Keystore
from gateway.links.ble import Radio
from tests.agent.desk import BUNDLE, RATCHETS, SCHEMA, SEAL_KEYS, Story
from tests.gateway.site import DOWNLINK, device_id, secret_of
from tests.support.ble_air import Air
from tests.support.ble_bleak import Adapter
from tests.support.ble_radio import RadioServer
from tools.device import device_command, write_device
from tools.flashimage import read_image
from tools.upy import micropython_environment

SECTORS = 24


def provision(folder, n, link):
    """Write the folder of a device that the test's gateway knows, link the lines of its [link]; return its device.json."""
    folder.mkdir()
    create_image(str(folder / "flash.bin"), SECTORS + 4)
    flash = FileFlash(str(folder / "flash.bin"), SECTORS + 4)
    Keystore(flash).provision(SEAL_KEYS, RATCHETS, DOWNLINK)
    flash.close()
    (folder / "schema.cbor").write_bytes(SCHEMA)
    (folder / "bundle.cbor").write_bytes(BUNDLE)
    story = Story()
    rows = [",".join("" if value is None else str(value) for value in story.read()) for _ in range(300)]
    (folder / "recording.csv").write_text("\n".join(rows) + "\n")
    (folder / "link.toml").write_text(f'kid = "{n:02x}"\nsecret = "{secret_of(n).hex()}"\n')
    (folder / "device.toml").write_text(
        f'device = "{device_id(n).hex()}"\nflash_sectors = {SECTORS}\nclock_scale = 2000\n'
        "heartbeat_ms = 500\nack_timeout_ms = 400\nstop_after_ms = 5000\ndrain_ms = 60000\n"
        f"[link]\n{link}\n"
    )
    return write_device(folder / "device.toml")


async def start(items):
    """Start a device."""
    return await asyncio.create_subprocess_exec(
        *device_command(items),
        env=micropython_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@contextlib.asynccontextmanager
async def running(processes):
    """End what still runs, whatever happens."""
    try:
        yield
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cut_chance", [0.0, 0.02])
def test_devices_in_micropython_bring_all_they_sealed_over_ble(site, tmp_path, cut_chance):
    """Two devices, connections that hold or that break: what their flash holds is at the office, the same bytes, and all is receipted."""
    air = Air(seed=4, late_s=0.005)
    adapter = Adapter(air)
    scanner, client = adapter.backends()

    async def body(running_site):
        await adapter.switch_on()
        air.cut_chance = cut_chance
        async with RadioServer(air) as radio:
            link = f'radio = "127.0.0.1:{radio.port}"'
            processes = [await start(provision(tmp_path / f"device-{n}", n, link)) for n in (1, 2)]
            async with running(processes):
                outputs = await asyncio.gather(*(process.communicate() for process in processes))
        for process, (output, _) in zip(processes, outputs, strict=True):
            assert process.returncode == 0, output.decode()
        return running_site.office

    office = site(
        body, gateway_options={"radio": Radio(scanner=scanner, client=client)}, more="[ble]\nturn_s = 5\n"
    )

    for n in (1, 2):
        for lane in read_image(tmp_path / f"device-{n}/flash.bin").lanes:
            for one in lane.segments:
                header = one.header
                assert office.segments[header.key()] == one.raw
                assert office.arrivals.count(one.raw) == 1
    assert len(office.segments) > 20
    # Two of them are the ends of the devices.
    assert not cut_chance or air.cuts > 4
