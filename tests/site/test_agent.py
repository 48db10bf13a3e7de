"""Another agent over a whole site of real processes: compiled, released by two keys, fetched through the gateway, tried and kept."""

import asyncio
import shutil
import time

import pytest

from office_ingest.govern.agent import parse_agent
from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.rollout import progress, roll_out
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, STAGED, TRIAL
from protocol.manifest import KIND
from tests.site.harness import ROOT, lay_out, proved, start_all, stop_all, until
from tools.cli import run
from tools.demo.layout import signing_key

SECTIONS = ("", "[trial]", "min_samples = 8", "min_ms = 300", "limit_ms = 60_000")


def _now_ms():
    return time.time_ns() // 1_000_000


def _second_key(site, store):
    """Make another key that the devices know, and return the folders of both."""
    folder = site.office_folder / "second-key"
    public, _, envelope = make_key(folder, now_ms=_now_ms(), tree=5, one_time=3)
    shelf = Shelf(store)
    shelf.add_root(public, envelope, _now_ms())
    lines = "".join(root.public.hex() + "\n" for root in shelf.roots())
    for device in site.folder.glob("device-*"):
        (device / "roots").write_text(lines)
    return signing_key(site), folder


def _archive(folder, line):
    """Compile this checkout's agent with one line more, as a person does, and return what was written."""
    source = folder / "source" / "agent"
    shutil.copytree(ROOT / "firmware" / "agent", source, ignore=shutil.ignore_patterns("__pycache__"))
    with (source / "clock.py").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    assert run(["device", "build-agent", str(source), "--out", str(folder / "agent.cbor")]) == 0
    return parse_agent((folder / "agent.cbor").read_bytes())


def _release(store, keys, rules, agent):
    shelf = Shelf(store)
    request = Request((KIND, "sensor"), ["unix"], rules, rules, "test", agent=agent)
    number = build_release(shelf, request, _now_ms()).number
    for folder in keys:
        with OpenSigner(folder) as signer:
            sign_release(shelf, number, signer, _now_ms())
    roll_out(store, number, "test", _now_ms())
    return number


@pytest.mark.proves("S07")
def test_agent_reaches_every_device_and_the_proof_holds(tmp_path):
    """Each device restarts with it and confirms; the office says so; nothing is lost, and every decision replays."""

    async def live():
        site = await lay_out(tmp_path, devices=2, samples_per_s=5, sections=SECTIONS, key=True)
        for device in tmp_path.glob("device-*"):
            settings = device / "device.toml"
            settings.write_text("agents = true\n" + settings.read_text())
        store = SqliteStore.open(site.office_folder / "office.db")
        try:
            keys = _second_key(site, store)
            await start_all(site)
            rules = (tmp_path / "device-1" / "bundle.cbor").read_bytes()
            number = _release(store, keys, rules, _archive(tmp_path, "print('another agent runs')"))
            await until(
                lambda: all(one.runs for one in progress(store, number)), "not every device kept the agent"
            )
            steps = [
                [one.step for one in reversed(Downward(store).adoptions(device))]
                for device in site.device_ids
            ]
            await stop_all(site)
        finally:
            store.close()
            await site.close()
        return site, steps

    site, steps = asyncio.run(live())
    proved(site, "python -m pytest tests/site/test_agent.py")

    assert steps == [[STAGED, TRIAL, CONFIRMED]] * 2
    for name in ("device-1", "device-2"):
        assert "another agent runs" in (site.logs / f"{name}.log").read_text()
