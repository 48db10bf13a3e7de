"""Who may do what: every command and every route, for every role; what declares nothing, and what is refused and written down."""

import json
import os
import pwd
from typing import get_args

import click
import pytest

from office_ingest import permissions
from office_ingest.config import Role
from office_ingest.founding import found_office
from office_ingest.govern.acts import BEGUN, DONE, REFUSED
from office_ingest.overview import open_read_only
from office_ingest.permissions import PERMISSIONS, ROLES
from protocol.diagnostic import NOT_ALLOWED, DiagnosticError
from tools.cli import COMMANDS, load, run

# Written by hand, apart from the table in the code: whoever widens a role there must mean it here too.
MAY = {
    "read devices": "viewer operator author approver auditor admin",
    "read findings": "viewer operator author approver auditor admin",
    "read decisions": "viewer operator author approver auditor admin",
    "read releases": "viewer operator author approver auditor admin",
    "read commands": "viewer operator author approver auditor admin",
    "read acts": "auditor admin",
    "read tokens": "auditor admin",
    "verify records": "auditor admin",
    "run office": "operator admin",
    "accept gaps": "operator admin",
    "give commands": "operator admin",
    "roll out releases": "operator admin",
    "build releases": "author admin",
    "sign releases": "approver admin",
    "approve releases": "approver admin",
    "make signing keys": "approver admin",
    "replace signing keys": "admin",
    "found office": "admin",
    "repair office": "admin",
    "encrypt stores": "admin",
    "back up stores": "admin",
    "provision gateways": "admin",
    "provision devices": "admin",
    "revoke gateways": "operator admin",
    "rotate authority": "admin",
    "revoke devices": "operator admin",
    "rekey devices": "admin",
    "grant views": "admin",
    "erase periods": "admin",
    "create tokens": "admin",
    "revoke tokens": "admin",
}
# Commands that act on no office: on a gateway, a device, a board, rules or a demonstration of their own.
NO_OFFICE = ("bench", "decode", "demo", "device", "explain", "gateway", "rules")
# The office is only being made, or only a file of one is there: the rights of that file decide.
BY_FILE = ("office init", "verify")


def leaves(command, path):
    """Return (words, command) of every command below one."""
    if not isinstance(command, click.Group):
        return [(" ".join(path), command)]
    return [
        leaf
        for name in command.list_commands(None)
        for leaf in leaves(command.get_command(None, name), [*path, name])
    ]


def office_commands():
    """Return every command that acts on an office."""
    return [leaf for name in COMMANDS if name not in NO_OFFICE for leaf in leaves(load(name), [name])]


@pytest.fixture
def office(tmp_path):
    """The settings of an office, empty."""
    return found_office(tmp_path / "office", now_ms=1, port=0)


def give_role(settings, role):
    """Let the user of this process have a role."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    before = settings.read_text().split("\n[people.roles]")[0]
    settings.write_text(f'{before}\n[people.roles]\n"{name}" = "{role}"\n')


def acts(settings):
    """Return what was written down, the eldest first."""
    connection = open_read_only(settings.parent / "office.db")
    rows = connection.execute(
        "SELECT role, verb, resource, about, outcome FROM acts ORDER BY number"
    ).fetchall()
    connection.close()
    return rows


class Spy:
    """Stands in the place of a command's own body, behind its check."""

    def __init__(self, callback):
        self.called = 0
        self._cell = next(cell for cell in callback.__closure__ if cell.cell_contents is callback.__wrapped__)

    def __enter__(self):
        self._kept, self._cell.cell_contents = self._cell.cell_contents, self._call
        return self

    def _call(self, **_asked):
        self.called += 1

    def __exit__(self, *_exception):
        self._cell.cell_contents = self._kept


def reaches(command, settings):
    """Call a command as the command line does; return the missing permission's words, or None where its body is reached."""
    asked = {one.name: None for one in command.params}
    named = [name for name in ("config", "office_config") if name in asked]
    with Spy(command.callback) as spy:
        try:
            command.callback(**{**asked, **dict.fromkeys(named, settings)})
        except DiagnosticError as error:
            assert (NOT_ALLOWED, "office-not-permitted") == (error.exit_code, error.diagnostics[0].code)
            assert 0 == spy.called
            return error.diagnostics[0].message.split("which may not ")[1]
        assert 1 == spy.called
    return None


def test_every_command_declares_what_it_needs():
    """Whatever acts on an office names its permissions; what names none fails here, by its words."""
    silent = [
        words for words, command in office_commands() if not getattr(command.callback, "permissions", ())
    ]

    assert [] == silent
    assert len(office_commands()) > 25


