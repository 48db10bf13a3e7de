"""Each fault planted into a simulated site is caught by the checker of the promise that it breaks."""

from functools import cache

import pytest

from tests.planted.sim import FAULTS
from tests.sim.checks import PROMISES, WATCHED
from tests.sim.plan import KINDS
from tests.sim.world import run

_SEEDS = 6


def _often(kinds):
    return {kind: 6 * max(1, KINDS[kind]) if kind in ("weather", "hostile") else 6 for kind in kinds}


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_the_site_is_caught(name, monkeypatch):
    """Within a few seeds the checker of the broken promise says so."""
    fault = FAULTS[name]
    fault.plant(monkeypatch.setattr)
    said = set()
    for seed in range(_SEEDS):
        try:
            result = run(seed, fault.days, 3, _often(fault.kinds), fault.shape)
        except Exception as error:  # noqa: BLE001 - a fault may break more than it should
            said.add(f"failed: {error!r}")
            continue
        said |= {promise for promise, _ in result.broken}
        if fault.promise in said:
            return
    pytest.fail(f"{name} was not caught by {fault.promise!r}; what was said: {sorted(said)}")


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_site_keeps_that_promise_without_the_fault(name):
    """What is caught is the fault, and not what else the site goes through there. Where nothing is asked of it, it keeps all others too."""
    fault = FAULTS[name]
    broken = _broken(fault.days, fault.kinds, fault.shape)

    assert fault.promise not in broken
    assert fault.shape is not None or not broken


@cache
def _broken(days, kinds, shape):
    return {promise for promise, _ in run(0, days, 3, _often(kinds), shape).broken}


def test_every_promise_has_a_fault_that_breaks_it():
    """A checker that nothing ever met would prove nothing."""
    assert {*PROMISES, *WATCHED, "watchdog", "liveness"} <= {fault.promise for fault in FAULTS.values()}
