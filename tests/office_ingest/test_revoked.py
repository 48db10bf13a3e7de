"""A device that a person called revoked: nothing new of it is taken, nothing is said to it, and what is held stays as good as it was."""

import pytest

from office_ingest.prove.verify import verify_database
from office_ingest.storage.replacement import replace_damaged
from office_ingest.watch.silence import SilenceWatch, record_silence
from protocol.errors import REVOKED
from protocol.keys import CRITICAL, ROUTINE
from protocol.uplink import DUPLICATE, QUARANTINED, STORED
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk


@pytest.fixture
def device(desk):
    """A registered device of which the office holds three segments of each lane, and one heartbeat."""
    made = DeviceModel()
    desk.add(made)
    raws = [made.seal(lane) for lane in (CRITICAL, ROUTINE) for _ in range(3)]
    desk.take(*raws, heartbeats=[made.heartbeat()])
    made.sent = raws
    return made


def revoke(desk, device):
    """Revoke it as the command does: in another process, beside the office that runs."""
    with desk.store.transaction():
        desk.store.revoke_device(device.device, "A. Author", "stolen", desk.wall_ms())


def wrong(desk):
    """Return what the auditor finds."""
    return [str(finding) for finding in verify_database(desk.store.connection, desk.keystore).findings]


def test_nothing_new_of_a_revoked_device_is_taken(desk, device):
    """What it seals from now on is no evidence of anything: it lies in quarantine, under its own code."""
    before = desk.contents()
    revoke(desk, device)
    answer = desk.take(device.seal(CRITICAL), device.seal(ROUTINE), heartbeats=[device.heartbeat()])
    after = desk.contents()

    assert [QUARANTINED + REVOKED] * 2 == answer.outcomes
    assert [QUARANTINED + REVOKED] == answer.heartbeat_outcomes
    assert {**before, "quarantine": None} == {**after, "quarantine": None}
    assert [(REVOKED,)] * 3 == desk.rows("quarantine", "code")


def test_nothing_is_said_to_a_revoked_device(desk, device):
    """No receipt, no time, no want, no release: a gateway gets nothing to hand it."""
    device.seal(ROUTINE)
    lost = [device.seal(ROUTINE) for _ in range(2)][-1]
    revoke(desk, device)
    answer = desk.take(lost, heartbeats=[device.heartbeat()])

    said = (answer.receipts, answer.time_tokens, answer.wants, answer.releases, answer.commands)
    assert ([], [], [], [], []) == said


def test_gateways_of_its_site_are_told_with_every_answer(desk, device):
    """Whatever they ask; those of another site are not."""
    desk.registry.add_gateway("gw-2", name="gw-2", site="site-2", token="token of another site", now_ms=1)
    revoke(desk, device)

    assert [device.device] == desk.take().revoked
    assert [device.device] == desk.take(device.seal(ROUTINE)).revoked
    assert [] == desk.ingest.take("gw-2", [], []).revoked


def test_past_of_a_revoked_device_stays_as_good_as_it_was(desk, device):
    """Its segments verify, replay and count as before; a gateway that brings one of them again learns that it is held."""
    revoke(desk, device)
    answer = desk.take(*device.sent)

    assert [DUPLICATE] * len(device.sent) == answer.outcomes
    assert {(CRITICAL, 0): 2, (ROUTINE, 0): 2} == desk.receipts(answer)
    assert [] == wrong(desk)


def test_other_devices_go_on(desk, device):
    """Whoever stands beside it in a request is taken."""
    other = DeviceModel(2)
    desk.add(other, name="other")
    revoke(desk, device)
    answer = desk.take(device.seal(ROUTINE), other.seal(ROUTINE), heartbeats=[other.heartbeat()])

    assert [QUARANTINED + REVOKED, STORED] == answer.outcomes
    assert 1 == len(answer.time_tokens)


def test_revoked_stays_revoked_over_restart_and_repair(desk, device, tmp_path):
    """Neither a restart nor a file made anew from what was whole takes it back."""
    revoke(desk, device)
    desk.close()
    replace_damaged(tmp_path / "office.db", 1)
    again = OfficeDesk(tmp_path, is_there=True)
    try:
        assert [QUARANTINED + REVOKED] == again.take(device.seal(ROUTINE)).outcomes
        assert [] == wrong(again)
    finally:
        again.close()
        desk.start = lambda: None


def test_row_that_was_taken_out_is_found(desk, device):
    """Whoever deletes it from the file is seen by the auditor."""
    revoke(desk, device)
    desk.store.connection.execute("DELETE FROM revoked")

    assert any("revoked" in finding for finding in wrong(desk))


def test_nobody_waits_for_a_revoked_device(desk, device):
    """It falls silent, and that is no finding; one that was open ends."""
    now = [0.0]
    watch = SilenceWatch(interval_s=1.0, grace_s=0.0, monotonic=lambda: now[0])
    record_silence(watch, desk.store, 1)
    now[0] = 10.0
    record_silence(watch, desk.store, 2)
    silent = desk.findings()
    revoke(desk, device)
    record_silence(watch, desk.store, 3)

    assert ([("silence", "")], []) == (silent, desk.findings())
