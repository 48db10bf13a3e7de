"""The commands that decide about devices: what they ask, do and refuse."""

import io
import sqlite3
from pathlib import Path

import pytest

from gateway.identity import new_key, request_pem
from office_ingest.govern.admissions import Admissions
from office_ingest.govern.attestation import FINDING as WITHHELD
from office_ingest.govern.gateway_cli import opened
from office_ingest.receive.claims import ADMITTED
from protocol.admission import seal_announcement
from protocol.diagnostic import FINDING, OK, TRY_AGAIN, USAGE

REVOKE = ("office", "device", "revoke", "first", "--author", "A. Author", "--reason", "stolen on the way")


def test_revoke_asks_and_then_does_it(field, monkeypatch):
    """No is no; yes is for good, and says who and why."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    declined = field.run(*REVOKE)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    held = field.desk.rows("revoked")
    code, out, _ = field.run(*REVOKE)

    assert (FINDING, "nothing was revoked\n", []) == (declined[0], declined[1], held)
    assert (OK, True) == (code, out.startswith(f"revoked: first ({field.first.device.hex()}), by A. Author"))
    assert [("A. Author", "stolen on the way")] == field.desk.rows("revoked", "author, reason")
    assert [field.first.device] == field.desk.take().revoked


def test_revoke_as_json_says_who_and_why(field):
    """For machines, under a named schema."""
    code, document = field.ask(*REVOKE, "--yes")

    assert OK == code
    assert ("outstation.office-device-revoked", 1) == (document["schema"], document["version"])
    assert (field.first.device.hex(), "stolen on the way") == (document["device"], document["reason"])


def test_what_cannot_be_revoked_is_said(field):
    """A device that nobody knows, a second time, or without a reason."""
    unknown = field.refused("office", "device", "revoke", "none", "--author", "A", "--reason", "r", "--yes")
    empty = field.refused("office", "device", "revoke", "first", "--author", "A", "--reason", " ", "--yes")
    field.run(*REVOKE, "--yes")
    again = field.refused(*REVOKE, "--yes")

    assert (USAGE, "office-no-such-device") == unknown[:2]
    assert (USAGE, "usage-wrong") == empty[:2]
    assert (USAGE, "office-revoked") == again[:2]


def test_revoked_device_is_shown_so_and_gets_no_command(field):
    """The list says it instead of how long ago it was heard; a command for it is refused."""
    field.run(*REVOKE, "--yes")
    shown = field.run("office", "devices")[1]
    refused = field.refused("command", "report", "first")

    assert any(line.split()[:2] == ["first", "revoked"] for line in shown.splitlines())
    assert (USAGE, "command-refused") == refused[:2]
    assert "revoked" in refused[2]


def test_rekey_says_when_it_waits_for_what_the_device_runs(field):
    """Keys are withheld from a device whose claims are not known: whoever gives them learns it at once."""
    rekey = ("office", "device", "rekey")
    code, out, _ = field.run(*rekey, "first", "--author", "A")
    with field.desk.store.transaction():
        field.desk.store.add_finding(field.second.device, WITHHELD, "", "an image nobody registered", 1)
    held = field.ask(*rekey, "second", "--author", "A")[1]

    assert code == OK and "is to take other keys" in out and "it waits" not in out
    assert held["withheld"] is True


def test_relink_is_given_where_every_gateway_is_told_links(field):
    """It is refused in words before that; then the device's line says how it stands, and no secret is shown."""
    relink = ("office", "device", "relink", "first", "--author", "A")
    field.desk.keystore.add_link(field.first.device, b"\x01", bytes(16), 1)
    refused = field.refused(*relink)
    assert field.run("office", "gateway", "revoke", "gw-1", "--reason", "was replaced")[0] == OK
    enrol(field, "gate-2")
    code, document = field.ask(*relink)
    again = field.refused(*relink)
    shown = field.run("office", "devices")[1]
    links = field.desk.keystore.links()

    assert (USAGE, "command-refused") == refused[:2] == again[:2]
    assert "and gw-1 of its site has none" in refused[2]
    assert (OK, "outstation.office-device-relinked", False) == (
        code,
        document["schema"],
        document["withheld"],
    )
    assert "first: another link given (command 1)" in shown
    assert 2 == len(links)
    assert not [secret for _, _, secret in links if secret.hex() in str(document) + shown]


def enrol(field, name):
    """Let the office have a gateway of its only site, with a certificate."""
    with opened(Path(field.settings)) as office:
        code = office.enrolment.invite(name, "site-1", "A", minutes=5)
        office.enrolment.enrol(code.secret, request_pem(new_key()))


