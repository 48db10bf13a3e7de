"""The same records under the same cuts on our journal, on littlefs and on naive storage."""

import pytest

from tests.cuts.peers import LITTLEFS, NAIVE, ours, peer

RECORDS = 24


@pytest.mark.parametrize("per_segment", [1, 6])
def test_journal_loses_no_acknowledged_record_at_any_cut(per_segment):
    """Sealed each or six at once, with the ring turning and receipts coming."""
    result = ours(2 * RECORDS, per_segment)

    assert result["cuts"] > 40
    assert (result["cuts_that_lost"], result["unreadable"]) == (0, 0)


@pytest.mark.parametrize("variant", LITTLEFS)
def test_littlefs_that_is_flushed_loses_no_acknowledged_record(variant):
    """The comparison is with a filesystem that is used as it should be, and keeps its promise."""
    result = peer(variant, RECORDS)

    assert result["cuts"] > 40
    assert (result["cuts_that_lost"], result["unreadable"]) == (0, 0)


@pytest.mark.parametrize("variant", NAIVE)
def test_naive_storage_loses_acknowledged_records(variant):
    """The cuts that find nothing in our journal find what is wrong where it is wrong."""
    result = peer(variant, RECORDS)

    assert result["cuts_that_lost"] > result["cuts"] // 2
    assert result["lost_worst"] >= RECORDS - 1


def test_journal_writes_less_and_erases_less_than_littlefs():
    """For the same records, acknowledged one by one and six at a time."""
    for per_segment, variant in ((1, LITTLEFS[0]), (6, LITTLEFS[1])):
        mine, theirs = ours(4 * RECORDS, per_segment), peer(variant, 4 * RECORDS)
        assert mine["bytes_per_payload_byte"] < theirs["bytes_per_payload_byte"]
        assert mine["erases_per_record"] < theirs["erases_per_record"]
