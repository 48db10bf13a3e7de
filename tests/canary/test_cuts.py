"""Each fault planted under the power cuts, the counters and the decoders is caught by the sweep that guards against it."""

import json

import pytest

from protocol import blockwise
from tests.cuts.__main__ import main as cuts_main
from tests.cuts.counters import run_cycles
from tests.cuts.parts import PARTS
from tests.cuts.sweep import CutFailure, sweep
from tests.fuzz import runs
from tests.fuzz.__main__ import main as fuzz_main
from tests.fuzz.device_decoders import ENTRIES
from tests.fuzz.frames import FuzzFailure, run_entry, watch_entry
from tests.fuzz.host_decoders import HOST_ENTRIES
from tests.fuzz.runs import check_agreement, run_device
from tests.planted.cuts import (
    CUT_FAULTS,
    FUZZ_FAULTS,
    PROGRAM_FAULTS,
    keep_one_context_over_boots,
    let_toml_speak_for_itself,
)
from tests.planted.device import acknowledge_before_program
from tests.planted.protocol import accept_longer_heads

CUTS = 2000
CYCLES = 600
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
    keep_one_context_over_boots(monkeypatch.setattr)

    code = cuts_main(["--counters", str(CYCLES), "--json", str(report)])

    assert code == 1
    assert json.loads(report.read_text())["counters"]["reused"] > 0


@pytest.mark.canary
def test_sweep_that_finds_something_leaves_no_figures_of_an_older_one(monkeypatch, tmp_path):
    """What the page of what was tried would show as unbroken is gone; figures of other runs stay."""
    report = tmp_path / "cuts.json"
    report.write_text(json.dumps({"sweep": {"journal": {"cuts": 7}}, "counters": {"reused": 0}}))
    acknowledge_before_program(monkeypatch.setattr)

    code = cuts_main(["--cuts", str(CUTS), "--json", str(report)])

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
@pytest.mark.parametrize("name", PROGRAM_FAULTS)
def test_fault_on_a_device_fails_the_command_of_the_frames(name, monkeypatch, tmp_path, capsys):
    """What a process of a device shows is judged as in the test, and no figures of an older run stay."""
    program, says = PROGRAM_FAULTS[name]
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(runs, "PROGRAM", tmp_path / "program.py")

    assert _fuzz_over_old_figures(tmp_path) == (1, False)
    assert says in capsys.readouterr().out


@pytest.mark.canary
def test_fault_on_a_host_fails_the_command_of_the_frames(monkeypatch, tmp_path, capsys):
    """The hosts' decoders come last, and count as much."""
    let_toml_speak_for_itself(monkeypatch.setattr)

    assert _fuzz_over_old_figures(tmp_path) == (1, False)
    assert "_toml raised" in capsys.readouterr().out


@pytest.mark.canary
def test_host_that_keeps_memory_fails_the_command_of_the_frames(monkeypatch, tmp_path, capsys):
    """A mebibyte for each condition that is read."""
    entry = next(one for one in HOST_ENTRIES if one.name == "condition")
    honest, kept = entry.decode, []

    def decode(raw):
        kept.append(b"k" * (1 << 20))
        return honest(raw)

    monkeypatch.setattr(entry, "decode", decode)

    assert _fuzz_over_old_figures(tmp_path) == (1, False)
    assert "condition on cpython:" in capsys.readouterr().out


def _fuzz_over_old_figures(folder):
    """Run the command over the figures of an older run; return its exit code, and whether there are figures then."""
    report = folder / "fuzz.json"
    report.write_text("{}")
    code = fuzz_main(["--frames", str(FRAMES), "--json", str(report)])
    return code, report.exists()


@pytest.mark.canary
def test_runtimes_that_disagree_are_caught(monkeypatch):
    """One runtime that takes what the other refuses shows in the sum of outcomes."""
    theirs = run_device("micropython", 20_000, 1, ["cbor"])["cbor"]
    entry = next(one for one in ENTRIES if one.name == "cbor_prefix")
    cbor_entry = next(one for one in ENTRIES if one.name == "cbor")
    count = theirs["taken"] + theirs["refused"]
    check_agreement(_beside(theirs, watch_entry(cbor_entry, count, 1)))
    accept_longer_heads(monkeypatch)
    monkeypatch.setattr(cbor_entry, "decode", entry.decode)

    with pytest.raises(AssertionError, match="cbor: the runtimes disagree"):
        check_agreement(_beside(theirs, watch_entry(cbor_entry, count, 1)))


def _beside(theirs, ours):
    return {"cpython": {"cbor": ours}, "micropython": {"cbor": theirs}}
