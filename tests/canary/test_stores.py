"""Each planted fault of the stores and of their repair is caught by the test that guards its promise."""

import pytest

from tests.planted.stores import FAULTS, planted
from tests.stores import test_bit_rot, vfs
from tests.stores.conftest import memory
from tests.stores.rot import check_gateway_rot, check_office_rot
from tests.stores.runs import check_faults, check_gateway_cuts, check_office_cuts

pytestmark = pytest.mark.skipif(bool(vfs.why_not()), reason=vfs.why_not() or "-")

# Fixtures of the stores' own tests, so that the very same checks run here.
__all__ = ["memory"]


# Flipped bits: what shows with few needs no more, which take their time; three faults show only where rows of a kind are hit.
FEW, MANY = 80, 200


def gateway_cuts(folder):
    check_gateway_cuts(folder, rounds=4, every=3)


def office_cuts(folder):
    check_office_cuts(folder, rounds=2, every=8)


def gateway_rot(folder, flips=FEW):
    check_gateway_rot(folder, flips=flips)


def office_rot(folder, flips=FEW):
    check_office_rot(folder, flips=flips)


def much_gateway_rot(folder):
    gateway_rot(folder, MANY)


def much_office_rot(folder):
    # Twice as many: its database has many pages of tables that are checked otherwise.
    office_rot(folder, 2 * MANY)


# Name of the fault -> what the test says when it catches it, and the test.
CAUGHT_BY = {
    "gateway_synchronous_normal": ("cuts lost what was acknowledged", gateway_cuts),
    "gateway_synchronous_off": ("cuts lost what was acknowledged", gateway_cuts),
    "gateway_acknowledges_before_commit": ("cuts lost what was acknowledged", gateway_cuts),
    "gateway_acknowledges_what_did_not_fit": (
        "lost",
        lambda folder: check_faults(folder, "gateway", "no space", step=7),
    ),
    "gateway_believes_any_journal_mode": (
        "lost",
        lambda folder: check_faults(folder, "gateway", "sync error", rounds=4, step=5),
    ),
    "office_synchronous_normal": ("cuts lost what was acknowledged", office_cuts),
    "office_receipts_before_commit": ("cuts lost what was acknowledged", office_cuts),
    "keystore_synchronous_full": ("cuts lost what was acknowledged", office_cuts),
    "gateway_start_checks_nothing": (f"of {FEW} flips", gateway_rot),
    "gateway_scrub_skips": ("nobody noticed", gateway_rot),
    "gateway_scrub_tells_nobody": ("assert", test_bit_rot.check_scrub),
    "gateway_believes_any_sequence": ("assert", test_bit_rot.check_session),
    "office_look_skips_bytes": ("nobody noticed", office_rot),
    "gateway_repair_deletes_what_others_vouch_for": ("rows that verify are gone", much_gateway_rot),
    "gateway_repair_keeps_anything": ("assert", lambda folder: test_bit_rot.check_cut_repair(folder, "made")),
    "gateway_repair_stops_at_the_first_bad_page": ("rows that verify are gone", gateway_rot),
    "gateway_repair_leaves_the_old_log": (
        "the repaired store cannot be opened",
        test_bit_rot.check_log_is_carried_over,
    ),
    "gateway_repair_throws_the_damaged_file_away": ("the damaged file was not kept", gateway_rot),
    "gateway_repair_is_not_carried_on": (
        "assert",
        lambda folder: test_bit_rot.check_cut_repair(folder, "log gone"),
    ),
    "office_repair_deletes_what_is_sealed": ("rows that verify are gone", much_office_rot),
    "office_repair_opens_no_gap": ("after healing", much_office_rot),
    "office_replacement_stops_at_the_first_bad_page": ("assert", test_bit_rot.check_unreadable_page),
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught(name, memory):
    """The test of the broken promise fails when the promise is broken."""
    says, check = CAUGHT_BY[name]
    with planted(name), pytest.raises(AssertionError) as caught:
        check(memory)
    assert says == "assert" or says in str(caught.value)
