"""Each fault planted under the power cuts, the counters and the decoders is caught by the sweep that guards against it."""

import json

import pytest

from protocol import blockwise
from tests.cuts.__main__ import main
from tests.cuts.counters import run_cycles
from tests.cuts.parts import PARTS
from tests.cuts.sweep import CutFailure, sweep
from tests.fuzz.device_decoders import ENTRIES
from tests.fuzz.frames import FuzzFailure, run_entry
from tests.fuzz.host_decoders import HOST_ENTRIES
from tests.fuzz.runs import run_device
from tests.planted.cuts import CUT_FAULTS, FUZZ_FAULTS, store_the_counter_after_sending
from tests.planted.device import acknowledge_before_program
from tests.planted.protocol import accept_longer_heads

CUTS = 2000
CYCLES = 300
FRAMES = 4000


def _catch(catcher):
    """Run a sweep, or the counters; raise AssertionError if they find something."""
    if catcher == "counters":
        cycles = run_cycles(CYCLES)
        assert cycles.reused == 0, f"{cycles.reused} nonces were used twice"
    else:
        sweep(PARTS[catcher], CUTS)


@pytest.mark.canary
@pytest.mark.parametrize("name", CUT_FAULTS)
def test_fault_planted_under_the_cuts_is_caught(name, monkeypatch):
    """A promise is found broken, and the failure says how to see it again."""
    plant, catcher = CUT_FAULTS[name]
    plant(monkeypatch.setattr)

    with pytest.raises(AssertionError) as caught:
        _catch(catcher)
    assert catcher == "counters" or isinstance(caught.value, CutFailure)
    assert not isinstance(caught.value.__cause__, (NameError, TypeError)), caught.value


@pytest.mark.canary
def test_command_fails_where_a_nonce_was_used_twice(monkeypatch, tmp_path):
    """The exit code says what the figures say, and the figures are the true ones."""
    report = tmp_path / "cuts.json"
    store_the_counter_after_sending(monkeypatch.setattr)

    code = main(["--counters", str(CYCLES), "--json", str(report)])

    assert code == 1
    assert json.loads(report.read_text())["counters"]["reused"] > 0


@pytest.mark.canary
def test_sweep_that_finds_something_leaves_no_figures_of_an_older_one(monkeypatch, tmp_path):
    """What the page of what was tried would show as unbroken is gone; figures of other runs stay."""
    report = tmp_path / "cuts.json"
    report.write_text(json.dumps({"sweep": {"journal": {"cuts": 7}}, "counters": {"reused": 0}}))
    acknowledge_before_program(monkeypatch.setattr)

    code = main(["--cuts", str(CUTS), "--json", str(report)])

    assert code == 1
    assert json.loads(report.read_text()) == {"counters": {"reused": 0}}


@pytest.mark.canary
@pytest.mark.parametrize("catcher", sorted({catcher for _, catcher in CUT_FAULTS.values()}))
def test_same_cuts_find_nothing_without_a_fault(catcher):
    """What the canaries look at is whole."""
    _catch(catcher)


@pytest.mark.canary
@pytest.mark.parametrize("name", FUZZ_FAULTS)
def test_fault_planted_in_a_decoder_is_caught(name, monkeypatch):
    """The frames find nothing in the decoder as it is, and name a frame once the fault is in."""
    plant, entry_name = FUZZ_FAULTS[name]
    entry = next(one for one in ENTRIES + HOST_ENTRIES if one.name == entry_name)
    run_entry(entry, FRAMES, 1)
    plant(monkeypatch.setattr)
    if entry_name == "block_option":
        monkeypatch.setattr(entry, "decode", blockwise.decode_block)

    with pytest.raises(FuzzFailure, match=f"--replay {entry_name}:1:"):
        run_entry(entry, FRAMES, 1)


@pytest.mark.canary
def test_runtimes_that_disagree_are_caught(monkeypatch):
    """One runtime that takes what the other refuses shows in the sum of outcomes."""
    theirs = run_device("micropython", 20_000, 1, ["cbor"])["cbor"]
    entry = next(one for one in ENTRIES if one.name == "cbor_prefix")
    cbor_entry = next(one for one in ENTRIES if one.name == "cbor")
    count = theirs["taken"] + theirs["refused"]
    assert run_entry(cbor_entry, count, 1)[2] == theirs["sum"]
    accept_longer_heads(monkeypatch)
    monkeypatch.setattr(cbor_entry, "decode", entry.decode)

    assert run_entry(cbor_entry, count, 1)[2] != theirs["sum"]
