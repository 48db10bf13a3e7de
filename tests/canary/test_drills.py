"""The drills catch faults in the real processes of a site: each is started from tests/planted, never switched on in the product."""

import asyncio

import pytest

from tests.drills import kills, network, rogue
from tests.drills.field import plant
from tests.drills.rogue_gateway import CONTROL
from tests.planted.drills import CAUGHT, PROCESS
from tests.site.harness import ROOT
from tools.drills.plan import CI

SEED = 7
# What a fault took is never receipted: nobody waits long for it.
DRAIN_MS = 4_000
# kinds of lies that the fault would let pass
LIES = {
    "accept_unverified": (CONTROL, "alter", "forge_first"),
    "throw_evidence_away": (CONTROL, "alter"),
    "hear_no_silence": (CONTROL, "silence"),
    "pass_over_heads": (CONTROL, "truncate"),
    "free_on_custody": (CONTROL, "false_custody_full_ring"),
}
STRANGERS = {
    "explain_to_strangers": "strangers",
    "remember_strangers": "replays",
    "challenge_all_alike": "replays",
    "stumble_over_nonsense": "malformed",
}
AMOUNTS = network.Size(flood=0, peers=0, replays=20_000, malformed=500, nonsense=16, calls=0, held_open=0)


def _prepare(name):
    """Return what lets a site's process start with a fault in."""

    def prepare(site):
        if PROCESS[name] == "device":
            for device in site.devices:
                device.program = ROOT / "tests" / "planted" / "device_process" / f"{name}.py"
            return
        plant({"gateway": site.gateway, "office": site.office}[PROCESS[name]], "tests.planted.drills", name)

    return prepare


def _drill(name, folder):
    prepare = _prepare(name)
    if CAUGHT[name][0] == "kills":
        return kills.run(folder, CI, SEED, print, prepare=prepare, devices=2, seconds=6.0, drain_ms=DRAIN_MS)
    if CAUGHT[name][0] == "rogue":
        return rogue.run(
            folder, CI, SEED, print, kinds=LIES[name], prepare=prepare, drain_ms=DRAIN_MS, seconds=(6.0, 10.0)
        )
    return network.run(
        folder,
        CI,
        SEED,
        print,
        drills=(STRANGERS[name],),
        prepare=prepare,
        amounts=AMOUNTS,
        drain_ms=DRAIN_MS,
    )


@pytest.mark.canary
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_fault_planted_in_a_process_is_caught_by_its_drill(tmp_path, name):
    """Each fault makes the check fail that is named for it, in a short drill; the drills themselves show that without one none does."""
    rows = asyncio.run(_drill(name, tmp_path / "site"))
    check = CAUGHT[name][1]

    assert [fault for row in rows for fault in row.failed(check)], [
        fault for row in rows for fault in row.faults
    ]


@pytest.mark.canary
def test_every_planted_fault_names_its_process_and_its_check():
    """A fault that nobody starts proves nothing."""
    assert sorted(PROCESS) == sorted(CAUGHT)
