"""The auditor's walk over the way down: every report, adoption and command is what sealed bytes say, or is named.

Rows are forged here as somebody would who has the office's own code: row digest and the sums of the tables fit. Only what devices and office
sealed speaks against them.
"""

import pytest

from office_ingest.govern.commands import give_command
from office_ingest.govern.shelf import Shelf
from office_ingest.prove.verify import verify_database
from office_ingest.storage.rows import COLUMNS, KEYS
from protocol.adoption import CONFIRMED, STAGED, TRIAL
from protocol.cbor import dumps, loads
from protocol.command import DONE, LATE, Command, seal_command
from protocol.event import ADOPTION, COMMAND
from protocol.keys import OFFICE, SITE, downlink_key
from protocol.manifest import DEVICES
from tests.office_ingest.test_takings import OLD, beat, digest_of, make_fleet, newer, publish, say
from tests.support.deciding_device import READINGS, DecidingDevice
from tests.support.device_model import DeviceModel

TABLES = ("reports", "adoptions", "commands")


@pytest.fixture
def fleet(desk):
    """Two devices, of which the first adopted a release and has three commands: answered, answered late, waiting."""
    return lived(desk, make_fleet(desk))


def lived(desk, fleet):
    """Let the first device adopt a release and answer two of three commands; all of it comes through ingest."""
    first, _ = fleet
    number = publish(desk, newer(2), (DEVICES, [first.device]))
    for step, detail in ((STAGED, 4000), (TRIAL, 2), (CONFIRMED, 0)):
        say(desk, first, ADOPTION, step, number, bytes(32), detail)
    beat(desk, first, bundle=(2, digest_of(newer(2))))
    for demand in ([2], [1, 0, 5000], [2]):
        give_command(
            desk.store, desk.keystore, first.device, demand, author="a", now_ms=desk.now_ms, lasts_ms=9999
        )
    say(desk, first, COMMAND, 1, [2], DONE, {0: 1, 3: 7})
    say(desk, first, COMMAND, 2, [1, 0, 5000], LATE, None)
    return fleet


def walk(desk, *, keys=True):
    """Return the findings."""
    return verify_database(desk.store.connection, desk.keystore if keys else None).findings


def forge(desk, table, at, **changes):
    """Change the at-th row of a table so that its digest and the table's sum fit."""
    row = rows(desk, table)[at]
    remove(desk, table, row)
    add(desk, table, {**row, **changes})


def remove(desk, table, row):
    """Delete a row so that the table's sum fits."""
    where = " AND ".join(f"{name} = ?" for name in KEYS[table])
    with desk.store.transaction():
        desk.store._delete(table, where, *(row[name] for name in KEYS[table]))


def add(desk, table, row):
    """Add a row so that its digest and the table's sum fit."""
    with desk.store.transaction():
        desk.store.put(table, *(row[name] for name in COLUMNS[table]))


def rows(desk, table):
    """Return the rows of a table as maps, in the order of their keys."""
    found = desk.rows(table, ", ".join(COLUMNS[table]), f"1 ORDER BY {', '.join(KEYS[table])}")
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in found]


def place(table, row):
    """Return what names a row in a finding."""
    keys = {
        "reports": ("device",),
        "adoptions": ("device", "epoch", "event_order"),
        "commands": ("device", "number"),
    }[table]
    return " ".join(f"{name} {row[name].hex() if name == 'device' else row[name]}" for name in keys)


def said(findings, table):
    """Return where and what of the findings about a table."""
    assert {table} == {finding.table for finding in findings}
    return [(finding.where, finding.what) for finding in findings]


@pytest.mark.parametrize("keys", [True, False])
def test_way_down_that_came_through_ingest_is_clean(desk, fleet, keys):
    """What ingest wrote is what is derived again; and it was looked at."""
    report = verify_database(desk.store.connection, desk.keystore if keys else None)
    counts = report.counts

    assert [] == report.findings
    assert (2, 3) == (counts["reports_checked"], counts["commands_checked"])
    if keys:
        assert (3, 2) == (counts["adoptions_checked"], counts["answers_checked"])
        assert 3 == counts["commands_verified"]


