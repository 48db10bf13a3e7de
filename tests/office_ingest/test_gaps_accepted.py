"""What a restored backup cost and a person accepted: receipts go on above it, and it stays missing for everybody to see."""

import pytest

from office_ingest.prove.verify import verify_database
from office_ingest.receive.acceptance import Gap, acceptable
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.lanes import Lanes
from office_ingest.storage.replacement import replace_damaged
from protocol.keys import CRITICAL, ROUTINE
from protocol.messages import parse_receipt
from protocol.uplink import STORED
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk


@pytest.fixture
def device(desk):
    """A registered device."""
    made = DeviceModel()
    desk.add(made)
    return made


def lose(desk, device, *, numbers=8, kept_from=6, held=range(3), lane=ROUTINE):
    """Let the office hold the first numbers and the last, and the device have none below kept_from; return all that it sealed."""
    raws = [device.seal(lane) for _ in range(numbers)]
    device.lanes[lane].kept_from = kept_from
    desk.take(*(raws[number] for number in held), raws[-1], heartbeats=[device.heartbeat()])
    return raws


def accept(desk, device, **which):
    """Accept what may be, as the command does: in another process, beside the office that runs."""
    shown = acceptable(Lanes(desk.store), device.device, **which)
    return Ingest(desk.store, desk.keystore, wall_ms=desk.wall_ms).accept(shown, "A. Author")


def wrong(desk):
    """Return what the auditor finds."""
    return [str(finding) for finding in verify_database(desk.store.connection, desk.keystore).findings]


def gaps(desk):
    """Return (state, start, stop) of every gap."""
    return sorted(desk.rows("gaps", "state, start, stop"))


def test_only_what_the_device_has_no_longer_can_be_accepted(desk, device):
    """Numbers from kept_from on may still come from it; they stay open, and no receipt reaches them."""
    raws = lose(desk, device, kept_from=5)

    assert [Gap(device.device, ROUTINE, 0, 3, 5)] == accept(desk, device)
    assert [("accepted", 3, 5), ("open", 5, 7)] == gaps(desk)
    answer = desk.take(raws[5])
    assert ({(1, 0): 5}, [(device.device, 1, 0, 6, 7)]) == (desk.receipts(answer), answer.wants)
    assert [] == wrong(desk)


def test_what_was_shown_and_is_no_longer_pruned_is_not_accepted(desk, device):
    """Between the question and the answer a segment came: only the rest is accepted."""
    raws = lose(desk, device)
    shown = acceptable(Lanes(desk.store), device.device)
    desk.take(raws[4])
    accepted = desk.ingest.accept([*shown, Gap(device.device, ROUTINE, 0, 6, 99)], "A. Author")

    assert [(3, 4), (5, 6)] == [gap[3:] for gap in accepted]
    assert [] == wrong(desk)


def test_receipts_go_on_above_what_was_accepted(desk, device):
    """The running office, which had the lane in memory, takes the acceptance up with its next request; so does one that starts anew."""
    raws = lose(desk, device)
    before = desk.receipts(desk.take(raws[0]))
    accept(desk, device)
    after = desk.receipts(desk.take(raws[6]))
    desk.start()
    last = desk.receipts(desk.take(device.seal(ROUTINE)))

    assert [{(1, 0): 2}, {(1, 0): 7}, {(1, 0): 8}] == [before, after, last]
    assert [] == wrong(desk)


def test_receipt_over_an_accepted_gap_names_what_is_held_at_its_number(desk, device):
    """A device compares digest and number with its own: they are those of a segment that it sealed."""
    raws = lose(desk, device, kept_from=7)
    accept(desk, device)
    (raw,) = desk.take(raws[0]).receipts

    assert device.lanes[ROUTINE].segments[7].digest == parse_receipt(raw).fields.digest
    assert 7 == parse_receipt(raw).fields.number


def test_accepted_gap_is_wanted_no_more_and_stays_a_gap(desk, device):
    """Nothing is said to be held, the auditor agrees, and says how much is missing so."""
    raws = lose(desk, device)
    wanted = desk.take(raws[0]).wants
    accept(desk, device)
    answer = desk.take(raws[6])

    assert ([(device.device, 1, 0, 3, 7)], []) == (wanted, answer.wants)
    assert [("accepted", 3, 6), ("filled", 6, 7)] == gaps(desk)
    report = verify_database(desk.store.connection, desk.keystore)
    assert ([], 3) == (report.findings, report.counts["segments_missing_accepted"])


def test_segment_of_an_accepted_gap_that_comes_all_the_same_is_stored(desk, device):
    """It was in a gateway that nobody thought of: it is held as any other, and the gap is smaller."""
    raws = lose(desk, device)
    accept(desk, device)
    answer = desk.take(raws[4])

    assert [STORED] == answer.outcomes
    assert [("accepted", 3, 4), ("accepted", 5, 6), ("filled", 4, 5), ("open", 6, 7)] == gaps(desk)
    assert [(4,)] == desk.rows("segments", "number", "number = 4")
    assert [] == wrong(desk)


def test_lane_and_epoch_choose(desk, device):
    """What is not named stays as it is."""
    lose(desk, device, lane=CRITICAL)
    lose(desk, device, lane=ROUTINE)
    accept(desk, device, epoch=1)
    assert ["open"] * 4 == [state for state, _, _ in gaps(desk)]
    accept(desk, device, lane=ROUTINE, epoch=0)

    assert [(0, "open"), (0, "open"), (1, "accepted"), (1, "open")] == sorted(
        desk.rows("gaps", "lane, state")
    )


def test_receipt_that_no_acceptance_allows_is_found(desk, device):
    """Who deletes the acceptance has a receipt that covers what is neither held nor excused."""
    raws = lose(desk, device)
    accept(desk, device)
    desk.take(raws[6])
    desk.store.connection.execute("DELETE FROM accepted_gaps")

    assert any("covers number 3, which is neither held" in text for text in wrong(desk))


def test_acceptance_that_its_disk_changed_excuses_nothing_more(desk, device):
    """A flipped bit could let receipts pass over what nobody gave up."""
    lose(desk, device, kept_from=4)
    accept(desk, device)
    desk.store.connection.execute("UPDATE accepted_gaps SET stop = 7")
    desk.start()
    answer = desk.take(device.seal(ROUTINE))

    assert {(1, 0): 2} == desk.receipts(answer)
    assert any("row_digest" in text for text in wrong(desk))


def test_repaired_file_knows_what_was_accepted(desk, device):
    """It is carried over into the new file, and receipts go on above it."""
    raws = lose(desk, device)
    accept(desk, device)
    desk.close()
    replace_damaged(desk.folder / "office.db", desk.now_ms)
    again = OfficeDesk(desk.folder, is_there=True)
    try:
        assert {(1, 0): 7} == again.receipts(again.take(raws[6]))
        assert ([], [("A. Author",)]) == (wrong(again), again.rows("accepted_gaps", "author"))
    finally:
        again.close()
