"""Other keys over a whole site of real processes: every event of before, during and after is held, verified and decided again."""

import asyncio
import json
import sqlite3
import subprocess
import sys

import pytest

from office_ingest.govern.rekey import IN_FORCE
from protocol.command import DONE
from protocol.diagnostic import OK
from tests.site.harness import ROOT, lay_out, proved, start_all, stop_all, until


def _outstation(site, *words):
    config = site.office_folder / "office.toml"
    command = [sys.executable, "-m", "tools.cli", *map(str, words), "--config", config, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == OK, done.stdout + done.stderr
    return json.loads(done.stdout)


def _rekey(site, device):
    return _outstation(site, "office", "device", "rekey", device.hex(), "--author", "test")


def _report(site, device):
    return _outstation(site, "command", "report", device.hex())


def _verdicts(site, device):
    with sqlite3.connect(site.office_folder / "office.db") as connection:
        sql = "SELECT verdict FROM commands WHERE device = ? ORDER BY number"
        return [row[0] for row in connection.execute(sql, (device,))]


def _state(site, device):
    rows = _outstation(site, "office", "devices")["devices"]
    rekey = next(row["rekey"] for row in rows if row["device"] == device.hex())
    return None if rekey is None else rekey["state"]


@pytest.mark.proves("S07")
def test_devices_take_other_keys_while_the_gateway_is_killed(tmp_path):
    """Two devices, the gateway killed meanwhile, a command that waits behind: nothing is lost, the past stays good."""

    async def run():
        site = await lay_out(tmp_path, devices=2)
        first, second = site.device_ids
        try:
            await start_all(site)
            await asyncio.to_thread(_rekey, site, first)
            # It waits behind the rekey, sealed under the downlink key of before.
            await asyncio.to_thread(_report, site, first)
            await asyncio.to_thread(_rekey, site, second)
            await site.gateway.kill()
            await site.gateway.start()
            for device in (first, second):
                await until(lambda of=device: _epoch(site, of) > 0, "a device did not take its keys")
            await until(
                lambda: _verdicts(site, first) == [DONE, DONE], "the command behind was not carried out"
            )
            states = [await asyncio.to_thread(_state, site, device) for device in (first, second)]
            # A second time, under what the first one began.
            await asyncio.to_thread(_rekey, site, first)
            await until(lambda: _epoch(site, first) > 1, "the second rekey did not arrive")
            await stop_all(site)
        finally:
            await site.close()
        return site, states

    site, states = asyncio.run(run())
    proof = proved(site)

    assert states == [IN_FORCE, IN_FORCE]
    assert proof.figures["decisions_replayed_equal"] == proof.figures["decisions"] > 0
    assert proof.figures["run_replay_coverage"] == 1.0


def _epoch(site, device):
    with sqlite3.connect(site.office_folder / "office.db") as connection:
        sql = "SELECT coalesce(max(epoch), 0) FROM segments WHERE device = ?"
        return connection.execute(sql, (device,)).fetchone()[0]
