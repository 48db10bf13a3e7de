"""Lets a command pass, or not: who gives it is the operating system's user, whose role the settings say.

The command line works on the office's own files. Whoever may write them can pass it by with any SQLite tool: the rights of the files are
the wall; this keeps honest people to their role, and writes down who did what.
"""

import contextlib
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from office_ingest.errors import OfficeError, in_words
from office_ingest.govern.acts import BEGUN, COMMAND_LINE, DONE, Acts, Person
from office_ingest.permissions import Permission, lacks
from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError

if TYPE_CHECKING:
    from office_ingest.config import Configuration, PeopleSection
    from office_ingest.storage.sqlite import SqliteStore

# Arguments that say what an act was about. None of them is ever a secret, and no path of a key is among them.
_ABOUT = (
    *("device", "number", "name", "site", "sites", "role", "label", "identity", "gateway", "lane", "epoch"),
    *("action", "value", "view_class", "first", "last"),
)


def pass_door(
    call: Callable[..., Any],
    permissions: tuple[Permission, ...],
    config: Path,
    asked: dict[str, Any],
    *,
    is_written_after: bool,
) -> Any:
    """Run a command if its caller may; what changes something is written down. Raises DiagnosticError (exit 4) if he may not."""
    from office_ingest.config import read_office

    configuration = read_office(config)
    person = who_acts(configuration.settings.people)
    missing = lacks(person.role, permissions)
    about = about_words(asked)
    if missing is not None:
        with contextlib.suppress(DiagnosticError, OfficeError), _opened(configuration) as store:
            Acts(store).add_refusal(person, COMMAND_LINE, missing, _now_ms(), about)
        raise not_permitted(person, missing)
    changes = [one for one in permissions if one.is_change()]
    if not changes:
        return call(**asked)
    written = [(one, about) for one in changes]
    if not is_written_after:
        _write(configuration, person, written, BEGUN)
    try:
        result = call(**asked)
    except BaseException as error:
        _write_end(configuration, person, written, _words(error))
        raise
    _write_end(configuration, person, written, f"ended with {result}" if result else DONE)
    return result


def who_acts(people: "PeopleSection") -> Person:
    """Return the user of this process and the role that the settings give him. Not from the environment: that can say anything."""
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return Person(name, people.roles.get(name, people.default))


def about_words(asked: dict[str, Any]) -> str:
    """Return what a command was about, for its row."""
    told = [(name, asked[name]) for name in _ABOUT if asked.get(name) not in (None, (), "")]
    return " ".join(f"{name}={value}" for name, value in told)


def not_permitted(person: Person, missing: Permission) -> DiagnosticError:
    """Return what is said to who lacks a permission."""
    message = f"{person.name} has the role {person.role}, which may not {missing.words()}"
    fix = "ask somebody whose role may (docs/operating/permissions.md), or change [people] in office.toml"
    return DiagnosticError(Diagnostic("office-not-permitted", message, fix=fix), NOT_ALLOWED)


def _opened(configuration: "Configuration") -> contextlib.closing["SqliteStore"]:
    from office_ingest.storage.sqlite import SqliteStore

    with in_words():
        return contextlib.closing(SqliteStore.open(configuration.files.database))


def _write(
    configuration: "Configuration", person: Person, written: list[tuple[Permission, str]], outcome: str
) -> None:
    try:
        opened = _opened(configuration)
    except DiagnosticError:
        # The command opens the same file next and says it in its own words; it changes nothing either.
        return
    with opened as store, in_words():
        acts = Acts(store)
        for permission, about in written:
            acts.add(person, COMMAND_LINE, permission, outcome, _now_ms(), about)


def _write_end(
    configuration: "Configuration", person: Person, written: list[tuple[Permission, str]], outcome: str
) -> None:
    # What was done is done: that it ended is written where the database takes it, and `begun` stands in any case.
    with contextlib.suppress(DiagnosticError, OfficeError):
        _write(configuration, person, written, outcome)


def _words(error: BaseException) -> str:
    if isinstance(error, DiagnosticError):
        return f"failed: {error.diagnostics[0].code}"
    return f"failed: {type(error).__name__}"


def _now_ms() -> int:
    from office_ingest.clock import SystemClock

    return SystemClock().wall_ms()
