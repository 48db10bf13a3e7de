"""The commands `outstation site ...`: places that gateways and devices are of."""

import getpass
import sqlite3
from pathlib import Path

import click

from office_ingest.clock import SystemClock
from office_ingest.options import SETTINGS_AND_JSON, said_by
from office_ingest.permissions import PROVISION_GATEWAYS, READ_DEVICES, needs
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.report import emit

NAME_CHARACTERS_MAX = 64


@click.group()
def site() -> None:
    """Make and list sites."""


@site.command()
@needs(PROVISION_GATEWAYS)
@click.argument("name")
@said_by("Who makes it")
@SETTINGS_AND_JSON
def create(name: str, author: str | None, config: Path, as_json: bool) -> None:
    """Let the office know a site, before anything is there.

    Gateways are invited to sites that it knows, so that a name written wrongly does not become a second site.
    """
    from office_ingest.govern.gateway_cli import opened

    if not (0 < len(name) <= NAME_CHARACTERS_MAX and name.isprintable() and name.strip() == name):
        fix = f"take 1 to {NAME_CHARACTERS_MAX} characters that can be printed"
        raise DiagnosticError(Diagnostic("provision-name", f"the site cannot be called {name!r}", fix=fix))
    with opened(config) as office:
        if name in office.enrolment.sites():
            raise DiagnosticError(_taken(name))
        try:
            office.store.add_site(name, author or getpass.getuser(), SystemClock().wall_ms())
        except sqlite3.IntegrityError:
            raise DiagnosticError(_taken(name)) from None
    if as_json:
        emit("outstation.site-create", 1, {"site": name})
    else:
        click.echo(f"site {name} is known; next: outstation office gateway invite NAME --site '{name}'")


@site.command("list")
@needs(READ_DEVICES)
@SETTINGS_AND_JSON
def list_sites(config: Path, as_json: bool) -> None:
    """Show the sites that the office knows."""
    from office_ingest.govern.gateway_cli import opened

    with opened(config) as office:
        names = sorted(office.enrolment.sites())
    if as_json:
        emit("outstation.sites", 1, {"sites": names})
    else:
        click.echo("\n".join(names) or "no site yet: outstation site create NAME")


def _taken(name: str) -> Diagnostic:
    return Diagnostic(
        "provision-name-taken",
        f"the office knows a site called {name} already",
        fix="use it, or choose another name",
    )
