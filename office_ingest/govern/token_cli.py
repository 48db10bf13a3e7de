"""The commands `outstation office token ...` and `outstation office acts`: who may ask over HTTP, and who did what."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from office_ingest.govern.opening import now_ms, open_store
from office_ingest.options import CONFIG, JSON, SETTINGS_AND_JSON
from office_ingest.permissions import CREATE_TOKENS, READ_ACTS, READ_TOKENS, REVOKE_TOKENS, ROLES, needs
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.report import emit

if TYPE_CHECKING:
    import sqlite3

    from office_ingest.govern.tokens import Token

_LABEL_CHARACTERS_MAX = 64


@click.group()
def token() -> None:
    """Give people and machines tokens, see them and take them back."""


@token.command()
@needs(CREATE_TOKENS)
@click.option("--label", required=True, help="Who or what it is for.")
@click.option("--role", type=click.Choice(list(ROLES)), required=True, help="What it may do.")
@click.option("--site", "sites", multiple=True, help="Only of this site; several times. All if left out.")
@click.option(
    "--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How long it is good."
)
@SETTINGS_AND_JSON
def create(label: str, role: str, sites: tuple[str, ...], days: int, config: Path, as_json: bool) -> None:
    """Make a token and show it once.

    Only its hash is kept: who loses it gets another.
    """
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.govern.door import who_acts
    from office_ingest.govern.tokens import Tokens, token_as_json

    _check_label(label)
    made_by = who_acts(read_office(config).settings.people).name
    with open_store(config) as store, in_words():
        _check_sites(store.connection, sites)
        made_ms = now_ms()
        shown, made = Tokens(store).create(
            label=label, role=role, sites=list(sites), made_by=made_by, now_ms=made_ms, days=days
        )
    if as_json:
        emit("outstation.office-token", 1, {**token_as_json(made, made_ms), "token": shown})
        return
    click.echo(shown)
    click.echo(f"shown once; {_words(made, made_ms)}", err=True)


def _check_label(label: str) -> None:
    if not (0 < len(label) <= _LABEL_CHARACTERS_MAX and label.isprintable()):
        message = f"a token cannot be called {label!r}"
        fix = f"take 1 to {_LABEL_CHARACTERS_MAX} characters that can be printed"
        raise DiagnosticError(Diagnostic("usage-wrong", message, fix=fix))


def _check_sites(connection: "sqlite3.Connection", sites: tuple[str, ...]) -> None:
    known = {
        site for (site,) in connection.execute("SELECT site FROM devices UNION SELECT site FROM gateways")
    }
    for site in sites:
        if site not in known:
            fix = "outstation office devices shows the sites; provision its gateway first"
            raise DiagnosticError(Diagnostic("usage-wrong", f"the office knows no site {site!r}", fix=fix))


@token.command("list")
@needs(READ_TOKENS)
@SETTINGS_AND_JSON
def list_tokens(config: Path, as_json: bool) -> None:
    """Show every token: for whom, what it may do, until when, when it was used last. Never the token itself."""
    from office_ingest.govern.tokens import all_tokens, token_as_json

    with closing(_reading(config)) as connection:
        found = all_tokens(connection)
    at_ms = now_ms()
    if as_json:
        emit("outstation.office-tokens", 1, {"tokens": [token_as_json(one, at_ms) for one in found]})
    else:
        click.echo("\n".join(_words(one, at_ms) for one in found) or "no tokens")


@token.command()
@needs(REVOKE_TOKENS)
@click.argument("identity")
@SETTINGS_AND_JSON
def revoke(identity: str, config: Path, as_json: bool) -> None:
    """Make the token IDENTITY useless at once. IDENTITY is what `token list` shows first."""
    from office_ingest.errors import in_words
    from office_ingest.govern.tokens import Tokens, token_as_json

    at_ms = now_ms()
    with open_store(config) as store, in_words():
        found = Tokens(store).revoke(identity, at_ms)
    if found is None:
        fix = "see outstation office token list; its first column is the identity"
        raise DiagnosticError(Diagnostic("office-no-such-token", f"there is no token {identity!r}", fix=fix))
    if as_json:
        emit("outstation.office-token", 1, token_as_json(found, at_ms))
    else:
        click.echo(_words(found, at_ms))


@click.command()
@needs(READ_ACTS)
@CONFIG
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="How many, the newest first.",
)
@JSON
def acts(config: Path, most: int, as_json: bool) -> None:
    """Show who did what, the newest first: every change, its end, and every refused attempt."""
    from office_ingest.govern.acts import acts_overview

    with closing(_reading(config)) as connection:
        rows = acts_overview(connection, most)
    if as_json:
        emit("outstation.office-acts", 1, {"acts": rows})
    else:
        click.echo("\n".join(map(_act, rows)) or "nothing was done yet")


def _act(row: dict[str, Any]) -> str:
    about = f" ({row['about']})" if row["about"] else ""
    return f"{_date(row['at_ms'])}  {row['who']} as {row['role']}: {row['verb']} {row['resource']}{about}: {row['outcome']}"


def _words(one: "Token", at_ms: int) -> str:
    from office_ingest.govern.tokens import token_as_json

    said = token_as_json(one, at_ms)
    where = f", only {', '.join(said['sites'])}" if said["sites"] else ""
    used = "never used" if one.used_ms is None else f"used {_date(one.used_ms)}"
    until = "revoked" if said["state"] == "revoked" else f"{said['state']} until {_date(one.expires_ms)}"
    return f"{one.id}  {one.role:8}  {one.label}{where}: {until}, {used}"


def _date(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _reading(config: Path) -> "sqlite3.Connection":
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.overview import open_read_only

    with in_words():
        return open_read_only(read_office(config).files.database)
