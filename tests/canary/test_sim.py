"""Each fault planted into a simulated site is caught by the checker of the promise that it breaks."""

import pytest

from tests.planted.sim import FAULTS
from tests.sim.plan import KINDS
from tests.sim.world import run

_SEEDS = 6
_DAYS = 1.0


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
@pytest.mark.parametrize("kinds", sorted({fault.kinds for fault in FAULTS.values()}))
def test_site_keeps_its_promises_without_the_fault(kinds):
    """Under the same faults of the plan the site as it is breaks nothing."""
    assert [] == run(0, _DAYS, 3, _often(kinds)).broken
