"""The commands of the office and of the auditor: what they print, and with which exit code they end."""

import json
import sqlite3

import pytest

from office_ingest.device_table import device_lines
from office_ingest.founding import found_office
from office_ingest.overview import devices_overview
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.storage import sqlite
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, DAMAGED, REASON_NAMES, ROLLED_BACK, STAGED, TRIAL
from protocol.diagnostic import FINDING, NOT_ALLOWED, OK, TRY_AGAIN, USAGE
from protocol.event import ADOPTION
from protocol.manifest import DEVICES
from tests.office_ingest.test_takings import OLD_DIGEST, beat, digest_of, make_fleet, newer, publish, say
from tests.support.deciding_device import BUNDLE, READINGS, DecidingDevice
from tests.support.office_desk import OfficeDesk
from tests.support.older_office import make_older
from tools.cli import run

NOW_MS = 1_700_000_000_000


@pytest.fixture
def office(tmp_path):
    """The settings of an office that holds a device's decisions."""
    settings = found_office(tmp_path / "office", now_ms=NOW_MS, port=0)
    store, keystore = (
        SqliteStore.open(settings.parent / "office.db"),
        Keystore.open(settings.parent / "keystore.db"),
    )
    device = DecidingDevice()
    registry = Registry(store)
    registry.add_gateway("gw-1", name="gw-1", site="site-1", token="0123456789abcdef", now_ms=1)
    registry.add_device(device.device, name="pump", site="site-1", now_ms=1)
    registry.add_bundle(BUNDLE)
    device.enrol(keystore)
    device.start()
    device.live(READINGS[:12])
    segments = [segment.raw for segment in device.all_segments()]
    takings = Takings(store, patience=60)
    Ingest(store, keystore, wall_ms=lambda: NOW_MS, takings=takings).take(
        "gw-1", segments, [device.heartbeat()]
    )
    store.close()
    keystore.close()
    return settings


