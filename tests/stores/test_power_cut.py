"""Power cuts under both stores: at every operation that SQLite does on the disk, in four states of what was not yet synced."""

import pytest

from tests.stores import vfs
from tests.stores.runs import check_gateway_cuts, check_office_cuts, size

pytestmark = pytest.mark.skipif(bool(vfs.why_not()), reason=vfs.why_not() or "-")


@pytest.mark.timeout(1200)
def test_power_cut_anywhere_keeps_what_the_gateway_acknowledged(memory):
    """After a cut at any operation the gateway's store holds one committed content, none older than what was acknowledged."""
    figures = check_gateway_cuts(memory, rounds=size(ci=6, soak=60))

    assert figures.cuts >= 1000


@pytest.mark.timeout(1200)
def test_power_cut_anywhere_keeps_what_the_office_acknowledged(memory):
    """After a cut at any operation the office's database and keystore hold what was acknowledged, and agree with each other."""
    figures = check_office_cuts(memory, rounds=size(ci=4, soak=40))

    assert figures.cuts >= 1000
