"""Run replay over the journals of the real agent, its power cut while it adopts, rolls back, or carries out a command.

`make test` cuts one flash operation in seven, in the torn way, which leaves the most to find; `make sweep` one in three in all ways.
"""

import hashlib

import pytest

from agent.flash import MODES
from office_ingest.prove.replay import DeviceReplay
from office_ingest.prove.takeover import Takeover
from rules.bundle import read_bundle
from tests.agent import cuts_down
from tests.agent.desk import BUNDLE
from tests.agent.release_bench import demo_bundle_again
from tests.agent.way_down import BODY

BODIES = (BUNDLE, BODY, cuts_down.FAULTY, cuts_down.SECOND, demo_bundle_again(5))
HELD = {hashlib.sha256(body).digest(): read_bundle(body) for body in BODIES}
# A link is a few pages of the key sector beside the command's event: its stories have fewer operations than the others.
OPERATIONS_MIN = {"relinking": 9, "relinking_again": 9}
PROVISIONED = hashlib.sha256(BUNDLE).digest()


def replay(desk):
    """Replay what arrived of a device; return its counts. Asserts that nothing is found."""
    found = []
    device = DeviceReplay(
        HELD.get, lambda order, what: found.append((order, what)), Takeover(provisioned=PROVISIONED)
    )
    for boot, event in sorted(desk.gateway.events(), key=lambda one: one[1][0]):
        device.feed(boot, event)
    counts = device.finish()

    assert [] == found
    return counts


@pytest.mark.parametrize(
    ("mode", "step"), [("torn", 7), *(pytest.param(mode, 3, marks=pytest.mark.sweep) for mode in MODES)]
)
@pytest.mark.parametrize("name", cuts_down.STORIES)
def test_journal_of_a_device_whose_power_was_cut_replays(name, mode, step):
    """An honest device is never accused, wherever the cut fell; every sample that came behind a whole checkpoint is replayed."""
    story, _ = cuts_down.STORIES[name]
    coverages = []
    cuts = cuts_down.sweep(story, lambda desk: coverages.append(replay(desk).coverage()), mode, step=step)

    assert cuts == len(coverages) > OPERATIONS_MIN.get(name, 12) // step
    assert 1.0 == min(coverages)
