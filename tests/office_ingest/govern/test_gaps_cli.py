"""The commands over what is missing: what they show, ask and accept, and what they refuse."""

import io
import re
import time

import pytest

from office_ingest.prove.verify import verify_database
from protocol.diagnostic import FINDING, OK, USAGE
from tests.office_ingest.test_gaps_accepted import lose

ACCEPT = ("office", "gaps", "accept", "first", "--author", "A. Author")


@pytest.fixture
def lost(field):
    """The first device lost three segments that the office does not hold; a fourth may still come."""
    lose(field.desk, field.first)
    return field


def _still_there(lost):
    return lost.first.lanes[1].segments[6].raw


def _answer(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_list_shows_what_is_missing_and_what_is_pruned(lost):
    """Each gap with its state, since when; as JSON also whom the office asks. Exit code 1 while one is open."""
    code, out, _ = lost.run("office", "gaps", "list")
    as_json = lost.ask("office", "gaps", "list")[1]

    assert FINDING == code
    assert ["open, pruned  first routine epoch 0: 3 to 5", "open          first routine epoch 0: 6 to 6"] == [
        line.partition(", since")[0] for line in out.splitlines()
    ]
    assert ("outstation.office-gaps", 1) == (as_json["schema"], as_json["version"])
    assert {
        "device": lost.first.device.hex(),
        "name": "first",
        "lane": "routine",
        "epoch": 0,
        "state": "open",
        "start": 3,
        "stop": 6,
        "pruned": True,
        "author": None,
        "gateway": "gw-1",
    } == {name: value for name, value in as_json["gaps"][0].items() if not name.endswith("_ms")}


def test_list_of_an_office_that_holds_everything_is_empty(field):
    """Nothing to show is said, and ends with 0."""
    assert (OK, "no gaps\n") == field.run("office", "gaps", "list")[:2]


def test_accept_says_what_never_comes_and_asks(lost, monkeypatch):
    """No is no; yes accepts what was shown, and the running office receipts above it with its next answer."""
    _answer(monkeypatch, "n\n")
    code, out, told = lost.run(*ACCEPT)
    assert (FINDING, "nothing was accepted\n", []) == (code, out, lost.desk.rows("accepted_gaps"))
    assert "  routine epoch 0 numbers 3 to 5: 3 segments\n" in told
    assert "Gateway gw-1 was asked for them" in told

    _answer(monkeypatch, "y\n")
    code, out, _ = lost.run(*ACCEPT)
    assert (OK, "accepted: 3 segments of first stay missing, by A. Author\n") == (code, out)
    assert 7 == lost.desk.receipts(lost.desk.take(_still_there(lost)))[1, 0]
    assert [] == verify_database(lost.desk.store.connection, lost.desk.keystore).findings


def test_accept_as_json_says_what_and_who(lost):
    """With --yes nobody is asked; the list names who accepted, and ends with 0 once nothing is open."""
    code, document = lost.ask(*ACCEPT, "--yes", "--lane", "routine", "--epoch", 0)
    lost.desk.take(_still_there(lost))
    listed = lost.ask("office", "gaps", "list")

    assert (OK, "outstation.office-gaps-accepted", 1) == (code, document["schema"], document["version"])
    gap = {"device": lost.first.device.hex(), "lane": "routine", "epoch": 0, "start": 3, "stop": 6}
    assert ("A. Author", [gap]) == (document["author"], document["accepted"])
    assert (OK, [("accepted", "A. Author")]) == (
        listed[0],
        [(row["state"], row["author"]) for row in listed[1]["gaps"]],
    )


@pytest.mark.parametrize(
    ("device", "which"), [("first", ("--lane", "critical")), ("first", ("--epoch", 1)), ("second", ())]
)
def test_accept_where_nothing_is_missing_is_refused(lost, device, which):
    """The lane, epoch or device has no gap: said so, and nothing changes."""
    words = ("office", "gaps", "accept", device, "--author", "A. Author", "--yes", *which)
    code, name, said, fix = lost.refused(*words)

    assert (USAGE, "office-no-pruned-gap", []) == (code, name, lost.desk.rows("accepted_gaps"))
    assert "nothing of it is missing" in said
    assert "outstation office gaps list" in fix


def test_accept_of_what_the_device_still_has_is_refused(field):
    """Open and not pruned: it may come, and the message says when its gateway was asked."""
    began_s = time.time()
    lose(field.desk, field.first, kept_from=0)
    code, name, said, _ = field.refused(*ACCEPT, "--yes")

    assert (USAGE, "office-no-pruned-gap", []) == (code, name, field.desk.rows("accepted_gaps"))
    asked = re.search(r"gateway gw-1 was asked (\d+) s ago", said)
    assert "4 segments, the device does not say that it has them no longer; " + asked[0] in said
    # It was asked since this test began, however long ago that is on a busy machine.
    assert int(asked[1]) <= time.time() - began_s


def test_accept_needs_an_author_and_a_device_that_is_there(lost):
    """Who says so is on record for ever, so nobody is taken for granted."""
    assert (USAGE, "usage-missing") == lost.refused("office", "gaps", "accept", "first", "--yes")[:2]
    words = ("office", "gaps", "accept", "nobody", "--author", "A. Author", "--yes")
    assert (USAGE, "office-no-such-device") == lost.refused(*words)[:2]
