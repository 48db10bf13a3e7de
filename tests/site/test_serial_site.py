"""A device of MicroPython on a serial line, beside one on UDP: noise on the wire, ports that are pulled out, and every byte proved."""

import asyncio
import sqlite3

import pytest

from gateway.store_view import StoreView
from tests.site.harness import chosen_seed, lay_out, proved, repeat_command, start_all, stop_all, until
from tests.support.serial_lines import Noise, Plug, Wire

SEED = 20260607
BAUD = 115200
# One byte of so many is hit, up and down: about one request in three, and as many answers, which are shorter.
NOISE = 1200, 400
SEGMENTS = 12


def put_on_a_wire(site, gateway_end, device_end, order=None):
    """Let the gateway listen on one port, and the first device speak through the other instead of UDP; with order, over both."""
    config = site.gateway_folder / "gateway.toml"
    config.write_text(f'{config.read_text()}\n[[serial]]\nport = "{gateway_end.path}"\nbaud = {BAUD}\n')
    config = site.folder / "device-1" / "device.toml"
    lines = config.read_text().splitlines()
    at = lines.index("[link]")
    kept = [] if order is None else [*lines[at + 1 : at + 3], f"order = {order}"]
    lines[at + 1 : at + 3] = [*kept, f'serial = "{device_end.path}"', f"baud = {BAUD}"]
    config.write_text("\n".join(lines) + "\n")


def held(site, index):
    """Return how many segments the office has of a device."""
    with sqlite3.connect(f"file:{site.office_folder / 'office.db'}?mode=ro", uri=True) as database:
        query = "SELECT count(*) FROM segments WHERE device = ?"
        return database.execute(query, (site.device_ids[index],)).fetchone()[0]


async def more(site, count):
    """Wait until the office has so many segments more of the device on the wire."""
    enough = held(site, 0) + count
    await until(lambda: held(site, 0) >= enough, "the device on the wire sends nothing")


@pytest.mark.timeout(240)
def test_device_on_a_noisy_wire_whose_ports_are_pulled_out_loses_nothing(tmp_path):
    """Either port is pulled out while the device works, and the gateway restarts; the other device goes on over UDP."""
    seed = chosen_seed(SEED)
    up, down = Noise(NOISE[0], seed), Noise(NOISE[1], seed + 1)

    async def run():
        site = await lay_out(tmp_path, 2, samples_per_s=15, ack_timeout_ms=200)
        gateway_end, device_end = Plug(tmp_path / "ttyUSB0"), Plug(tmp_path / "ttyS1")
        put_on_a_wire(site, gateway_end, device_end)
        wire = Wire(device_end, gateway_end, up, down)
        carrying = asyncio.create_task(wire.run())
        try:
            await start_all(site)
            await more(site, SEGMENTS)
            for end in (gateway_end, device_end):
                end.unplug()
                await asyncio.sleep(1.0)
                end.plug_in()
                await more(site, SEGMENTS)
            assert await site.gateway.stop() == 0
            await site.gateway.start()
            await more(site, SEGMENTS)
            # In order to its end: receipts for all would take noise's luck as long as it goes on.
            wire.calm()
            await stop_all(site)
        finally:
            carrying.cancel()
            await site.close()
        return site

    site = asyncio.run(run())
    said = repeat_command(seed, f"{__file__}")
    proved(site, said)
    with StoreView(site.gateway_folder / "gateway.db") as view:
        counts = view.health()["counts"]

    assert up.spoiled > 5 and down.spoiled > 2, said
    assert counts["serial_spoiled"] > 3 and counts["serial_losses"] >= 1, said
    assert held(site, 1) > 0, said


@pytest.mark.timeout(240)
def test_device_with_a_wire_and_udp_falls_over_and_loses_nothing(tmp_path):
    """The wire is preferred; the device's port is pulled out for good, UDP takes over, and every byte is proved."""
    seed = chosen_seed(SEED)
    up, down = Noise(NOISE[0], seed), Noise(NOISE[1], seed + 1)

    async def run():
        site = await lay_out(tmp_path, 1, samples_per_s=15, ack_timeout_ms=200)
        gateway_end, device_end = Plug(tmp_path / "ttyUSB0"), Plug(tmp_path / "ttyS1")
        put_on_a_wire(site, gateway_end, device_end, order='["serial", "udp"]')
        wire = Wire(device_end, gateway_end, up, down)
        carrying = asyncio.create_task(wire.run())
        try:
            await start_all(site)
            await more(site, SEGMENTS)
            assert wire.carried > 0
            device_end.unplug()
            await more(site, SEGMENTS)
            await stop_all(site)
        finally:
            carrying.cancel()
            await site.close()
        return site

    proved(asyncio.run(run()), repeat_command(seed, f"{__file__}"))
