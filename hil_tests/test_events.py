"""Many events through the whole agent on the board, in the production image's heap; and what an event costs the flash, beside littlefs.

With OUTSTATION_SOAK set, a million events: `make soak-hil`, twenty minutes of one core. Instructions are not counted then, which
would take half as long again, and the short run has counted them.
"""

import pytest

from hil_tests.workload import HEAP_BYTES, make_blank, make_provisioned, measure
from hil_tests.workloads.clock import SHIFT
from tests.soak import IS_SOAK
from tools.image.control import Control

EVENTS = 1_000_000 if IS_SOAK else 4000
SECONDS_MAX = 12 * 3600 if IS_SOAK else 240
SOAK_SHIFT = None if IS_SOAK else SHIFT
# So many that the clock does not wrap in between.
LOOKS = 100 if IS_SOAK else 8
# The largest thing that an agent reads in one piece is a part of a release.
PIECE_BYTES = 65536
# Free at the end of a run, of what was free early in it; and free in one piece.
KEPT_PERCENT = 90
KEPT_PIECE_PERCENT = 80
EARLY = 2
STORE_EVENTS = 200
# Instructions.
A_MICROSECOND = 1000 / (1 << SHIFT)


def run_events(elf, site_folder, flash, count, looks, change=None):
    """Return what workloads/events.py saw, the counts of the flash, and how many allocations of the agent failed."""
    planted = () if change is None else (change,)
    config = site_folder / "device" / "device.toml"
    make_provisioned(flash, config, *planted, routine_seal_ms=3_600_000)
    with Control(flash) as control:
        control.limit_heap(HEAP_BYTES)
        found = measure(elf, flash, "events", f"{count}, {looks}", SECONDS_MAX, SOAK_SHIFT)
        return found["seen"], control.counts(), control.heap_failures() - found["refused"]


def faults_of(seen):
    """Return what is wrong with a run, in words."""
    free, piece = seen[EARLY][1:3]
    last_free, last_piece = seen[-1][1:3]
    found = []
    if last_free * 100 < free * KEPT_PERCENT:
        found.append(f"free heap fell from {free} to {last_free} bytes")
    if last_piece * 100 < piece * KEPT_PIECE_PERCENT or last_piece < PIECE_BYTES:
        found.append(f"the largest free piece fell from {piece} to {last_piece} bytes")
    return found


@pytest.mark.timeout(SECONDS_MAX + 60)
def test_heap_stays_free_and_whole_over_many_events(development, site_folder, tmp_path, figures):
    """No allocation fails, whoever would catch it, nothing is kept from event to event, and no byte is programmed over another."""
    seen, counts, failures = run_events(development.elf, site_folder, tmp_path / "flash.bin", EVENTS, LOOKS)
    events = seen[-1][0] - seen[EARLY][0]
    figures["events"] = {
        "events": seen[-1][0],
        "heap_free_bytes": [row[1] for row in seen],
        "largest_free_piece_bytes": [row[2] for row in seen],
        "flash_bytes_an_event": round((seen[-1][3] - seen[EARLY][3]) / events, 2),
        "erases_an_event": round((seen[-1][4] - seen[EARLY][4]) / events, 5),
        "allocation_failures": failures,
    }
    if not IS_SOAK:
        spent_us = sum(row[5] for row in seen[EARLY + 1 :])
        figures["events"]["instructions_an_event"] = round(spent_us * A_MICROSECOND / events)

    assert seen[-1][0] >= EVENTS and seen[-1][4] > 16, "the ring has gone round"
    assert (counts.violations, failures) == (0, 0)
    assert faults_of(seen) == []


@pytest.mark.timeout(120)
def test_event_that_leaves_something_behind_is_seen(development, site_folder, tmp_path):
    """A planted fault: 64 bytes are kept for each sample."""

    def keep(name, text):
        if name != "agent_here":
            return text
        kept = text.replace("        self.steps = 0\n", "        self.steps = 0\n        self.kept = []\n")
        return kept.replace(
            "    clock.steps += samples\n",
            "    clock.steps += samples\n    clock.kept.append(bytes(64 * samples))\n",
        )

    seen, *_ = run_events(development.elf, site_folder, tmp_path / "flash.bin", 1200, LOOKS, keep)

    assert faults_of(seen)


@pytest.mark.timeout(120)
def test_allocation_that_fails_and_is_caught_is_seen(development, site_folder, tmp_path):
    """A planted fault: one turn asks for more than there is, and hides it."""

    def swallow(name, text):
        tried = "    try:\n        clock.steps != 16 or bytearray(1 << 20)\n    except MemoryError:\n        pass\n"
        return text + tried if name == "agent_here" else text

    _seen, _counts, failures = run_events(
        development.elf, site_folder, tmp_path / "flash.bin", 100, 1, swallow
    )

    assert failures == 1


@pytest.mark.timeout(120)
def test_event_costs_the_flash_less_than_littlefs_asks(development, tmp_path, figures):
    """Durable one by one, and in runs: our journal against append and flush, the same events on the same flash."""
    flash = tmp_path / "flash.bin"
    make_blank(flash)
    found = measure(development.elf, flash, "stores", str(STORE_EVENTS))
    figures["flash_an_event"] = {
        name: dict(zip(("bytes_an_event_byte", "erases_an_event", "instructions"), figure, strict=True))
        if isinstance(figure, list)
        else figure
        for name, figure in found.items()
    }

    for part in (0, 1):
        assert found["journal_seal_each"][part] * 2 < found["littlefs_flush_each"][part]
        assert found["journal_seal_every_100"][part] * 2 < found["littlefs_flush_every_100"][part]
