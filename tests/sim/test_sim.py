"""A seed is a whole history: the same each time, of every kind of fault, and under each the promises hold."""

import json

import pytest

from tests.sim import command, plan
from tests.sim.happened import HAPPENED, never_happened
from tests.sim.world import World, run

# What a network and a counter do without any fault.
_OF_ITSELF = {"datagram overtook another", "ticks of a device wrapped"}


def test_same_seed_gives_the_same_history():
    """Twice the same digest over every line; another seed, another one."""
    # Two days: a gateway that cannot start among what happens.
    first, again, other = run(3), run(3), run(4)

    assert (first.digest, first.lines) == (again.digest, again.lines)
    assert first.digest != other.digest


@pytest.mark.parametrize("seed", [3, 4, 34, 48, 62, 117, 122, 177, 323, 392, 1520])
def test_seed_that_once_broke_a_promise_keeps_it(seed):
    """Found by these, and mended: a watchdog that a slow link starved, a boot that seemed to be a replay, an epoch begun by a stale
    receipt, a silence that a failing disk had kept, a release that waited for a clock more exact than
    its validity asks, or for one that was a year ahead until the next boot, a switch of rules told in segments that an old backup cost, a pace that it had
    brought back."""
    assert [] == run(seed).broken


def test_every_kind_of_fault_is_drawn_and_can_be_done():
    """Nothing of the plan is left out by accident; what is drawn is done by the method of its name."""
    drawn = {step.what for seed in range(20) for step in plan.draw(seed, 2.0, 5)}

    assert set(plan.KINDS) == drawn
    assert all(hasattr(World, "_" + what.replace(" ", "_")) for what in plan.KINDS)


def test_a_fault_that_strikes_nothing_is_named():
    """What a plan asked for is not what happened: many worlds in which a fault never struck have not tried it."""
    counts = dict.fromkeys(HAPPENED, 1)

    assert [] == never_happened(counts)
    assert [HAPPENED[3]] == never_happened({**counts, HAPPENED[3]: 0})
    assert len(set(HAPPENED)) == len(HAPPENED)


def test_many_worlds_that_met_not_every_fault_fail(monkeypatch, tmp_path, capsys):
    """`make sim` itself asks for it, and writes how often each struck."""
    monkeypatch.setattr(command, "_ENOUGH_WORLDS", 1)
    file = tmp_path / "sim.json"

    code = command.main(["--seeds", "0..1", "--days", "0.1", "--devices", "1", "--json", str(file)])

    happened = json.loads(file.read_text())["happened"]
    assert code == 1
    assert set(HAPPENED) == set(happened)
    assert f"never happened in 1 worlds: {never_happened(happened)[0]}" in capsys.readouterr().out


def test_a_quiet_site_breaks_nothing():
    """Without any fault: what the checks ask for is what a site does."""
    result = run(0, 1.0, 3, {})

    assert [] == result.broken
    assert _OF_ITSELF >= {name for name, times in result.happened.items() if times}
    assert result.counts["seal"] > 100