def test_device_moves_to_a_site_that_the_office_knows(field):
    """The office's register says so from then on; an unknown site or device is refused and nothing changes."""
    move = ("office", "device", "move", "first", "--site")
    unknown = field.refused(*move, "nowhere")
    other = field.refused("office", "device", "move", "none", "--site", "site-1")
    before = field.desk.rows("devices", "name, site", "name = 'first'")
    field.run("site", "create", "elsewhere")
    code, document = field.ask(*move, "elsewhere")

    assert (USAGE, "office-no-site") == unknown[:2]
    assert (USAGE, "office-no-such-device") == other[:2]
    assert [("first", "site-1")] == before
    assert (OK, "outstation.office-device-move") == (code, document["schema"])
    assert [("first", "elsewhere")] == field.desk.rows("devices", "name, site", "name = 'first'")


def test_links_of_a_gateways_file_are_taken(field, tmp_path):
    """Once; the second time there is nothing to take, and no secret is shown."""
    file = tmp_path / "links.toml"
    secret = "5e" * 16
    file.write_text(f'[[device]]\nid = "{field.first.device.hex()}"\nkid = "01020304"\nsecret = "{secret}"\n')
    first = field.ask("office", "device", "links", file)
    code, out, err = field.run("office", "device", "links", file)

    assert (OK, [field.first.device.hex()], []) == (first[0], first[1]["taken"], first[1]["left"])
    assert (OK, True, "") == (code, out.startswith("0 taken, 1 left"), err)
    assert secret not in str(first) + out
    assert [(field.first.device, bytes(range(1, 5)), bytes.fromhex(secret))] == field.desk.keystore.links()


@pytest.mark.parametrize("entry", ['secret = "{}XX"', 'secret = "{}', "secret = {}"])
def test_links_file_with_a_mistake_is_refused_without_a_word_of_its_secret(field, tmp_path, entry):
    """The message names file and line."""
    secret, file = "5e" * 15, tmp_path / "links.toml"
    file.write_text(f'[[device]]\nid = "{field.first.device.hex()}"\nkid = "01"\n{entry.format(secret)}\n')
    code, out, err = field.run("office", "device", "links", file)

    assert (USAGE, True) == (code, f"{file}:4" in err)
    assert secret not in out + err


def test_verify_looks_at_the_authority_too(field):
    """`outstation verify --authority`: clean as it is, and another file is refused."""
    folder = field.desk.folder
    command = ("verify", folder / "office.db")
    from tools.cli import run

    clean = run([str(word) for word in (*command, "--authority", folder / "authority.db")])
    said = field.read().out
    other = run([str(word) for word in (*command, "--authority", folder / "office.db")])
    field.read()

    assert (OK, True, USAGE) == (clean, "gateway certificates" in said, other)


def _waiting(field):
    """Return (admissions, identity in hex) of a board that a gateway heard."""
    admissions = Admissions(field.desk.store, field.desk.keystore)
    board, secret = admissions.make_claim("unix", 1)
    admissions.hear("gw-1", [seal_announcement(board, "unix", secret)], 2)
    return admissions, board


def test_board_whose_admission_was_cut_off_is_admitted_under_its_name(field, monkeypatch):
    """The name that the cut off attempt registered is its own; another device's is taken."""
    admissions, board = _waiting(field)
    admit = ("office", "device", "admit", board.hex(), "--like", "first", "--yes", "--name")
    with monkeypatch.context() as patched:
        patched.setattr("office_ingest.receive.claims.Claims.admit", _cut)
        cut = field.run(*admit, "pump 7")
    taken = field.refused(*admit, "first")
    code, document = field.ask(*admit, "pump 7")

    assert (TRY_AGAIN, (USAGE, "provision-name-taken")) == (cut[0], taken[:2])
    assert (OK, board.hex()) == (code, document["device"])
    assert ADMITTED == admissions.claims.find(board).state


def test_board_that_was_decided_about_is_not_admitted_again(field):
    """The message says what was decided."""
    _, board = _waiting(field)
    field.run("office", "device", "refuse", board.hex())
    refused = field.refused(
        "office", "device", "admit", board.hex(), "--like", "first", "--name", "x", "--yes"
    )

    assert (USAGE, "office-admission") == refused[:2]
    assert "refused" in refused[2]


def _cut(*_words):
    raise sqlite3.OperationalError("disk I/O error")
