"""A rule fires on the board and moves its actuator with gateway and office off, and how long that takes."""

import asyncio
import random
from functools import partial

import pytest

from hil_tests.provisioned import know_image
from hil_tests.qemu import Qemu
from hil_tests.workload import HEAP_BYTES, make_provisioned, measure
from office_ingest.receive.body import open_events
from protocol.event import ACTION, BOOT, DECISION
from protocol.keys import CRITICAL
from protocol.segment import parse_segment
from tests.site.harness import JOURNAL_SECTORS, lay_out, proved, stop_all, until
from tests.soak import IS_SOAK
from tools.flashimage import read_image
from tools.image.control import Control
from tools.image.flashfile import make_flash, read_window
from tools.provision import Office

WINDOW_SECTORS = 4 + JOURNAL_SECTORS + 32
# Instructions: twice what it takes, in the soak with a ring that is full and makes room with each seal. hil_tests/budgets.toml has the
# budgets of what it is made of.
P99_MAX = 60_000_000 if IS_SOAK else 20_000_000
ACTS = 1000 if IS_SOAK else 100
SECONDS_MAX = 3600 if IS_SOAK else 240
DONE = 0
# Critical events of one boot without a gateway: its boot, a checkpoint, and some decisions with their actions.
CRITICAL_EVENTS = 8


def quantile(values, percent):
    """Return the value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def waits_of(elf, site_folder, flash, acts, *changes):
    """Return what workloads/actuation.py saw in the production image's heap."""
    make_provisioned(flash, site_folder / "device" / "device.toml", *changes, routine_seal_ms=3_600_000)
    with Control(flash) as control:
        control.limit_heap(HEAP_BYTES)
        return measure(elf, flash, "actuation", str(acts), SECONDS_MAX)


@pytest.mark.proves("S01")
@pytest.mark.timeout(SECONDS_MAX + 60)
def test_sample_to_actuator_is_measured_over_many_acts(development, site_folder, tmp_path, figures):
    """Instructions from the tick of a sample to the move, the decision sealed and read back on the way."""
    found = waits_of(development.elf, site_folder, tmp_path / "flash.bin", ACTS)
    waits = found["waits"]
    figures["event_to_actuation"] = {
        "acts": len(waits),
        "samples": found["samples"],
        "erases": found["erases"],
        "least_instructions": min(waits),
        "median_instructions": quantile(waits, 50),
        "p99_instructions": quantile(waits, 99),
        "most_instructions": max(waits),
    }

    assert len(waits) >= ACTS and not found["is_online"]
    assert found["erases"] > 0
    # An act waits for its own work: one decision sealed, at times a sector erased, a key moved on or a heap collected.
    assert quantile(waits, 99) < P99_MAX


@pytest.mark.timeout(120)
def test_act_that_waits_for_a_gateway_is_seen(development, site_folder, tmp_path):
    """A planted fault: the actuators are moved only while the gateway answers. Nothing moves, and the count above says so."""

    def wait(name, text):
        if name != "actuation":
            return text
        return text.replace("is not None:", "is not None and self.agent.is_online():")

    found = waits_of(development.elf, site_folder, tmp_path / "flash.bin", 5, wait)

    assert found["waits"] == [] and found["samples"] > 5


@pytest.mark.proves("S01")
@pytest.mark.timeout(240)
def test_rule_fires_and_acts_while_gateway_and_office_are_off(image, tmp_path):
    """Neither has run yet; what the board decided and did meanwhile is on its flash, and proved when they do."""

    async def run():
        site = await lay_out(tmp_path, 1, samples_per_s=10)
        know_image(site.office_folder, image)
        try:
            flash = tmp_path / "flash.bin"
            desk = tmp_path / "device-1"
            make_flash(desk / "device.toml", flash, random.Random(3).randbytes(32))
            with Qemu(image.elf, flash) as board:
                board.wait_for("runs, boot 1,")
                await until(partial(has_decided, flash, tmp_path / "look.bin"), "no rule fires")
                board.kill()
            (desk / "flash.bin").write_bytes(read_window(flash, WINDOW_SECTORS))
            await site.office.start()
            await site.gateway.start()
            await site.devices[0].start()
            await stop_all(site)
            proved(site)
            return kinds_of_boot(site, 1)
        finally:
            await site.close()

    kinds = asyncio.run(run())

    assert kinds.count(BOOT) == 1
    assert kinds.count(DECISION) >= 2
    assert kinds.count((ACTION, DONE)) >= 2


def has_decided(flash, copy):
    """Say whether enough critical events lie on a flash, as it is at this moment."""
    copy.write_bytes(read_window(flash, WINDOW_SECTORS))
    lane = read_image(copy).lane(CRITICAL)
    return lane is not None and lane.head.next_sequence >= CRITICAL_EVENTS


def kinds_of_boot(site, wanted):
    """Return the kinds of a boot's critical events that the office holds, of actions with their result, in their order."""
    found = []
    with Office(site.office_folder / "office.toml") as office:
        rows = office.store.connection.execute(
            "SELECT raw FROM segments WHERE lane = ? ORDER BY epoch, number", (CRITICAL,)
        ).fetchall()
        for (raw,) in rows:
            header = parse_segment(raw).header
            key = office.keystore.view_key(header.device, header.view_class, header.period)
            if key is None:
                continue
            boot, events = open_events(parse_segment(raw), key)
            if boot == wanted:
                found += [(ACTION, event[3][3]) if event[2] == ACTION else event[2] for event in events]
    return found
