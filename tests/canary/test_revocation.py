"""Each fault planted in revoking a device is caught by the test that promises to catch it."""

import pytest

from gateway.sessions import Challenged
from tests.gateway import test_sessions as sessions
from tests.gateway import test_uplink as uplink
from tests.gateway.test_sessions import bench
from tests.office_ingest import test_revoked as revoked
from tests.office_ingest.conftest import desk
from tests.office_ingest.test_revoked import device
from tests.planted.revocation import GATEWAY, OFFICE, UPLINK

# Fixtures of the very tests, so that they run here as they run there.
__all__ = ["bench", "desk", "device"]

CAUGHT_BY = {
    "take_from_the_revoked": revoked.test_nothing_new_of_a_revoked_device_is_taken,
    "tell_no_gateway": revoked.test_gateways_of_its_site_are_told_with_every_answer,
    "tell_every_site": revoked.test_gateways_of_its_site_are_told_with_every_answer,
    "disown_the_past": revoked.test_past_of_a_revoked_device_stays_as_good_as_it_was,
    "lose_revocations_in_a_repair": revoked.test_revoked_stays_revoked_over_restart_and_repair,
}


def test_every_planted_fault_of_the_office_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(OFFICE) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(OFFICE))
def test_fault_planted_in_the_office_is_caught(name, desk, device, tmp_path, monkeypatch):
    """The office's test fails against the broken office."""
    OFFICE[name](monkeypatch.setattr)
    test = CAUGHT_BY[name]
    more = (tmp_path,) if "tmp_path" in test.__code__.co_varnames[: test.__code__.co_argcount] else ()
    with pytest.raises(AssertionError):
        test(desk, device, *more)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(GATEWAY))
def test_fault_planted_in_the_gateways_sessions_is_caught(name, bench, monkeypatch):
    """The gateway's test fails against the gateway that goes on serving."""
    GATEWAY[name](monkeypatch.setattr)
    with pytest.raises((AssertionError, pytest.fail.Exception, Challenged)):
        sessions.check_revoked_device_is_not_served(bench)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(UPLINK))
def test_fault_planted_in_the_gateways_uplink_is_caught(name, tmp_path, monkeypatch):
    """What is not on the disk when an answer counts as carried out is missed."""
    UPLINK[name](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        uplink.test_revoked_devices_of_an_answer_are_kept_before_it_counts(tmp_path)
