"""What faults did, as against what a plan asked for: a cut that no flash operation met, or a full disk to which nobody wrote, tries nothing.

HAPPENED: every name under which the simulation counts that a fault struck. Many worlds together must have met each.
"""

from agent.flash import MODES
from tests.sim.hostile import KINDS as LIES

HAPPENED = (
    # network.py
    "datagram lost",
    "datagram repeated",
    "datagram late by seconds",
    "datagram overtook another",
    "datagram met a cut line",
    "stranger repeated a datagram",
    "stranger changed a datagram",
    "stranger made up a datagram",
    "second gateway heard a device",
    "uplink request lost",
    "uplink answer lost",
    "uplink request repeated",
    "uplink met a cut line",
    # device.py
    *(f"power cut in a flash operation, {mode}" for mode in MODES),
    "power cut in a recovery",
    "power cut in the recovery after a power cut",
    "device lost power",
    "device ended at an await",
    "ticks of a device wrapped",
    "flash of a device put back",
    # host.py, disk.py, clock.py
    "gateway ended at an await",
    "office ended at an await",
    "process killed",
    "process could not start on its disk",
    "write met a full disk",
    "sync failed, nothing kept",
    "sync failed, all kept",
    "wall clock read in 1970",
    "wall clock read hours off",
    "wall clock read a year off",
    # world.py, backup.py
    "gateway replaced",
    "gateway's store put back",
    "office put back from a backup",
    "device moved to the other gateway",
    *(f"gateway lied: {lie}" for lie in LIES),
)


def never_happened(counts):
    """Return the names under which nothing was counted, in order. counts: name -> times."""
    return [name for name in HAPPENED if not counts.get(name)]
