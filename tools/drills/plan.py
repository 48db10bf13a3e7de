"""Which drills there are, and which run side by side."""

from typing import NamedTuple

CI, SOAK = "ci", "soak"
SIZES = (CI, SOAK)


class Part(NamedTuple):
    """One process of drills over one site. about: a line for people."""

    name: str
    about: str


PARTS = (
    Part("kills", "gateway, office and devices are killed again and again on a link that loses datagrams"),
    Part("outage", "the uplink is cut for hours while devices reboot and lose power, and then drained"),
    Part("rogue", "a gateway in the wrong hands: it alters, drops, inserts, forges, withholds and lies"),
    Part("rollback", "a gateway's store is put back to what it was, and a device's flash as well"),
    Part(
        "thefts", "a device's flash and a gateway's disk are copied, searched, run a second time and revoked"
    ),
    Part(
        "restored", "the office's authority and signing key, and a gateway's card, are put back from copies"
    ),
    Part(
        "ways",
        "one link is jammed, another in the wrong hands; what was said on each is played on the others",
    ),
    Part("people", "users of every lesser role, and stolen tokens, try everything that they may not"),
    Part("network", "strangers flood, replay, forge addresses and talk nonsense"),
)
NAMES = tuple(part.name for part in PARTS)
# The first two are about as long as each other. A machine with two processors carries two, and a third that mostly waits.
LANES = (
    ("kills", "outage"),
    ("rogue", "network", "rollback", "thefts", "people"),
    ("restored", "ways"),
)
