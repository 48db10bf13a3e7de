"""The way down over a whole site of real processes: a rule written at the office decides on the device, whatever the way is like."""

import asyncio
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from office_ingest.govern.commands import give_command
from office_ingest.govern.publish import publish
from office_ingest.govern.rollout import progress
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, ROLLED_BACK, STAGED, TRIAL
from protocol.command import DONE, SET_ACTUATOR
from protocol.diagnostic import INTERRUPTED, OK
from protocol.manifest import KIND
from tests.site.harness import (
    ROOT,
    chosen_seed,
    lay_out,
    proved,
    repeat_command,
    start_all,
    stop_all,
    until,
)
from tools.demo.layout import signing_key
from tools.demo.releases import BAD, GOOD, policy_file

TRIAL_SECTION = ("", "[trial]", "min_samples = 8", "min_ms = 300", "limit_ms = 20_000")
# The bad rule is refused only while the pipe does not leak, and a leak of the synthetic recording lasts 14 rows.
LONG_TRIAL = ("", "[trial]", "min_samples = 30", "min_ms = 300", "limit_ms = 20_000")
LOSS = 0.15
RELAY = 2


def _now_ms():
    return time.time_ns() // 1_000_000


def _publish(site, change):
    """Release the demonstration's policy with one line changed; return the release's number."""
    policy = site.folder / f"policy-{len(list(site.folder.glob('policy-*')))}.yaml"
    text = policy_file().read_text("utf-8").replace(change.before, change.after)
    # The policy's own tests would stop the bad rule here: whoever writes such a rule writes no test for it.
    policy.write_text(text if change is GOOD else text.partition("\ntests:")[0] + "\n", "utf-8")
    store = SqliteStore.open(site.office_folder / "office.db")
    try:
        made = publish(
            store,
            policy,
            signing_key(site),
            target=(KIND, "sensor"),
            hardware=["unix"],
            author="test",
            now_ms=_now_ms,
        )
    finally:
        store.close()
    assert made.is_rolled_out
    return made.release.number


def _ask(site, question):
    """Return what a question to the office's database gives: question(store)."""
    store = SqliteStore.open(site.office_folder / "office.db")
    try:
        return question(store)
    finally:
        store.close()


def _running(site, number):
    return sum(one.runs for one in _ask(site, lambda store: progress(store, number)))


def _steps(site, device, number):
    found = _ask(site, lambda store: Downward(store).adoptions(device))
    return [one.step for one in reversed(found) if one.number == number]


def _command(site, device, demand):
    keystore = Keystore.open(site.office_folder / "keystore.db")
    try:
        return _ask(
            site,
            lambda store: (
                give_command(
                    store, keystore, device, demand, author="test", now_ms=_now_ms(), lasts_ms=600_000
                ).number
            ),
        )
    finally:
        keystore.close()


def _answer(site, device, number):
    return _ask(site, lambda store: Downward(store).command(device, number)).verdict


@pytest.mark.proves("S07", "S15")
def test_release_and_command_arrive_over_a_lossy_link_through_a_killed_gateway(tmp_path):
    """15 % of all datagrams lost, the gateway killed in the middle: each device adopts once, the command is carried out once."""
    seed = chosen_seed(3)
    chance = random.Random(seed)
    said = repeat_command(seed, "tests/site/test_down.py")

    async def run():
        site = await lay_out(
            tmp_path,
            devices=2,
            keep=lambda _upward, _datagram: chance.random() >= LOSS,
            samples_per_s=5,  # what so poor a link carries: a full ring would be overwritten, and say so
            sections=TRIAL_SECTION,
            key=True,
        )
        try:
            await start_all(site)
            number = await asyncio.to_thread(_publish, site, GOOD)
            command = _command(site, site.device_ids[0], [SET_ACTUATOR, RELAY, 1])
            await asyncio.sleep(0.5)
            await site.gateway.kill()
            await site.gateway.start()
            await until(lambda: _running(site, number) == 2, f"not every device runs it ({said})")
            # On trial a heartbeat names the new rules already.
            await until(
                lambda: all(CONFIRMED in _steps(site, device, number) for device in site.device_ids),
                f"not every device confirmed ({said})",
            )
            await until(lambda: _answer(site, site.device_ids[0], command) is not None, f"no answer ({said})")
            await stop_all(site)
        finally:
            await site.close()
        return site, number, command

    site, number, command = asyncio.run(run())
    proof = proved(site, said)

    assert site.link.dropped > 0
    # Trial, confirmation and command lie within what was replayed: no sample of any run is left out.
    assert proof.figures["run_replay_coverage"] == 1.0, said
    for device in site.device_ids:
        assert _steps(site, device, number) == [STAGED, TRIAL, CONFIRMED], said
    with sqlite3.connect(site.office_folder / "office.db") as connection:
        answered = connection.execute("SELECT number, event_order IS NULL FROM commands").fetchall()
    assert answered == [(command, 0)]
    assert _answer(site, site.device_ids[0], command) in (DONE, 1)


