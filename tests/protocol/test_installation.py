"""Services refuse to start where another distribution wrote into our packages."""

import pytest

from protocol.diagnostic import NOT_ALLOWED, DiagnosticError
from protocol.installation import PACKAGES, check_installation


def test_this_environment_is_ours_alone():
    """The environment that runs the tests passes the check."""
    check_installation()


def test_intruders_are_named_package_by_package():
    """Each package with a second owner is named with that owner."""
    owners = {name: ["outstation"] for name in PACKAGES} | {
        "rules": ["outstation", "rules"],
        "protocol": ["proto-x"],
    }

    with pytest.raises(DiagnosticError) as caught:
        check_installation(owners)

    assert caught.value.exit_code == NOT_ALLOWED
    assert [d.message.split(",")[0] for d in caught.value.diagnostics] == [
        "the package protocol is also written by proto-x",
        "the package rules is also written by rules",
    ]


def test_checkout_that_was_never_installed_passes():
    """A path import has no distribution, and no intruder."""
    check_installation({"click": ["click"]})