def other(value):
    """Return another value of the same kind."""
    return bytes([*value[:-1], value[-1] ^ 1]) if isinstance(value, bytes) else value + 1


@pytest.mark.parametrize("column", COLUMNS["adoptions"][3:])
def test_changed_adoption_is_named(desk, fleet, column):
    """Device, epoch and order say which, and the column with both values what."""
    row = rows(desk, "adoptions")[1]
    forge(desk, "adoptions", 1, **{column: other(row[column])})
    ((where, what),) = said(walk(desk), "adoptions")

    assert place("adoptions", row) == where
    assert what.startswith(f"column {column} is ")


def test_added_and_deleted_adoptions_are_named(desk, fleet):
    """A step that no sealed event says, and one that is sealed and not there."""
    row = rows(desk, "adoptions")[1]
    remove(desk, "adoptions", row)
    add(desk, "adoptions", {**row, "event_order": row["event_order"] + 100})
    told = dict(said(walk(desk), "adoptions"))

    assert 2 == len(told)
    assert "deleted?" in told[place("adoptions", row)]
    assert "added?" in told[place("adoptions", {**row, "event_order": row["event_order"] + 100})]


def test_adoption_of_a_device_that_never_sealed_one_is_named(desk, fleet):
    """Also where the office holds no segment of it at all."""
    _, second = fleet
    add(desk, "adoptions", {**rows(desk, "adoptions")[0], "device": second.device})
    ((where, what),) = said(walk(desk), "adoptions")

    assert second.device.hex() in where
    assert "added?" in what


@pytest.mark.parametrize(
    ("column", "value"),
    [("verdict", LATE), ("answer", '{"0": 2}'), ("event_order", 99), ("answered_ms", 5)],
)
def test_changed_answer_to_a_command_is_named(desk, fleet, column, value):
    """What the device answered is in its sealed event."""
    row = rows(desk, "commands")[0]
    forge(desk, "commands", 0, **{column: value})
    ((where, what),) = said(walk(desk), "commands")

    assert place("commands", row) == where
    assert what.startswith(f"column {column} is {value}")


ANSWERED = {"verdict": DONE, "answer": '{"0": 1}', "event_order": 99, "answered_ms": 5}


def test_added_answer_to_a_command_is_named(desk, fleet):
    """A command that waits was answered by nobody."""
    forge(desk, "commands", 2, **ANSWERED)
    ((where, what),) = said(walk(desk), "commands")

    assert place("commands", rows(desk, "commands")[2]) == where
    assert "added?" in what


def test_deleted_answer_and_deleted_command_are_named(desk, fleet):
    """The event that answers is still sealed."""
    forge(desk, "commands", 0, **dict.fromkeys(ANSWERED))
    remove(desk, "commands", rows(desk, "commands")[1])
    told = said(walk(desk), "commands")

    assert {place("commands", {"device": fleet[0].device, "number": n}) for n in (1, 2)} == {
        where for where, _ in told
    }
    assert any("column verdict is None, the sealed event says 0" in what for _, what in told)
    assert any("row is missing: deleted?" in what for _, what in told)


def test_deleted_command_that_nobody_answered_leaves_a_hole_in_the_numbers(desk, fleet):
    """Numbers of commands rise by one, so that one without an answer is missed too, without keys."""
    first, _ = fleet
    give_command(desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=9999)
    row = rows(desk, "commands")[2]
    remove(desk, "commands", row)
    ((where, what),) = said(walk(desk, keys=False), "commands")

    assert place("commands", row) == where
    assert "deleted?" in what


def test_numbers_that_a_restored_office_does_not_know_are_no_finding(desk, fleet):
    """The device answered number 9, which the database gave before it was restored: 4 to 8 are not known here."""
    say(desk, fleet[0], COMMAND, 9, [2], DONE, {0: 1})

    assert [] == walk(desk)


