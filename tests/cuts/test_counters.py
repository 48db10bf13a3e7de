"""Sequence numbers of the link over power cycles of the device and crashes of the gateway."""

import os

import pytest

from tests.cuts.counters import run_cycles

CYCLES = int(os.environ.get("OUTSTATION_CYCLES", "10000"))
SEED = int(os.environ.get("OUTSTATION_SEED", "1"))


@pytest.mark.timeout(0 if CYCLES > 20_000 else 300)
def test_no_key_seals_two_texts_under_one_nonce_over_cuts_and_crashes():
    """Of device and gateway, whatever is cut, lost, doubted or delivered again."""
    cycles = run_cycles(CYCLES, SEED)
    print(cycles)

    assert cycles.reused == 0, f"repeat: .venv/bin/python -m tests.cuts --counters {CYCLES} --seed {SEED}"
    assert cycles.boots == CYCLES
    assert cycles.cuts > CYCLES // 4
    assert cycles.crashes > CYCLES // 20
    assert cycles.in_commit > CYCLES // 200
    assert min(cycles.losses, cycles.renewals, cycles.replays, cycles.answered) > 0
    assert min(cycles.flashes_put_back, cycles.stores_put_back) > 0