def test_the_roles_are_those_that_are_meant():
    """No role has more or less than what is written here by hand."""
    meant = {role: {words for words, roles in MAY.items() if role in roles.split()} for role in ROLES}

    assert meant == {role: {one.words() for one in held} for role, held in ROLES.items()}
    assert set(MAY) == {one.words() for one in PERMISSIONS}
    assert set(get_args(Role)) == {"none", *ROLES}


@pytest.mark.proves("S47")
@pytest.mark.parametrize("role", ["none", *ROLES])
def test_every_command_lets_pass_who_may_and_nobody_else(office, role):
    """Each command for each role: its body is reached exactly where the role has every permission, and the missing one is named."""
    give_role(office, role)
    passed = []
    for words, command in office_commands():
        if words in BY_FILE:
            continue
        needed = [one.words() for one in command.callback.permissions]
        lacking = next((one for one in needed if role not in MAY[one].split()), None)

        assert lacking == reaches(command, office), words
        passed += [words] if lacking is None else []
    assert (role == "none") == (not passed)


def test_a_refusal_says_who_lacks_what_and_is_written_down(office, capsys):
    """Exit code 4, the permission in the sentence, and a row; nothing else happened."""
    give_role(office, "viewer")
    code = run(["command", "report", "pump", "--config", str(office)])
    said = capsys.readouterr().err

    assert NOT_ALLOWED == code
    assert "has the role viewer, which may not give commands" in said
    assert [("viewer", "give", "commands", "device=pump", REFUSED)] == acts(office)


def test_what_changes_is_written_down_before_and_after(office, capsys):
    """A change has two rows, begun and how it ended; reading has none."""
    assert 0 == run(
        ["office", "token", "create", "--label", "a", "--role", "viewer", "--config", str(office)]
    )
    assert 0 == run(["office", "devices", "--config", str(office)])
    assert 2 == run(["office", "token", "revoke", "nobody", "--config", str(office)])
    capsys.readouterr()
    rows = [row[1:] for row in acts(office)]

    assert rows == [
        ("create", "tokens", "role=viewer label=a", BEGUN),
        ("create", "tokens", "role=viewer label=a", DONE),
        ("revoke", "tokens", "identity=nobody", BEGUN),
        ("revoke", "tokens", "identity=nobody", "failed: office-no-such-token"),
    ]


def test_acts_are_only_added_to(office):
    """The database itself refuses to change or delete one."""
    from office_ingest.govern.acts import Acts, Person
    from office_ingest.storage.sqlite import SqliteStore

    store = SqliteStore.open(office.parent / "office.db")
    Acts(store).add(Person("a", "admin"), "command", permissions.RUN_OFFICE, DONE, 1)
    for sql in ("UPDATE acts SET who = 'b'", "DELETE FROM acts"):
        with pytest.raises(Exception, match="acts are never"):
            store.connection.execute(sql)
    store.close()


def test_a_row_that_cannot_be_written_stops_the_change(office, monkeypatch, capsys):
    """Nothing is done that nobody could know of."""
    from office_ingest.errors import StoreUnavailable
    from office_ingest.govern.acts import Acts

    def full(self, *_of):
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(Acts, "add", full)
    code = run(["office", "token", "create", "--label", "a", "--role", "viewer", "--config", str(office)])
    capsys.readouterr()
    connection = open_read_only(office.parent / "office.db")

    assert (75, [(0,)]) == (code, connection.execute("SELECT count(*) FROM tokens").fetchall())
    connection.close()


def test_the_user_is_the_operating_systems_not_the_environments(office, monkeypatch):
    """A variable that says another name gives no other role."""
    from office_ingest.config import read_office
    from office_ingest.govern.door import who_acts

    give_role(office, "viewer")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "root-of-all")
    person = who_acts(read_office(office).settings.people)

    assert (pwd.getpwuid(os.geteuid()).pw_name, "viewer") == person[:2]


def test_the_newest_acts_are_shown_to_who_may(office, capsys):
    """The auditor reads them; the operator does not."""
    give_role(office, "admin")
    run(["office", "token", "create", "--label", "a", "--role", "viewer", "--config", str(office)])
    give_role(office, "auditor")
    capsys.readouterr()
    assert 0 == run(["office", "acts", "--json", "--config", str(office)])
    shown = json.loads(capsys.readouterr().out)["acts"]
    give_role(office, "operator")
    assert NOT_ALLOWED == run(["office", "acts", "--config", str(office)])

    assert [DONE, BEGUN] == [row["outcome"] for row in shown]
