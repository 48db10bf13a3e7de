"""The proof of a site catches faults in its real processes: each is started from tests/planted, never switched on in the product."""

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing

import pytest

from protocol.keys import CRITICAL
from tests.planted.site import PROCESS
from tests.site.harness import (
    ROOT,
    lay_out,
    set_pace,
    start_all,
    stop_devices,
    stop_services,
    until,
    waiting,
)
from tools.device import device_command, write_device
from tools.flashimage import read_image
from tools.site_proof import prove_site
from tools.upy import micropython_environment

# The smallest ring, and many samples: it is written from end to end in a few seconds.
RING = {"devices": 1, "sectors": 5, "samples_per_s": 120}
# What a fault took is never receipted: nobody waits for that. An honest site is waited for.
DRAIN_MS = 800
SLOW_SAMPLES_PER_S = 8
AFTER_KILL_S = 0.5
# The first number that the fault skip_number leaves out.
LEFT_OUT = 15


def _plant(site, name):
    """Let one process of the site start with the fault in."""
    if name is None:
        return
    if PROCESS[name] == "device":
        device = site.devices[0]
        words = device_command(write_device(site.folder / device.name / "device.toml"))
        program = next(i for i, word in enumerate(words) if word.endswith("unix_main.py"))
        words[program] = str(ROOT / "tests" / "planted" / "device_process" / f"{name}.py")
        device.command = ["env", f"MICROPYPATH={micropython_environment()['MICROPYPATH']}", *words]
        return
    service = {"gateway": site.gateway, "office": site.office}[PROCESS[name]]
    at = service.command.index("-m")
    service.command = [sys.executable, "-m", "tests.planted.site", name, *service.command[at + 2 :]]


def _has_pruned(site):
    """Say whether the first critical segment is gone from the device's flash."""
    lane = read_image(site.folder / site.devices[0].name / "flash.bin").lane(CRITICAL)
    return lane is not None and lane.kept_from > 0


def _newest_at_the_office(site):
    """Return the highest critical number that the office holds, -1 for none."""
    with closing(sqlite3.connect(site.office_folder / "office.db")) as office:
        newest = office.execute("SELECT max(number) FROM segments WHERE lane = ?", (CRITICAL,)).fetchone()[0]
    return -1 if newest is None else newest


async def _slow_down(site):
    """Let the device go on slowly, so that its small ring holds what comes while a process is away, however busy the machine."""
    device = site.devices[0]
    await device.stop(signal.SIGINT)
    set_pace(site.folder / device.name, SLOW_SAMPLES_PER_S)
    await device.start()


async def _kill_story(folder, name):
    """Let a small ring wrap, kill gateway or office, start the true one again, and end in order."""
    options = {} if name is None else {"drain_ms": DRAIN_MS}
    site = await lay_out(folder, **RING, **options)
    true_commands = {service: service.command for service in (site.gateway, site.office)}
    _plant(site, name)
    try:
        await start_all(site)
        await until(lambda: _has_pruned(site), "the ring has pruned nothing")
        await _slow_down(site)
        struck = site.office if PROCESS.get(name) == "office" else site.gateway
        if PROCESS.get(name) != "device":
            await struck.kill()
            struck.command = true_commands[struck]
            await struck.start()
            await asyncio.sleep(AFTER_KILL_S)
        else:
            # What comes behind the number that is left out makes a gap of it.
            await until(lambda: _newest_at_the_office(site) > LEFT_OUT, "the office has not come so far")
        await stop_devices(site)
        if name is None:
            await until(lambda: not waiting(site), "the gateway's outbox is not empty")
        await stop_services(site)
    finally:
        await site.close()
    return prove_site(site)


@pytest.mark.canary
def test_story_without_a_fault_is_proved(tmp_path):
    """The same kill, the same small ring, true processes: nothing speaks against it."""
    proof = asyncio.run(_kill_story(tmp_path, None))

    assert proof.faults == []


@pytest.mark.canary
@pytest.mark.parametrize(
    ("name", "says"),
    [
        # The ring has pruned what the gateway said it had: the device itself says lost.
        ("acknowledge_before_commit", "critical epoch 0: segments 0.."),
        # The ring has pruned, without a word, what the office said it had.
        ("receipt_before_commit", "critical epoch 0: segments 0.."),
        ("skip_number", f"critical epoch 0: segments {LEFT_OUT}..{LEFT_OUT} are open"),
    ],
    ids=sorted(PROCESS),
)
def test_fault_planted_in_a_process_is_caught_by_the_proof_of_its_site(tmp_path, name, says):
    """Whoever acknowledges too early loses something at the next kill, and the proof names it; so it does with a number left out."""
    proof = asyncio.run(_kill_story(tmp_path, name))

    assert [fault for fault in proof.faults if says in fault], proof.faults