def _run(capsys, *words):
    code = run([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def test_init_makes_an_office_that_is_complete_and_only_once(capsys, tmp_path):
    """Init makes everything serve needs, and refuses to make an office over another."""
    assert OK == _run(capsys, "office", "init", tmp_path / "new")[0]
    code, _, said = _run(capsys, "office", "init", tmp_path / "new")

    assert USAGE == code
    assert "office-exists" in said
    names = {path.name for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert {
        "office.toml",
        "office.db",
        "keystore.db",
        "authority.db",
        "ca.pem",
        "office.pem",
        "office.key",
    } == names


def test_devices_are_shown_at_a_glance(capsys, office):
    """People get a table, machines a named document with the same numbers."""
    code, table, _ = _run(capsys, "office", "devices", "--config", office)
    document = json.loads(_run(capsys, "office", "devices", "--config", office, "--json")[1])

    assert OK == code
    assert "pump" in table
    assert ("outstation.office-devices", 1) == (document["schema"], document["version"])
    (row,) = document["devices"]
    assert (3, 0, 0, NOW_MS) == (row["decisions"], row["gaps_open"], row["findings"], row["last_heard_ms"])
    assert [lane["held"] for lane in row["lanes"]] == [lane["head"] for lane in row["lanes"]]


def test_what_runs_on_each_device_and_what_should_is_shown(capsys, tmp_path):
    """The bundle of the newest sealed heartbeat, the release wanted and the last step of an adoption, in 80 columns and as JSON."""
    settings = found_office(tmp_path / "office", now_ms=NOW_MS, port=0)
    desk = OfficeDesk(settings.parent, is_there=True)
    tried, quiet = make_fleet(desk)
    number = publish(desk, newer(2), (DEVICES, [tried.device]))
    for step, detail in ((STAGED, 4000), (TRIAL, 2), (ROLLED_BACK, DAMAGED)):
        say(desk, tried, ADOPTION, step, number, bytes(32), detail)
    desk.close()
    code, table, _ = _run(capsys, "office", "devices", "--config", settings)
    rows = json.loads(_run(capsys, "office", "devices", "--config", settings, "--json")[1])["devices"]
    shown = {row["name"]: row for row in rows}
    lines = [line.split() for line in table.splitlines()]

    assert OK == code
    assert {"number": number, "runs": False} == shown["first"]["wanted"]
    assert {"version": 1, "digest": OLD_DIGEST.hex()} == shown["first"]["bundle"] == shown["second"]["bundle"]
    assert (number, "rolled back: the slot does not hold what it should") == (
        *(shown["first"]["adoption"]["number"], shown["first"]["adoption"]["step"]),
    )
    assert (None, None) == (shown["second"]["wanted"], shown["second"]["adoption"])
    assert ["first", "1", OLD_DIGEST.hex()[:8], "1", "not", "yet", "1", "rolled", "back:"] in [
        line[:9] for line in lines
    ]
    assert ["second", "1", OLD_DIGEST.hex()[:8], "-", "-"] in lines
    assert quiet.device.hex() == shown["second"]["device"]


@pytest.fixture
def fleet(desk):
    """Two devices of an office without its settings."""
    return make_fleet(desk)


def test_device_that_runs_what_is_wanted_is_shown_so(desk, fleet):
    """Wanted and running are told apart by the newest sealed heartbeat, not by what the device said it would do."""
    first, _ = fleet
    number = publish(desk, newer(2), (DEVICES, [first.device]))
    say(desk, first, ADOPTION, CONFIRMED, number, bytes(32), 0)
    said = devices_overview(desk.store.connection)[0]["wanted"]
    beat(desk, first, bundle=(2, digest_of(newer(2))))

    assert [False, True] == [said["runs"], devices_overview(desk.store.connection)[0]["wanted"]["runs"]]


def test_no_line_about_what_runs_is_wider_than_80_columns(desk, fleet):
    """With a name of 20 characters, a high number of a release and the longest words of an adoption's end."""
    first, _ = fleet
    (row,) = [one for one in devices_overview(desk.store.connection) if one["device"] == first.device.hex()]
    step = {"number": 4294967295, "step": f"rolled back: {max(REASON_NAMES, key=len)}", "received_ms": 1}
    wanted = {"number": 4294967295, "runs": False}
    bundle = {"version": 4294967295, "digest": OLD_DIGEST.hex()}
    long = {**row, "name": "n" * 20, "adoption": step, "wanted": wanted, "bundle": bundle}
    lines = device_lines([long], NOW_MS)

    assert max(len(line) for line in lines) <= 80
    assert any(line.endswith("...") for line in lines)


def test_findings_end_with_one_when_there_are_any(capsys, office):
    """An open finding is worth an exit code; --all shows those that are over too."""
    assert OK == _run(capsys, "office", "findings", "--config", office)[0]
    store = SqliteStore.open(office.parent / "office.db")
    with store.transaction():
        store.add_finding(store.device_ids()[0], "silence", "", "no heartbeat for 25 s", NOW_MS)
    code, said, _ = _run(capsys, "office", "findings", "--config", office)
    assert (FINDING, True) == (code, "silence" in said and "pump" in said)
    with store.transaction():
        store.clear_finding(store.device_ids()[0], "silence", "", NOW_MS + 1)
    store.close()

    assert OK == _run(capsys, "office", "findings", "--config", office)[0]
    assert "cleared" in _run(capsys, "office", "findings", "--config", office, "--all")[1]


def test_verify_ends_with_zero_where_all_agrees(capsys, office):
    """A clean database ends with 0 at both levels, and the document counts what was replayed."""
    database, keystore = office.parent / "office.db", office.parent / "keystore.db"
    code, said, _ = _run(capsys, "verify", database)
    assert (OK, True) == (code, "nothing disagrees" in said)
    code, said, _ = _run(capsys, "verify", database, "--keystore", keystore, "--json")
    document = json.loads(said)

    assert (OK, "outstation.verify", True) == (code, document["schema"], document["clean"])
    assert 3 == document["counts"]["decisions_replayed_equal"]
    assert 1.0 == document["counts"]["run_replay_coverage"]


def test_verify_ends_with_one_and_names_the_place(capsys, office):
    """A deleted row ends with 1; device, lane, epoch and number stand in the line."""
    connection = sqlite3.connect(office.parent / "office.db", isolation_level=None)
    connection.execute("DELETE FROM segments WHERE lane = 0 AND number = 2")
    connection.close()
    code, said, _ = _run(capsys, "verify", office.parent / "office.db")

    assert FINDING == code
    assert "critical epoch 0 number 2: numbers 2..2 are missing" in said


@pytest.mark.parametrize("content", [None, b"", b"something else" * 500])
def test_verify_refuses_what_is_no_office_database(capsys, tmp_path, content):
    """Another file is said to be another file, with exit code 2."""
    path = tmp_path / "some.db"
    if content is not None:
        path.write_bytes(content)
    code, _, said = _run(capsys, "verify", path)

    assert (USAGE, True) == (code, "office-not-a-database" in said)


def test_verify_refuses_a_database_as_keystore(capsys, office):
    """The two files cannot be mistaken for each other."""
    database = office.parent / "office.db"

    assert USAGE == _run(capsys, "verify", database, "--keystore", database)[0]
    assert USAGE == _run(capsys, "verify", office.parent / "keystore.db")[0]


def test_a_decision_is_explained(capsys, office):
    """Explain shows rule, inputs, what was asked for, by which way it came, and that replay agrees."""
    found = None
    for order in range(40):
        code, said, _ = _run(capsys, "office", "explain", "pump", order, "--config", office, "--json")
        if code == OK:
            found = json.loads(said)
            break

    assert found
    assert ("outstation.office-explanation", 2, [], "gw-1") == (
        *(found["schema"], found["rule"], found["replay"], found["gateway"]),
    )
    lines = _run(capsys, "office", "explain", "pump", found["order"], "--config", office)[1]
    assert "action 2 = 1: allowed" in lines
    newest = json.loads(_run(capsys, "office", "explain", "pump", "--config", office, "--json")[1])
    assert newest["order"] > found["order"]


def test_explain_says_what_is_not_there(capsys, office):
    """A wrong name is answered with the nearest, a wrong order with what can be done."""
    code, _, said = _run(capsys, "office", "explain", "pumb", 3, "--config", office)
    assert (USAGE, True) == (code, "did you mean pump?" in said)
    code, _, said = _run(capsys, "office", "explain", "pump", 99999, "--config", office)
    assert (USAGE, True) == (code, "office-no-such-decision" in said)
    (office.parent / "keystore.db").unlink()
    code, _, said = _run(capsys, "office", "explain", "pump", 1, "--config", office)
    assert (USAGE, True) == (code, "office-not-a-database" in said)


def test_every_mistake_in_the_settings_is_named_at_once(capsys, tmp_path):
    """Unknown key, wrong type and value out of range are said together, each with its line."""
    path = tmp_path / "office.toml"
    path.write_text('[office]\nnmae = "x"\n[listen]\nport = 99999\n[heartbeat]\ninterval_s = "ten"\n')
    code, _, said = _run(capsys, "office", "serve", "--config", path)

    assert USAGE == code
    for words in ("office.toml:2:", "did you mean name", "office.toml:4:", "office.toml:6:"):
        assert words in said


def test_missing_files_are_named_together(capsys, office):
    """Everything serve lacks is said in one run."""
    for name in ("office.db", "tls/office.key"):
        (office.parent / name).unlink()
    code, _, said = _run(capsys, "office", "serve", "--config", office)

    assert (USAGE, 2) == (code, said.count("file-unusable"))


def test_exposed_secrets_are_refused(capsys, office):
    """Nothing is served while others can read the keystore."""
    (office.parent / "keystore.db").chmod(0o644)
    code, _, said = _run(capsys, "office", "serve", "--config", office)

    assert (NOT_ALLOWED, True) == (code, "chmod 600" in said)


def _repair_words(config, database="office.db"):
    """Return the words of a repair, the settings changed to name another database."""
    config.write_text(config.read_text().replace('database = "office.db"', f'database = "{database}"'))
    return ["office", "repair", "--config", config]


@pytest.mark.parametrize("database", ["nowhere/office.db", "away.db", "office.toml"])
def test_repair_of_what_is_no_database_leaves_nothing_behind(capsys, office, database):
    """A folder or file that is not there, or is something else, is named with exit code 2, and no lock is left beside it."""
    code, _, said = _run(capsys, *_repair_words(office, database=database))

    assert (USAGE, True) == (code, "office-not-a-database" in said)
    assert [] == list(office.parent.rglob("*.lock"))


def test_repair_waits_for_who_writes(capsys, office, monkeypatch):
    """While another process writes, a repair changes nothing and says to try again."""
    monkeypatch.setattr(sqlite, "_BUSY_MS", 1)
    connection = sqlite3.connect(office.parent / "office.db", isolation_level=None)
    connection.execute("UPDATE heads SET number = number + 1")
    connection.execute("BEGIN IMMEDIATE")
    code, _, said = _run(capsys, *_repair_words(office))
    connection.close()

    assert (TRY_AGAIN, True) == (code, "office-unavailable" in said)
    assert FINDING == _run(capsys, *_repair_words(office))[0]


def test_repair_says_where_its_lock_cannot_be_made(capsys, office):
    """A folder in place of the lock, or one that takes no file, is no reason for a traceback."""
    (office.parent / "office.db.lock").mkdir()
    code, _, said = _run(capsys, *_repair_words(office))

    assert (TRY_AGAIN, True) == (code, "office-unavailable" in said)


def test_verify_takes_no_older_schema_for_damage(tmp_path, monkeypatch, capsys):
    """A backup of former years lacks tables that its version never had: it is said, and nothing is called a finding."""
    path = tmp_path / "office.db"
    with monkeypatch.context() as older:
        make_older(older.setattr, "0013")
        SqliteStore.create(path).close()
    refused = run(["verify", str(path), "--json"]), json.loads(capsys.readouterr().out)["diagnostics"][0]
    SqliteStore.open(path).close()

    assert (USAGE, "office-older") == (refused[0], refused[1]["code"])
    assert "lacks" in refused[1]["message"]
    assert OK == run(["verify", str(path)])
