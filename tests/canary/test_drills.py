"""The drills catch faults in the real processes of a site: each is started from tests/planted, never switched on in the product.

A short drill may find something all by itself, for want of time or of what it looks at; then it would prove nothing of a fault. So
each is held once more without one.

A drill mostly waits. So where both are due, the drill with the fault and the one without are held side by side.
"""

import asyncio

import pytest

from tests.drills import kills, network, outage, people, restored, rogue, rollback, thefts, ways
from tests.drills.field import plant
from tests.drills.rogue_gateway import CONTROL
from tests.planted.drills import CAUGHT, PROCESS
from tests.site.harness import ROOT
from tools.drills.plan import CI

SEED = 7
PARTS = {
    "kills": kills,
    "rogue": rogue,
    "network": network,
    "outage": outage,
    "rollback": rollback,
    "thefts": thefts,
    "restored": restored,
    "ways": ways,
    "people": people,
}
# What a fault took is never receipted: nobody waits long for it, where no datagram is lost on the way.
DRAIN_MS = 4_000
# Nobody is killed before more than sixteen segments of a lane are there: one that is left out is seen for sure by a device that was
# not started again meanwhile, since a start reads a flash with a hole in its own way. With the patience of the drill itself; a fifth of all datagrams is lost until the
# kills end, and no device waits long before it repeats what it said.
STORM = {
    "devices": 2,
    "seconds": 4.0,
    "per_s": 12,
    "numbers": 17,
    "ack_timeout_ms": 100,
    "is_calm_after": True,
}
SHORT_OUTAGE = {"amounts": outage.Size(0.2, 400, 0.3, 96, 60.0)}
# Kinds of lies of which the fault would let one pass. The seconds are an end for what never comes; a lie that nobody notices is judged
# once so many heartbeats came after it.
IN_BODY, IN_SIGHT = (CONTROL, "alter", "forge_first"), (CONTROL, "silence", "truncate")
LIES = {
    "accept_unverified": IN_BODY,
    "throw_evidence_away": IN_BODY,
    "overlook_at_first": IN_BODY,
    "suspect_all": IN_BODY,
    "hear_no_silence": IN_SIGHT,
    "pass_over_heads": IN_SIGHT,
    "free_on_custody": (CONTROL, "false_custody_full_ring"),
}
LIES_S = (2.0, 40.0)
STRANGERS = {
    "explain_to_strangers": "strangers",
    "die_of_strangers": "strangers",
    "remember_strangers": "replays",
    "challenge_all_alike": "replays",
    "challenge_without_limit": "replays",
    "stumble_over_nonsense": "malformed",
    "answer_all_well": "malformed",
    "count_no_nonsense": "malformed",
    "sulk_after_nonsense": "malformed",
    "stumble_over_bodies": "callers",
    "believe_token": "callers",
}
AMOUNTS = network.Size(
    flood=0,
    peers=0,
    replays=12_000,
    malformed=500,
    nonsense=16,
    calls=60,
    held_open=10,
    listen_s=1.0,
    per_s=24,
)


def _arguments(name):
    """Return what the drill in which a fault is caught is held with, besides its seed."""
    part = CAUGHT[name][0]
    if part == "kills":
        return STORM
    if part == "rogue":
        return {"kinds": LIES[name], "drain_ms": DRAIN_MS, "seconds": LIES_S}
    if part == "network":
        return {"drills": (STRANGERS[name],), "amounts": AMOUNTS, "drain_ms": DRAIN_MS}
    if part in ("thefts", "people"):
        return {}
    return SHORT_OUTAGE if part == "outage" else {"drain_ms": DRAIN_MS}


def _distinct():
    """Return a fault for each different drill."""
    drills = {repr((CAUGHT[name][0], _arguments(name))): name for name in sorted(CAUGHT, reverse=True)}
    return sorted(drills.values())


DISTINCT = _distinct()


def _prepare(name):
    """Return what lets a site's process start with a fault in."""

    def prepare(site):
        if PROCESS[name] == "device":
            for device in site.devices:
                device.program = ROOT / "tests" / "planted" / "device_process" / f"{name}.py"
            return
        plant(getattr(site, PROCESS[name]), "tests.planted.drills", name)

    return prepare


async def _drill(name, folder, prepare):
    part = PARTS[CAUGHT[name][0]]
    return await part.run(folder, CI, SEED, print, prepare=prepare, **_arguments(name))


async def _with_and_without(name, folder):
    """Hold a drill with the fault in, and beside it the same of the same length and patience without any, if this fault stands for it."""
    drills = [_drill(name, folder / "planted", _prepare(name))]
    if name in DISTINCT:
        drills.append(_drill(name, folder / "honest", lambda site: None))
    rows, *honest = await asyncio.gather(*drills)
    return rows, [fault for of_one in honest for row in of_one for fault in row.faults]


@pytest.mark.canary
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_fault_planted_in_a_process_is_caught_by_its_drill(tmp_path, name):
    """Each fault makes every check fail that is named for it, in a short drill; without it the drill finds nothing."""
    rows, without = asyncio.run(_with_and_without(name, tmp_path))
    missed = {
        check: words
        for check, words in CAUGHT[name][1].items()
        if not any(words in fault for row in rows for fault in row.failed(check))
    }

    assert without == [], "found without the fault"
    assert missed == {}, [fault for row in rows for fault in row.faults]


@pytest.mark.canary
def test_every_planted_fault_names_its_process_and_its_check():
    """A fault that nobody starts proves nothing."""
    assert sorted(PROCESS) == sorted(CAUGHT)
    assert all(checks for _, checks in CAUGHT.values())