@pytest.mark.proves("S11")
def test_bad_rule_is_taken_back_by_every_device_and_the_rule_before_goes_on(tmp_path):
    """The gate refuses what a bad rule asks for: each device returns to the release before, and the office replays all of it."""

    async def run():
        site = await lay_out(tmp_path, devices=2, sections=LONG_TRIAL, key=True)
        try:
            await start_all(site)
            good = await asyncio.to_thread(_publish, site, GOOD)
            await until(lambda: _running(site, good) == 2, "not every device runs the good one")
            await until(
                lambda: all(CONFIRMED in _steps(site, d, good) for d in site.device_ids), "not confirmed"
            )
            bad = await asyncio.to_thread(_publish, site, BAD)
            await until(
                lambda: all(ROLLED_BACK in _steps(site, d, bad) for d in site.device_ids), "not taken back"
            )
            await until(lambda: _running(site, good) == 2, "not every device is back")
            await stop_all(site)
        finally:
            await site.close()
        return site, good, bad

    site, good, bad = asyncio.run(run())
    proof = proved_with_findings(site)

    assert all(_steps(site, device, bad) == [STAGED, TRIAL, ROLLED_BACK] for device in site.device_ids)
    assert _running(site, bad) == 0
    assert proof.figures["decisions_replayed_equal"] == proof.figures["decisions"] > 0
    # Over two switches and one back.
    assert proof.figures["run_replay_coverage"] == 1.0


def proved_with_findings(site):
    """Return the proof of a site in which releases were rolled back on purpose."""
    from tools.site_proof import EXPECTED_FINDINGS, prove_site

    proof = prove_site(site, expected=(*EXPECTED_FINDINGS, "rolled-back"))
    assert proof.is_clean, "\n".join(proof.faults)
    return proof


def _outstation(*words):
    command = [sys.executable, "-m", "tools.cli", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


class _Kept:
    """A site whose processes are somebody else's."""

    def __init__(self, folder):
        self.office_folder = folder / "office"


def test_newcomer_changes_a_threshold_and_watches_the_devices_adopt_it(tmp_path):
    """The very commands that `outstation demo --live` prints: a number changed in a YAML file decides on every device."""
    folder = tmp_path / "site"
    program = [sys.executable, "-m", "tests.site.demo_program", "demo", "--live", "--devices", "2"]
    process = subprocess.Popen(
        [*program, "--dir", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = "".join(iter(process.stdout.readline, "Ctrl-C ends all of it.\n"))
        page = re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
        policy = folder / "policy.yaml"
        text = policy.read_text("utf-8")
        assert 'flow < 90.00, "108s"' in text
        policy.write_text(text.replace('flow < 90.00, "108s"', 'flow < 92.00, "108s"'), "utf-8")
        words = next(line for line in said.splitlines() if " release publish " in line).split(
            "release publish "
        )[1]
        options = words.replace("'demo pump'", "demo\\ pump").replace("\\ ", "\x00").split()
        published = _outstation("release", "publish", *[word.replace("\x00", " ") for word in options])
        assert published.returncode == OK, published.stdout + published.stderr
        # Looked at here, since a command each time would keep the machine from adopting it.
        asyncio.run(until(lambda: _running(_Kept(folder), 1) == 2, "not every device runs it"))
        words = ("release", "status", 1, "--config", folder / "office" / "office.toml", "--json")
        status = json.loads(_outstation(*words).stdout)
        assert (status["running"], status["of"]) == (2, 2)
        assert page in said
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)

    assert process.returncode in (OK, INTERRUPTED), rest
    assert "Traceback" not in rest
