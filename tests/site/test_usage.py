"""Real processes: what two devices moved is counted to the byte, told to the office, held against what they may, and found too much.

The gateway's disk is lost on the way: what it counts with an empty one comes beside what it told.
"""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

from office_ingest.storage.usage import ALL_USAGE
from tests.site.harness import lay_out, start_all, stop_devices, stop_services, until

SEGMENTS = 6
# Less than the first exchanges take.
ALLOWED = 3000
COMMAND_S = 60
# The one that moves too much keeps its routine segments: it is not waited for.
DRAIN_MS = 3000


class Meter:
    """keep() of a relay: counts the bytes of both ways, and loses each ninth datagram."""

    def __init__(self):
        self.passed = [0, 0]
        self.seen = 0

    def __call__(self, upward, datagram):
        self.seen += 1
        is_lost = self.seen % 9 == 0
        # What was lost on the way up the gateway never had; what was lost on the way down it did send.
        if not (is_lost and upward):
            self.passed[upward] += len(datagram)
        return not is_lost


def _set(path, after, line):
    path.write_text(path.read_text().replace(after, f"{after}\n{line}", 1))


def _rows(site, sql):
    with closing(sqlite3.connect(site.office_folder / "office.db")) as database:
        return database.execute(sql).fetchall()


def _told(site):
    """Return [received by devices, sent by devices] as the office has it."""
    return list(_rows(site, f"SELECT sum(sent_bytes), sum(received_bytes) FROM {ALL_USAGE}")[0])


def _is_open(site):
    return bool(_rows(site, "SELECT 1 FROM findings WHERE kind = 'budget' AND state = 'open'"))


def _held(site):
    return _rows(site, "SELECT count(*) FROM segments")[0][0] >= 2 * SEGMENTS


def _budget(site, device):
    words = (
        "office",
        "device",
        "budget",
        device.hex(),
        "--json",
        "--config",
        site.office_folder / "office.toml",
    )
    command = [sys.executable, "-P", "-m", "tools.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=True)
    return json.loads(done.stdout)


async def _lose_disk(site):
    """Let the gateway begin with an empty store under its old name."""
    await site.gateway.stop(signal.SIGKILL)
    for file in site.gateway_folder.glob("gateway.db*"):
        file.unlink()
    await site.gateway.start()


async def _story(site, meter):
    await until(lambda: _held(site), "segments of both devices in the office")
    await until(lambda: _is_open(site), "a finding of the device that moves too much")
    await stop_devices(site)
    await until(lambda: _told(site) == meter.passed, "the office's sums to be the relay's")
    before = sum(meter.passed)
    await _lose_disk(site)
    for device in site.devices:
        await device.start()
    await until(lambda: sum(meter.passed) > 2 * before, "as much over the new disk")
    await stop_devices(site)
    await until(lambda: _told(site) == meter.passed, "the office's sums to be those of both disks")
    return await asyncio.to_thread(_budget, site, site.device_ids[0])


def test_every_byte_of_a_lossy_link_is_counted_once_told_and_held_against_the_allowance(tmp_path):
    """The office's sums are those of the link between, repetitions included, over two disks of the gateway; over its allowance is a finding, and the command says so."""

    async def run():
        meter = Meter()
        site = await lay_out(tmp_path, devices=2, keep=meter, drain_ms=DRAIN_MS)
        _set(site.gateway_folder / "gateway.toml", "[uplink]", "usage_s = 1")
        settings = next(tmp_path.glob(f"**/{site.devices[0].name}/device.toml"))
        settings.write_text(f"link_day_bytes = {ALLOWED}\n{settings.read_text()}")
        try:
            await start_all(site)
            said = await _story(site, meter)
            await stop_services(site)
        finally:
            await site.close()
        return said, meter.passed

    said, passed = asyncio.run(run())

    assert ALLOWED == said["day_bytes"]
    assert ALLOWED < sum(day["bytes"] for day in said["moved"]) < sum(passed)
    assert sum(day["estimated_energy_uj"] for day in said["moved"]) > 0
