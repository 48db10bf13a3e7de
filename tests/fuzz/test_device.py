"""A million frames for the decoders of a device, on each runtime. OUTSTATION_FRAMES and OUTSTATION_SEED choose others."""

import os
import subprocess

import pytest

from agent.ring import record_length
from tests.fuzz import runs
from tests.fuzz.device_decoders import ENTRIES
from tests.fuzz.frames import FuzzFailure, frame_of, run_entry
from tests.fuzz.runs import GROWTH_BYTES_MAX, RUNTIMES, check_agreement, check_growth, run_device, seconds_max
from tools.upy import micropython_command, micropython_environment

FRAMES = int(os.environ.get("OUTSTATION_FRAMES", "1000000"))
SEED = int(os.environ.get("OUTSTATION_SEED", "1"))
# Two halves of about the same cost, so that two workers can share them.
HALVES = {"first": [entry.name for entry in ENTRIES[:14]], "rest": [entry.name for entry in ENTRIES[14:]]}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("half", HALVES)
def test_no_frame_ends_in_another_error_and_both_runtimes_agree(half):
    """
    Golden bytes with edits, and noise: a value or a documented error, the same on both runtimes frame by frame, and no memory kept.
    """
    said = {runtime: run_device(runtime, FRAMES, SEED, HALVES[half]) for runtime in RUNTIMES}
    counts = {one["name"]: one["taken"] + one["refused"] for one in said["cpython"].values()}
    print(f"{sum(counts.values())} frames from seed {SEED} on each runtime: {counts}")

    assert list(counts) == HALVES[half]
    check_agreement(said)
    for runtime, lines in said.items():
        check_growth(runtime, lines.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_golden_bytes_reach_the_end_of_their_decoder(entry):
    """At least one frame in each corpus is taken as it is: mutation starts from what the decoder accepts."""
    taken = 0
    for raw in entry.golden:
        try:
            entry.decode(bytearray(raw) if entry.name.startswith("flash") else raw)
        except entry.errors:
            continue
        taken += 1

    assert taken or entry.name in ("succession",)


def test_decoder_that_keeps_what_it_reads_is_seen():
    """Memory that grows with the frames shows on the device's heap."""
    program = """
from tests.fuzz.frames import Entry, watch_entry
kept = []
print(watch_entry(Entry("keeping", kept.append, [bytes(40)], (), 1), 1000, 1)["growth"])
"""
    done = subprocess.run(
        [*micropython_command(), "-c", program],
        env=micropython_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout) > 10 * GROWTH_BYTES_MAX["micropython"]


def test_failure_names_the_frame_and_the_command_that_repeats_it():
    """Name, seed and index are all that it takes."""
    entry = next(one for one in ENTRIES if one.name == "receipt")
    whole = entry.decode

    def hasty(raw):
        if len(raw) == 9:
            raise IndexError("nine")
        return whole(raw)

    entry.decode = hasty
    try:
        with pytest.raises(FuzzFailure, match=r"python -m tests.fuzz --replay receipt:5:") as failure:
            run_entry(entry, 5000, 5)
    finally:
        entry.decode = whole
    index = int(str(failure.value).rsplit(":", 1)[1])

    assert len(frame_of(entry, 5, index)) == 9


def test_bit_lost_in_any_record_does_not_keep_a_device_from_booting():
    """The chain tells the office which segment is damaged; the device goes on without it."""
    entry = next(one for one in ENTRIES if one.name == "flash_boot")
    window = entry.golden[0]
    for place in range(4 * 4096, len(window), 256):
        length = record_length(window[place : place + 256])
        if length:
            damaged = bytearray(window)
            # Near the end of the body, before the tag.
            damaged[place + length - 40] ^= 4
            entry.decode(damaged)


def test_process_that_takes_too_long_is_said_to_have_died(monkeypatch):
    """A person reads which runtime, how many frames and how long, and no traceback."""
    monkeypatch.setattr(runs, "_START_SECONDS_MAX", 0)

    with pytest.raises(runs.Died, match="micropython: 1000 frames took more than 0 s"):
        run_device("micropython", 1000, SEED)


def test_soak_has_the_time_that_it_takes():
    """A hundred million frames took about 4,200 s on MicroPython where it was measured."""
    assert seconds_max(100_000_000) > 10 * 4200
