"""Real processes with encrypted stores: nothing is lost or doubled over a kill, an auditor reads the copies, and a copied disk tells nothing."""

import json

import pytest

from tests.site.encrypted import STORES, encrypted_site_of
from tests.site.harness import proved
from tests.support.encrypted import is_plain


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return encrypted_site_of(tmp_path_factory.mktemp("encrypted"))


def test_events_are_lost_or_doubled_by_no_kill(site):
    """A device's events come to the office through a gateway that was killed, each of them once."""
    proved(site.site)


def test_auditor_verifies_copies_with_the_passphrase_alone(site):
    """The three databases, on another disk, without what lay beside them."""
    words = [site.copies / name for name in STORES]
    said = site.place.run(
        *("verify", words[0], "--keystore", words[1], "--authority", words[2]),
        *("--passphrase-file", site.media / "office", "--json"),
    )

    assert json.loads(said)["findings"] == []
    assert [] == list(site.copies.glob("*.cipher*"))


def test_backup_of_the_running_office_verifies_with_the_passphrase_alone(site):
    """Taken by one command while a device speaks; nothing of it is in plain, and nothing lies beside it."""
    words = [site.backup / name for name in STORES]
    said = site.place.run(
        *("verify", words[0], "--keystore", words[1], "--authority", words[2]),
        *("--passphrase-file", site.media / "office", "--json"),
    )

    assert json.loads(said)["findings"] == []
    assert sorted(STORES) == sorted(path.name for path in site.backup.iterdir())
    assert [False] * 3 == [is_plain(path) for path in words]


@pytest.mark.proves("S30")
def test_copied_disk_tells_nothing(site):
    """Databases, their logs and shared memory, while the processes ran, after the kill and at the end; and what was logged and said."""
    assert [] == sorted(set(map(str, site.found)))
    assert [] == [name for name, path in site.databases().items() if is_plain(path)]
    assert all(path.exists() for path in site.beside())


def test_what_is_searched_for_was_there_in_plain(site):
    """Before it was encrypted the office held the names and secrets that are searched for, and the search found them."""
    assert {"site", "device", "downlink key", "link secret", "authority's key"} <= site.was_in_plain
    assert {".db", ".db-wal", ".db-shm", ".cipher"} <= site.logs_seen
