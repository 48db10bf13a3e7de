"""The drills catch faults in the real processes of a site: each is started from tests/planted, never switched on in the product.

A short drill may find something all by itself, for want of time or of what it looks at; then it would prove nothing of a fault. So
each is held once more without one.
"""

import asyncio

import pytest

from tests.drills import kills, network, outage, rogue, rollback
from tests.drills.field import plant
from tests.drills.rogue_gateway import CONTROL
from tests.planted.drills import CAUGHT, PROCESS
from tests.site.harness import ROOT
from tools.drills.plan import CI

SEED = 7
PARTS = {"kills": kills, "rogue": rogue, "network": network, "outage": outage, "rollback": rollback}
# What a fault took is never receipted: nobody waits long for it, where no datagram is lost on the way.
DRAIN_MS = 4_000
# With the drain of the drill itself: a fifth of all datagrams is lost. More than sixteen segments of a lane, and decisions among them.
STORM = {"devices": 2, "seconds": 8.0, "per_s": 6}
SHORT_OUTAGE = {"amounts": outage.Size(0.4, 400, 0.5, 96, 60.0)}
# kinds of lies that the fault would let pass
LIES = {
    "accept_unverified": (CONTROL, "alter", "forge_first"),
    "throw_evidence_away": (CONTROL, "alter"),
    "overlook_at_first": (CONTROL, "alter"),
    "suspect_all": (CONTROL, "alter"),
    "hear_no_silence": (CONTROL, "silence"),
    "pass_over_heads": (CONTROL, "truncate"),
    "free_on_custody": (CONTROL, "false_custody_full_ring"),
}
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
AMOUNTS = network.Size(flood=0, peers=0, replays=20_000, malformed=500, nonsense=16, calls=60, held_open=10)


def _arguments(name):
    """Return what the drill in which a fault is caught is held with, besides its seed."""
    part = CAUGHT[name][0]
    if part == "kills":
        return STORM
    if part == "rogue":
        return {"kinds": LIES[name], "drain_ms": DRAIN_MS, "seconds": (6.0, 10.0)}
    if part == "network":
        return {"drills": (STRANGERS[name],), "amounts": AMOUNTS, "drain_ms": DRAIN_MS}
    return SHORT_OUTAGE if part == "outage" else {}


def _distinct():
    """Return a fault for each different drill."""
    drills = {repr((CAUGHT[name][0], _arguments(name))): name for name in sorted(CAUGHT, reverse=True)}
    return sorted(drills.values())


def _prepare(name):
    """Return what lets a site's process start with a fault in."""

    def prepare(site):
        if PROCESS[name] == "device":
            for device in site.devices:
                device.program = ROOT / "tests" / "planted" / "device_process" / f"{name}.py"
            return
        plant({"gateway": site.gateway, "office": site.office}[PROCESS[name]], "tests.planted.drills", name)

    return prepare


def _drill(name, folder, prepare):
    part = PARTS[CAUGHT[name][0]]
    return asyncio.run(part.run(folder, CI, SEED, print, prepare=prepare, **_arguments(name)))


@pytest.mark.canary
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_fault_planted_in_a_process_is_caught_by_its_drill(tmp_path, name):
    """Each fault makes every check fail that is named for it, in a short drill."""
    rows = _drill(name, tmp_path / "site", _prepare(name))
    missed = {
        check: words
        for check, words in CAUGHT[name][1].items()
        if not any(words in fault for row in rows for fault in row.failed(check))
    }

    assert missed == {}, [fault for row in rows for fault in row.faults]


@pytest.mark.canary
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", _distinct())
def test_drill_of_a_canary_finds_nothing_without_the_fault(tmp_path, name):
    """The same drill, of the same length, with the same patience: only the fault can be what the canary saw."""
    rows = _drill(name, tmp_path / "site", lambda site: None)

    assert [fault for row in rows for fault in row.faults] == []


@pytest.mark.canary
def test_every_planted_fault_names_its_process_and_its_check():
    """A fault that nobody starts proves nothing."""
    assert sorted(PROCESS) == sorted(CAUGHT)
    assert all(checks for _, checks in CAUGHT.values())