@pytest.mark.parametrize(("column", "value"), [("until_ms", 5), ("body", "[0, 1, 1]")])
def test_issued_command_whose_row_differs_from_its_sealed_bytes_is_named(desk, fleet, column, value):
    """What the office gave is in bytes that it sealed: no key is needed to compare them."""
    forge(desk, "commands", 2, **{column: value})
    ((where, what),) = said(walk(desk, keys=False), "commands")

    assert place("commands", rows(desk, "commands")[2]) == where
    assert what.startswith(f"column {column} is {value}, the sealed bytes say")


def test_issued_command_that_another_key_sealed_is_named(desk, fleet):
    """A command in whose name somebody wrote bytes of his own has no seal of this office."""
    first, second = fleet
    row = rows(desk, "commands")[2]
    raw = seal_command(
        Command(first.device, row["number"], row["until_ms"], [2]), downlink_key(second.downlink, "command")
    )
    forge(desk, "commands", 2, raw=raw)

    assert [] == walk(desk, keys=False)
    ((where, what),) = said(walk(desk), "commands")
    assert place("commands", row) == where
    assert "the seal does not hold" in what


def test_issued_command_without_its_bytes_is_named(desk, fleet):
    """A row without bytes is an answer to what nobody here gave: it has neither author nor time."""
    forge(desk, "commands", 2, raw=None)
    told = said(walk(desk, keys=False), "commands")

    assert [place("commands", rows(desk, "commands")[2])] == [where for where, _ in told]


@pytest.mark.parametrize("column", COLUMNS["reports"][1:])
def test_changed_report_is_named(desk, fleet, column):
    """A report repeats the newest heartbeat, which is there as sealed."""
    row = rows(desk, "reports")[0]
    forge(desk, "reports", 0, **{column: other(row[column])})
    ((where, what),) = said(walk(desk, keys=False), "reports")

    assert place("reports", row) == where
    assert what.startswith(f"column {column} is ")


def test_added_and_deleted_reports_are_named(desk, fleet):
    """One of a device that never spoke, and the missing one of a device that did."""
    silent = DeviceModel(3)
    desk.add(silent, name="silent")
    row = rows(desk, "reports")[0]
    remove(desk, "reports", row)
    add(desk, "reports", {**row, "device": silent.device})
    told = dict(said(walk(desk, keys=False), "reports"))

    assert "deleted?" in told[place("reports", row)]
    assert "added?" in told[place("reports", {"device": silent.device})]


def test_heartbeat_that_cannot_be_read_blames_no_report(desk, fleet):
    """What is damaged is named, and nothing beside it."""
    newest = {**rows(desk, "heartbeats")[-1], "raw": b"damaged"}
    add(desk, "heartbeats", newest)

    assert {"heartbeats"} == {finding.table for finding in walk(desk, keys=False)}


def test_what_an_erased_body_said_cannot_be_checked_and_is_not_claimed(desk, fleet):
    """Without its view key nobody reads the events again; rows of orders that may lie there are left alone, others are not."""
    first, _ = fleet
    first.period = 1
    say(desk, first, ADOPTION, STAGED, 8, bytes(32), 1)
    row = rows(desk, "adoptions")[0]
    for view_class in (SITE, OFFICE):
        desk.keystore.erase_period(first.device, view_class, 0)

    assert [] == walk(desk)
    add(desk, "adoptions", {**row, "event_order": first.order + 50})
    assert ["added?"] == [what[-6:] for _, what in said(walk(desk), "adoptions")]


def test_trial_of_a_release_brings_the_rules_of_that_release_and_no_others(desk, fleet):
    """A trial names a manifest, and the manifest its rules: another bundle of the same version does not take over by it."""
    top = loads(newer(2), 16)
    top[5][0][3] += 1
    other_rules = dumps(top)
    desk.registry.add_bundle(other_rules)
    device = DecidingDevice(5, OLD)
    desk.add(device, name="pump")
    number = publish(desk, newer(2))
    device.start()
    device.live(READINGS[:12])
    device.adopt(other_rules, number, Shelf(desk.store).get(number).digest)
    device.live(READINGS[12:24])
    desk.take(*(segment.raw for segment in device.all_segments()), heartbeats=[device.heartbeat()])
    told = said(walk(desk), "decisions")

    assert told
    assert all("no adoption event says that it takes over" in what for _, what in told)
