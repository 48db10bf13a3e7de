"""Sites: made by a person before anything is there, once, under a name that people can read."""

import pytest

from protocol.diagnostic import OK, USAGE


def test_site_is_made_once_and_listed(field):
    """Beside those that devices are of; a second one of the name is refused."""
    before = field.ask("site", "list")[1]["sites"]
    made = field.ask("site", "create", "north", "--author", "A. Person")
    refused = field.refused("site", "create", "north")

    assert (OK, "north") == (made[0], made[1]["site"])
    assert (USAGE, "provision-name-taken") == refused[:2]
    assert sorted([*before, "north"]) == field.ask("site", "list")[1]["sites"]
    assert before
    assert (USAGE, "provision-name-taken") == field.refused("site", "create", before[0])[:2]


@pytest.mark.parametrize("name", ["", " north", "north\n", "n" * 65])
def test_site_without_a_readable_name_is_not_made(field, name):
    """Spaces at an end, control characters, nothing, or more than 64 characters."""
    before = field.ask("site", "list")[1]["sites"]

    assert (USAGE, "provision-name") == field.refused("site", "create", name)[:2]
    assert before == field.ask("site", "list")[1]["sites"]


def test_gateway_is_invited_to_known_sites_alone(field):
    """A name written wrongly does not become a second site."""
    code, kind, said, _ = field.refused("office", "gateway", "invite", "gw-9", "--site", "nroth")

    assert (USAGE, "office-no-site") == (code, kind)
    assert "'nroth'" in said
    assert "nroth" not in field.ask("site", "list")[1]["sites"]
