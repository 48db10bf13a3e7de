"""What landed goes on working with what is here: devices of a landed commit under today's hosts, and the reverse.

Both are kept beside this file as zips, so that no checkout of git is needed. A fleet is never updated in one moment: for weeks a site has
an older agent under a newer gateway, or a newer one under an office that nobody has touched.
"""

import pytest

from office_ingest.storage.sqlite import SqliteStore
from tests.compat.sides import command_words, image_words, kept, live, proved, unpack, unpack_device, verify
from tools.device_types import ROOT


def _judge(site):
    """What was lived through is all there, verified and repeated by today's code."""
    figures = proved(site)
    code, said = verify(site)

    assert code == 0, said
    assert (figures["lost"], figures["duplicated"]) == (0, 0)
    assert figures["decisions_replayed_equal"] == figures["decisions"] > 0
    assert figures["run_replay_coverage"] == 1.0
    assert (site.lived["confirmed"], site.lived["waited"] > 0) == (2, True)


@pytest.mark.parametrize("commit", kept("device"))
def test_landed_device_lives_under_todays_gateway_and_office(tmp_path, commit):
    """Samples, decisions, an outage, a release and a command of the day; nothing lost, each decision again the same."""
    device = unpack_device(commit, tmp_path / "landed")

    site = live(tmp_path / "site", ROOT, image_words(device))

    _judge(site)


@pytest.mark.parametrize("commit", kept("hosts"))
def test_todays_device_lives_under_a_landed_gateway_and_office(tmp_path, commit):
    """The same with an office and a gateway that nobody has updated; then today's office takes their database over."""
    hosts = unpack(commit, tmp_path / "landed")

    site = live(tmp_path / "site", hosts, command_words(ROOT))

    assert site.lived["hosts"].startswith(str(hosts))
    SqliteStore.open(site.office_folder / "office.db").close()
    _judge(site)


@pytest.mark.parametrize("commit", kept("device"))
def test_landed_device_is_updated_on_its_flash(tmp_path, commit):
    """Today's agent goes on with the cell, keys, journal, release and epoch that a landed one left, and nothing of it is lost."""
    device = unpack_device(commit, tmp_path / "landed")

    site = live(tmp_path / "site", ROOT, image_words(device), later=command_words(ROOT))

    _judge(site)
    assert site.lived["segments_after_update"] > 0
