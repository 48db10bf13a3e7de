"""Each fault planted in replacing a release root is caught by the test that promises to catch it."""

from functools import partial

import pytest

from agent.keystore import KeyFault
from tests.agent import test_roots as device
from tests.canary.catch import of_a_device, of_cuts
from tests.gateway import test_roots as gateway
from tests.gateway.conftest import certificates, files, site
from tests.office_ingest import test_roots as office
from tests.office_ingest import test_verify_released as audit
from tests.office_ingest.test_roots import roots
from tests.planted.roots import CUTS, DEVICE, GATEWAY, OFFICE

# Fixtures of the very tests, so that they run here as they run there.
__all__ = ["certificates", "files", "roots", "site"]


def _beside(roots):
    return roots.folders[0].parent


def _with_one_key(roots):
    folder = _beside(roots) / "one"
    folder.mkdir()
    return office.Roots(folder, ["release"])


DEVICE_CAUGHT_BY = {
    "believe_any_signature": partial(
        device.test_replacement_that_is_not_to_be_is_refused_by_name, "forged successor"
    ),
    "take_any_predecessor": partial(
        device.test_replacement_that_is_not_to_be_is_refused_by_name, "wrong predecessor"
    ),
    "take_what_the_gateway_gives": partial(
        device.test_body_that_a_gateway_gives_instead_changes_nothing, "another body"
    ),
    "keep_the_old_one_too": device.test_release_under_the_new_root_is_adopted_and_one_under_the_old_alone_is_refused,
    "go_on_with_what_was_staged": device.test_release_that_waits_for_its_moment_is_checked_again_after_the_change,
    "say_nothing": device.test_device_takes_a_successor_says_so_and_keeps_it_over_a_restart,
    "leave_roots_behind_in_a_move": device.test_root_stays_replaced_when_all_keys_become_others,
}
OFFICE_CAUGHT_BY = {
    "retire_anyway": office.check_replaced_and_retired,
    "give_the_old_root_to_newcomers": office.check_replaced_and_retired,
    "give_successors_to_newcomers": lambda roots: office.check_one_key(_with_one_key(roots)),
    "give_a_device_whatever_there_is": lambda roots: office.check_no_fifth_root(roots, _beside(roots)),
    "count_no_leaf_of_a_replacement": office.check_recovered,
    "wait_for_ever": office.check_withheld,
    "believe_signatures": partial(audit.check_named, change="root deleted"),
    "believe_replacements": partial(audit.check_named, change="who is replaced"),
    "forget_leaves": audit.check_leaf_used_twice,
    "miss_what_was_ordered": partial(audit.check_named, change="replacement deleted"),
    "look_at_parts_only_where_they_lie": partial(audit.check_named, change="part deleted"),
}
GATEWAY_CAUGHT_BY = {
    "keep_any_bytes": gateway.check_lie_is_not_kept,
    "hand_it_to_anybody": gateway.check_nobody_else_gets_it,
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(DEVICE) == sorted(DEVICE_CAUGHT_BY)
    assert sorted(OFFICE) == sorted(OFFICE_CAUGHT_BY)
    assert sorted(GATEWAY) == sorted(GATEWAY_CAUGHT_BY)


test_fault_planted_in_the_device_is_caught = of_a_device(DEVICE, DEVICE_CAUGHT_BY)


test_fault_that_only_a_cut_shows_is_caught = of_cuts(CUTS, "rotating_again", (AssertionError, KeyFault))


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(OFFICE))
def test_fault_planted_in_the_office_is_caught(name, roots, monkeypatch):
    """The office's test fails against the broken office."""
    OFFICE[name](monkeypatch.setattr)
    # ValueError: not the one finding that the test unpacks.
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        OFFICE_CAUGHT_BY[name](roots)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(GATEWAY))
def test_fault_planted_in_the_gateway_is_caught(name, site, monkeypatch):
    """The gateway's test fails against the broken gateway."""
    GATEWAY[name](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        GATEWAY_CAUGHT_BY[name](site)
