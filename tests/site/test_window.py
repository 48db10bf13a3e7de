"""Real processes: on a link that is dear, readings of an outage wait for the window, decisions do not, and a person's command is stronger."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

from protocol.diagnostic import OK
from protocol.keys import CRITICAL, ROUTINE
from tests.site.harness import lay_out, proved, stop_all, until

HOUR_S = 3600
COMMAND_S = 60
# Decisions and readings of this many samples lie on each device before there is a gateway.
BACKLOG_S = 8.0
DECISIONS = 3
# Room for all that they record: neither the outage nor the window may cost anything.
SECTORS = 60
# What no backlog is: agent.bulk.
RECENT = 4


def _shut_window():
    """Return the text of a window that does not open for an hour."""
    hour = time.time_ns() // 1_000_000_000 // HOUR_S % 24
    return f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00"


def _held(site, device, lane):
    sql = "SELECT count(*) FROM segments WHERE device = ? AND lane = ?"
    with closing(sqlite3.connect(site.office_folder / "office.db")) as database:
        return database.execute(sql, (device, lane)).fetchone()[0]


def _open(site, device):
    words = (
        "command",
        "bulk",
        device.hex(),
        "2h",
        "--wait",
        "30",
        "--config",
        site.office_folder / "office.toml",
    )
    command = [sys.executable, "-P", "-m", "tools.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert OK == done.returncode, done.stdout + done.stderr


async def _story(site):
    await site.office.start()
    for device in site.devices:
        await device.start()
    # There is no other sign of time on a device that nobody hears.
    await asyncio.sleep(BACKLOG_S)
    await site.gateway.start()
    first, second = site.device_ids
    await until(
        lambda: min(_held(site, one, CRITICAL) for one in site.device_ids) >= DECISIONS,
        "decisions in the office",
    )
    shut = [_held(site, one, ROUTINE) for one in site.device_ids]
    await asyncio.to_thread(_open, site, first)
    await until(
        lambda: _held(site, first, ROUTINE) > 2 * RECENT, "the readings of the device that was opened"
    )
    opened = _held(site, second, ROUTINE)
    await site.gateway.stop()
    path = site.gateway_folder / "gateway.toml"
    path.write_text(path.read_text().partition("[bulk]")[0])
    await site.gateway.start()
    await until(lambda: _held(site, second, ROUTINE) > 2 * RECENT, "the readings of the other one")
    return shut, opened


def test_a_dear_link_carries_decisions_at_once_and_a_backlog_in_its_window_or_by_command(tmp_path):
    """Outside the window no backlog leaves; one device is opened by a command, the other by the end of the setting; nothing is lost or doubled."""

    async def run():
        site = await lay_out(tmp_path, devices=2, sectors=SECTORS)
        path = site.gateway_folder / "gateway.toml"
        path.write_text(f'{path.read_text()}\n[bulk]\nudp = "{_shut_window()}"\n')
        try:
            seen = await _story(site)
            await stop_all(site)
            proved(site)
        finally:
            await site.close()
        return seen

    shut, opened = asyncio.run(run())

    assert max(shut) <= RECENT
    assert opened <= RECENT
