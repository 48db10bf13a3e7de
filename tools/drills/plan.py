"""Which drills there are, and which run side by side."""

from typing import Any, NamedTuple

CI, SOAK = "ci", "soak"
SIZES = (CI, SOAK)
_PART = "python -m tests.drills "


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
        "restored",
        "the office's authority, signing key and database, and a gateway's card, are put back from copies",
    ),
    Part(
        "ways",
        "one link is jammed, another in the wrong hands; what was said on each is played on the others",
    ),
    Part("people", "users of every lesser role, and stolen tokens, try everything that they may not"),
    Part("network", "strangers flood, replay, forge addresses and talk nonsense"),
)
NAMES = tuple(part.name for part in PARTS)
# What runs side by side, one such group after the other. The fifty devices of kills need two processors to themselves; of the others a
# machine with two carries two at a time, of about the same length, and a third that mostly waits.
GROUPS = (
    (("kills",),),
    (("outage", "rollback", "thefts", "people"), ("rogue", "network"), ("restored", "ways")),
)


def part_command(name: str, size: str, seed: int) -> str:
    """Return the command that repeats one part."""
    return f"{_PART}{name} --size {size} --seed {seed}"


def part_of(row: dict[str, Any]) -> str:
    """Return the part that made a row of build/drills.json: the one that its command repeats."""
    command: str = row["command"]
    return command.removeprefix(_PART).split()[0]
