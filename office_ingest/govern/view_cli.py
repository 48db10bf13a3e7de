"""The commands `outstation office view ...`: who reads which bodies, and which nobody reads any more."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from office_ingest.govern.opening import device_called, now_ms, open_keystore, open_store, user_name
from office_ingest.options import SETTINGS_AND_JSON, said_by
from office_ingest.permissions import ERASE_PERIODS, GRANT_VIEWS, needs
from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError
from protocol.limits import uint32_max, view_keys_max
from protocol.report import emit

if TYPE_CHECKING:
    from office_ingest.storage.sqlite import SqliteStore

_GATEWAY = click.argument("gateway")
_CLASSES = ("site", "office")


@click.group()
def view() -> None:
    """Say which gateways read bodies of class site, and erase periods."""


@view.command()
@needs(GRANT_VIEWS)
@_GATEWAY
@click.option(
    "--past", type=click.IntRange(0, 24), default=7, show_default=True, help="Periods back from the newest."
)
@click.option(
    "--ahead", type=click.IntRange(0, 7), default=2, show_default=True, help="Periods ahead, for an outage."
)
@said_by("Who grants it")
@SETTINGS_AND_JSON
def grant(gateway: str, past: int, ahead: int, author: str | None, config: Path, as_json: bool) -> None:
    """Let GATEWAY read what the devices of its site seal in class site.

    It gets single keys of periods, never a ratchet and never one of class office.
    """
    from office_ingest.errors import in_words
    from office_ingest.govern.views import put_grant

    assert past + ahead < view_keys_max
    with open_store(config) as store, in_words():
        _require_gateway(store, gateway)
        put_grant(store, gateway, past, ahead, author or user_name(), now_ms())
    if as_json:
        emit("outstation.office-view-grant", 1, {"gateway": gateway, "past": past, "ahead": ahead})
    else:
        click.echo(
            f"{gateway} reads class site: {past} periods back and {ahead} ahead, from its next exchange on"
        )


@view.command()
@needs(GRANT_VIEWS)
@_GATEWAY
@said_by("Who withdraws it")
@SETTINGS_AND_JSON
def withdraw(gateway: str, author: str | None, config: Path, as_json: bool) -> None:
    """Let GATEWAY forget every view key, and what it read with them."""
    from office_ingest.errors import in_words
    from office_ingest.govern.views import withdraw_grant

    with open_store(config) as store, in_words():
        _require_gateway(store, gateway)
        withdraw_grant(store, gateway, author or user_name(), now_ms())
    if as_json:
        emit("outstation.office-view-grant", 1, {"gateway": gateway, "past": None, "ahead": None})
    else:
        click.echo(f"{gateway} is told to forget with its next exchange; until then it reads what it has")


@view.command()
@needs(ERASE_PERIODS)
@click.argument("device")
@click.option("--class", "view_class", type=click.Choice(_CLASSES), required=True, help="Which view class.")
@click.option("--period", "first", type=click.IntRange(0, uint32_max), required=True, help="Which period.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SETTINGS_AND_JSON
def erase(device: str, view_class: str, first: int, yes: bool, config: Path, as_json: bool) -> int:
    """Erase the view key of a period of DEVICE: nobody reads again what it sealed then, here and at its gateways.

    Seals, digests and headers stay as they are, so that the chain verifies. Backups of keystore.db hold the key still: erase it
    there too. It asks first; exit code 1 if the answer is no.
    """
    from office_ingest.errors import KeyUnknown, in_words
    from office_ingest.govern.shelf import Shelf
    from protocol.errors import ProtocolError
    from protocol.keys import CLASS_NAMES

    with open_store(config) as store:
        identity = device_called(Shelf(store), device)
    if not yes and not click.confirm(
        f"Erase period {first} of class {view_class} of {device} for ever?", err=True
    ):
        click.echo("nothing was erased", err=as_json)
        return FINDING
    try:
        with open_keystore(config, read_only=False) as keystore, in_words():
            keystore.erase_period(identity, CLASS_NAMES.index(view_class), first)
    except (KeyUnknown, ProtocolError) as error:
        fix = "outstation office devices shows what is known of it"
        raise DiagnosticError(Diagnostic("office-no-such-period", str(error), fix=fix)) from None
    if as_json:
        emit(
            "outstation.office-view-erased",
            1,
            {"device": identity.hex(), "class": view_class, "period": first},
        )
    else:
        click.echo(
            f"erased: period {first} of class {view_class} of {device}; its gateways forget it within a minute"
        )
    return OK


def _require_gateway(store: "SqliteStore", gateway: str) -> None:
    if not store.has_name("gateways", gateway):
        fix = "name it as outstation provision gateway did"
        raise DiagnosticError(
            Diagnostic("office-no-such-gateway", f"no gateway is called {gateway}", fix=fix)
        )
