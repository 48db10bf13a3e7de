"""The commands of releases: what they print, and with which exit code they end."""

import contextlib
import io
import json
import shutil

import pytest

from office_ingest.founding import found_office
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.receive.registry import Registry
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import NOT_ALLOWED, OK, TRY_AGAIN, USAGE
from protocol.manifest import parse_release
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle
from tools.cli import run

DEVICE = bytes(range(8))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An office with one device, and one key made by the command itself."""
    folder = tmp_path_factory.mktemp("office")
    settings = found_office(folder, now_ms=NOW_MS, port=0)
    store = SqliteStore.open(folder / "office.db")
    registry = Registry(store)
    registry.add_schema(SCHEMA)
    registry.add_device(DEVICE, name="pump", site="site-1", now_ms=1)
    store.close()
    (folder / "rules.bundle").write_bytes(bundle())
    # A key of the real size takes two seconds, so all tests share its making and what was printed.
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = run(["release", "init-key", str(folder / "key"), "--config", str(settings), "--json"])
    assert OK == code
    (folder / "said.json").write_text(said.getvalue())
    return folder


@pytest.fixture
def office(made, tmp_path):
    """A copy of it for each test."""
    return shutil.copytree(made, tmp_path / "office")


def _run(capsys, office, *words):
    code = run(["release", *map(str, words), "--config", str(office / "office.toml")])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def _build(capsys, office, *more):
    words = ("build", "--rules", office / "rules.bundle", "--author", "A. Author", "--device", "pump")
    return _run(capsys, office, *words, *more)


def test_release_is_built_signed_listed_and_shown(capsys, office):
    """Each command says what to do next; the last gives the bytes for devices."""
    code, out, _ = _build(capsys, office)
    assert (OK, True) == (code, "next: outstation release sign 1 --key FOLDER" in out)
    code, out, _ = _run(capsys, office, "sign", 1, "--key", office / "key")
    assert OK == code
    assert "leaf 1" in out
    assert "another key must sign it too" in out
    code, out, _ = _run(capsys, office, "list")
    assert (OK, True) == (code, "half signed" in out)
    code, out, _ = _run(capsys, office, "show", 1, "--out", office / "release.cbor")

    assert OK == code
    assert "devices 0001020304050607" in out
    assert 1 == parse_release((office / "release.cbor").read_bytes()).manifest.number


def test_machines_read_the_same(capsys, office):
    """With --json each command prints one document that names its schema."""
    code, out, _ = _build(capsys, office, "--json")
    built = json.loads(out)
    signed = json.loads(_run(capsys, office, "sign", 1, "--key", office / "key", "--json")[1])
    listed = json.loads(_run(capsys, office, "list", "--json")[1])
    key = json.loads((office / "said.json").read_text())

    assert OK == code
    assert ("outstation.release", "built", 2) == (built["schema"], built["state"], built["signers_needed"])
    assert {"devices": [DEVICE.hex()]} == built["target"]
    assert (1, 1022) == (signed["signatures"][0]["leaf"], signed["signatures_left"])
    assert ["half signed"] == [one["state"] for one in listed["releases"]]
    assert ("outstation.release-key", 120, 120) == (key["schema"], len(key["public"]), len(key["successor"]))


def test_two_keys_complete_a_release(capsys, office):
    """The second person's key is another folder."""
    _build(capsys, office)
    public, _, envelope = make_key(office / "other", now_ms=NOW_MS, **SMALL)
    store = SqliteStore.open(office / "office.db")
    Shelf(store).add_root(public, envelope, NOW_MS)
    store.close()
    _run(capsys, office, "sign", 1, "--key", office / "key")
    code, out, _ = _run(capsys, office, "sign", 1, "--key", office / "other")

    assert OK == code
    assert "release 1: signed, 2 of 2 signatures" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sign", 9, "--key", "key"), USAGE, "release-refused"),
        (("show", 9), USAGE, "release-refused"),
        (("sign", 1, "--key", "tls"), USAGE, "release-key-damaged"),
        (("init-key", "key"), USAGE, "release-key-exists"),
        (("build", "--rules", "office.toml", "--author", "a", "--kind", "pump"), USAGE, "release-refused"),
        (("build", "--rules", "rules.bundle", "--author", "a"), USAGE, "usage-wrong"),
        (
            ("build", "--rules", "rules.bundle", "--author", "a", "--device", "x"),
            USAGE,
            "office-no-such-device",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(capsys, office, words, code, said):
    """A code, a sentence and a way out; never a traceback."""
    there = {"key", "tls", "office.toml", "rules.bundle"}
    found, _, err = _run(capsys, office, *(office / word if word in there else word for word in words))

    assert (code, True) == (found, said in err), err


def test_key_in_use_restored_or_open_to_others_is_refused(capsys, office, tmp_path):
    """Each has its own code, so that a person knows whether to wait, to destroy or to close it."""
    _build(capsys, office)
    _build(capsys, office)
    copy = shutil.copytree(office / "key", tmp_path / "copy")
    with OpenSigner(office / "key"):
        code, _, err = _run(capsys, office, "sign", 1, "--key", office / "key")
        assert (TRY_AGAIN, True) == (code, "release-key-busy" in err)
    assert OK == _run(capsys, office, "sign", 1, "--key", office / "key")[0]
    code, _, err = _run(capsys, office, "sign", 2, "--key", copy)
    assert (NOT_ALLOWED, True) == (code, "release-key-restored" in err)
    (office / "key" / "secret").chmod(0o640)
    code, _, err = _run(capsys, office, "sign", 2, "--key", office / "key")

    assert (NOT_ALLOWED, True) == (code, "file-open-to-others" in err)


def test_successor_goes_on_where_its_key_ends(capsys, office):
    """The office takes it because the key before named it, gives it a successor, and releases go on; a stranger's is refused."""
    public, successor, envelope = make_key(office / "first", now_ms=NOW_MS, **SMALL)
    make_key(office / "strange", now_ms=NOW_MS, **SMALL)
    store = SqliteStore.open(office / "office.db")
    Shelf(store).add_root(public, envelope, NOW_MS)
    store.close()
    _build(capsys, office)
    (office / "first" / "successor").rename(office / "second")
    code, out, _ = _run(capsys, office, "succeed", office / "second")
    assert (OK, True) == (code, successor.hex() in out)
    assert (OK, out) == _run(capsys, office, "succeed", office / "second")[:2]
    assert OK == _run(capsys, office, "sign", 1, "--key", office / "second")[0]
    code, _, err = _run(capsys, office, "succeed", office / "strange" / "successor")

    assert (USAGE, True) == (code, "release-refused" in err)
