"""The command that revokes a device: what it asks, does and refuses."""

import io

from protocol.diagnostic import FINDING, OK, USAGE

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
