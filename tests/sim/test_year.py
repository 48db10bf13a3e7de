"""Storage over a long time: each store keeps its bound while lines are cut and come back, and lets go of what the office receipted."""

import json

from tests.planted.sim import FAULTS
from tests.sim.command import main
from tests.sim.year import GATEWAY_BYTES_MAX, PROMISE, run_year

_DAYS = 4


def test_stores_keep_their_bounds_and_the_office_keeps_everything():
    """Nothing breaks, the gateway fills and drains below its bound, and the office only grows."""
    # Cut from the first day to the third.
    result, figures = run_year(_DAYS, outages=(("part uplink", 365 / _DAYS, 2 * 365 / _DAYS),))

    assert [] == result.broken
    _, rings, gateways, offices = zip(*figures["points"], strict=True)
    assert max(rings) <= figures["ring_bytes_max"]
    assert gateways[-1] < max(gateways) < GATEWAY_BYTES_MAX
    assert offices[0] < offices[-1]
    assert figures["events"] > 0


def test_gateway_that_frees_nothing_is_found(monkeypatch):
    """What is receipted and stays is said at the end, however little it is."""
    FAULTS["free_nothing"].plant(monkeypatch.setattr)

    assert PROMISE in {promise for promise, _ in run_year(_DAYS)[0].broken}


def test_figures_stand_beside_those_of_many_worlds(tmp_path):
    """Neither run takes away what the other wrote."""
    file = tmp_path / "sim.json"
    file.write_text(json.dumps({"worlds": 7}))

    assert main(["--year", str(_DAYS), "--json", str(file)]) == 0

    document = json.loads(file.read_text())
    assert document["worlds"] == 7
    assert document["storage"]["days"] == _DAYS
