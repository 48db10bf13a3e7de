"""Each fault planted in the gateways' identity is caught by the test that promises to catch it."""

from types import SimpleNamespace

import pytest

from office_ingest.govern.enrolment import Refused
from office_ingest.receive.keystore import Keystore
from tests.office_ingest import test_attempts, test_authority, test_identity, test_verify_authority
from tests.office_ingest.conftest import desk
from tests.planted.identity import FAULTS
from tests.site import test_identity as test_site
from tests.site import test_renewal
from tests.support.identity_desk import IdentityDesk
from tests.tools import test_batch

# Fixture of the office's own tests, so that the very same checks run here.
__all__ = ["desk"]


def _office(test, *more):
    def run(desk, folder):
        identity = IdentityDesk(desk)
        try:
            test(identity, *more)
        finally:
            identity.close()

    return run


def _company(desk, folder):
    issuer = test_identity._issuer()
    company = IdentityDesk(desk, company=[issuer.certificate])
    company.issuer = issuer
    company.enrolment.expect("gw-3", "site-1", "A. Person")
    try:
        test_identity.test_certificate_of_the_company_makes_nobody_another_gateway(company, "gw-1")
    finally:
        company.close()


def _gateway(test):
    def run(desk, folder):
        machine = test_renewal.Machine(folder / "site")
        try:
            test(machine)
        finally:
            machine.close()

    return run


class _Unheard:
    """Stands where pytest's capsys does: what the commands say is not looked at."""

    def readouterr(self):
        return SimpleNamespace(out="", err="")


def _cut_list(desk, folder):
    """Cut the provisioning of a list after the keys of its first device are enrolled."""
    with pytest.MonkeyPatch.context() as patch:
        made = test_batch.Desk(folder, _Unheard())
        test_batch.test_cut_at_any_step_leaves_no_half_device(made, patch, Keystore, "enrol", True, 1)


CAUGHT_BY = {
    "keep_what_a_cut_left": _cut_list,
    "pass_over_a_wrong_check": lambda desk, folder: test_batch.test_wrong_character_of_a_label_is_found(),
    "take_a_code_twice": _office(test_identity.test_code_is_used_once),
    "take_a_code_for_ever": _office(test_identity.test_code_ends),
    "keep_the_code_itself": _office(test_identity.test_code_is_kept_as_a_hash_only),
    "believe_any_company_certificate": _company,
    "believe_any_signature_of_ours": _office(
        test_identity.test_certificate_that_this_office_never_issued_is_refused
    ),
    "recognise_a_connection_once": _office(test_identity.test_revocation_by_another_process_counts_at_once),
    "forget_that_certificates_end": _office(test_identity.test_expired_certificate_is_refused),
    "go_by_the_certificate_whatever_the_token_says": _office(
        test_identity.test_token_of_one_gateway_with_the_certificate_of_another_is_refused
    ),
    "keep_the_token_for_ever": _office(test_identity.test_token_stays_good_until_the_certificate_is_used),
    "forget_the_link_secrets": _office(
        test_identity.test_link_secrets_that_a_revoked_gateway_knew_are_marked
    ),
    "believe_an_older_authority": _office(test_verify_authority.check_older_copy_of_the_authority),
    "believe_an_older_authority_of_codes": _office(
        test_verify_authority.check_used_code_under_an_older_authority
    ),
    "believe_an_older_authority_of_certificates": _office(
        test_verify_authority.check_superseded_under_an_older_authority
    ),
    "believe_an_older_authority_of_itself": _office(
        test_verify_authority.check_retired_under_an_older_authority
    ),
    "see_no_older_authority": _office(test_verify_authority.check_superseded_under_an_older_authority),
    "leave_gateways_behind": _office(test_authority.test_no_gateway_is_left_behind, 1, "lagging"),
    "end_the_old_authority_at_the_switch": _office(
        test_authority.test_authority_changes_over_without_a_moment_that_refuses_anybody
    ),
    "count_no_wrong_codes": lambda desk, folder: (
        test_attempts.test_an_address_has_a_few_tries_and_then_waits()
    ),
    "check_no_pin": lambda desk, folder: test_site.check_code_stays_with_its_office(folder),
    "drop_the_old_key_first": _gateway(test_renewal.test_old_identity_stays_until_the_new_one_was_accepted),
    "renew_never": _gateway(test_renewal.test_old_identity_stays_until_the_new_one_was_accepted),
}


def test_every_planted_fault_of_identity_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_identity_is_caught(name, desk, tmp_path, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    # Failed: pytest.raises found nothing raised. Refused: somebody honest is turned away.
    with pytest.raises((AssertionError, pytest.fail.Exception, Refused)):
        CAUGHT_BY[name](desk, tmp_path)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_identity_passes_without_the_fault(name, desk, tmp_path):
    """The same test passes on the code as it is."""
    CAUGHT_BY[name](desk, tmp_path)
