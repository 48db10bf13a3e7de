"""Another release root over a whole site of real processes: rotated, then releases of the new one adopted, of the old one refused."""

import asyncio
import json
import subprocess
import sys
import time

import pytest

from office_ingest.govern.publish import publish
from office_ingest.govern.roots import holders
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, REFUSED
from protocol.diagnostic import OK, USAGE
from protocol.errors import SIGNER
from protocol.manifest import KIND
from tests.site.harness import ROOT, lay_out, start_all, stop_all, until
from tools.demo.layout import signing_key
from tools.demo.releases import GOOD, policy_file
from tools.site_proof import EXPECTED_FINDINGS, prove_site

TRIAL_SECTION = ("", "[trial]", "min_samples = 8", "min_ms = 300", "limit_ms = 20_000")


def _outstation(site, *words, code=OK):
    config = site.office_folder / "office.toml"
    command = [sys.executable, "-m", "tools.cli", *map(str, words), "--config", config, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def _roots(site):
    return _outstation(site, "release", "root", "list")["roots"]


def _lagging(site, root):
    """Return how each device stands that may need a root; not by a command: the link runs in this process."""
    now_ms = time.time_ns() // 1_000_000
    found = _ask(site, lambda store: holders(store, bytes.fromhex(root), now_ms))
    return [one.words for one in found if one.needs]


def _ask(site, question):
    store = SqliteStore.open(site.office_folder / "office.db")
    try:
        return question(store)
    finally:
        store.close()


def _publish(site, key):
    """Release the demonstration's policy with one line changed, signed by a key; return the release's number."""
    policy = site.folder / f"policy-{key.name}.yaml"
    policy.write_text(policy_file().read_text("utf-8").replace(GOOD.before, GOOD.after), "utf-8")
    meant = {"target": (KIND, "sensor"), "hardware": ["unix"], "author": "test"}

    def ask(store):
        return publish(store, policy, key, now_ms=lambda: time.time_ns() // 1_000_000, **meant).release.number

    return _ask(site, ask)


def _steps(site, device, number):
    found = _ask(site, lambda store: Downward(store).adoptions(device))
    return [(one.step, one.detail) for one in found if one.number == number]


@pytest.mark.proves("S07")
def test_root_is_rotated_on_every_device_while_the_gateway_is_killed(tmp_path):
    """Ordered, delivered through a killed gateway, said in sealed events; the old root is retired, and what it signed refused."""

    async def run():
        site = await lay_out(tmp_path, devices=2, sections=TRIAL_SECTION, key=True)
        old_key = signing_key(site)
        try:
            await start_all(site)
            await asyncio.to_thread(_outstation, site, "release", "succeed", old_key / "successor")
            old = (await asyncio.to_thread(_roots, site))[0]["id"]
            # No device can have taken it yet.
            await site.gateway.kill()
            done = await asyncio.to_thread(_outstation, site, "release", "root", "replace", old)
            assert len(done["given"]) == 2
            await asyncio.to_thread(_outstation, site, "release", "root", "retire", old, code=USAGE)
            await site.gateway.start()
            await until(lambda: not _lagging(site, old), "a device did not take the new root")
            new = await asyncio.to_thread(_publish, site, old_key / "successor")
            await until(
                lambda: all((CONFIRMED, 0) in _steps(site, d, new) for d in site.device_ids), "not confirmed"
            )
            stale = await asyncio.to_thread(_publish, site, old_key)
            await until(
                lambda: all((REFUSED, SIGNER) in _steps(site, d, stale) for d in site.device_ids),
                "not refused",
            )
            await asyncio.to_thread(_outstation, site, "release", "root", "retire", old)
            await stop_all(site)
        finally:
            await site.close()
        return site

    site = asyncio.run(run())
    proof = prove_site(site, expected=(*EXPECTED_FINDINGS, "refused"))

    assert proof.is_clean, "\n".join(proof.faults)
    assert [root["state"] for root in _roots(site)] == ["retired", "in force"]
