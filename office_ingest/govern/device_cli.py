"""The commands `outstation office device ...`: what is decided about one device for good."""

from pathlib import Path

import click

from office_ingest.govern.opening import device_called, now_ms, open_store
from office_ingest.options import SETTINGS_AND_JSON
from office_ingest.permissions import REVOKE_DEVICES, needs
from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError
from protocol.report import emit

REASON_CHARACTERS_MAX = 200


@click.group()
def device() -> None:
    """Decide about one device."""


@device.command()
@needs(REVOKE_DEVICES)
@click.argument("name", metavar="DEVICE")
@click.option("--author", required=True, help="Who says so.")
@click.option("--reason", required=True, help="Why; it stays on record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SETTINGS_AND_JSON
def revoke(name: str, author: str, reason: str, yes: bool, config: Path, as_json: bool) -> int:
    """Revoke DEVICE for good: stolen, lost, or not to be trusted any more.

    From now on the office takes nothing new of it and says nothing to it; each gateway of its site learns so with its next exchange and
    serves it no more. What is held stays as good as it was. It never comes back: provision it anew, under another identity.
    It asks first; exit code 1 if the answer is no.
    """
    from office_ingest.errors import in_words
    from office_ingest.govern.shelf import Shelf

    _check_reason(reason)
    with open_store(config) as store:
        identity = device_called(Shelf(store), name)
        if store.is_revoked(identity):
            fix = "nothing is to be done; outstation office devices shows it"
            raise DiagnosticError(Diagnostic("office-revoked", f"{name} is revoked already", fix=fix))
        if not yes and not click.confirm(f"Revoke {name} ({identity.hex()}) for good?", err=True):
            click.echo("nothing was revoked", err=as_json)
            return FINDING
        at_ms = now_ms()
        with in_words(), store.transaction():
            store.revoke_device(identity, author, reason, at_ms)
    if as_json:
        said = {"device": identity.hex(), "author": author, "reason": reason, "revoked_ms": at_ms}
        emit("outstation.office-device-revoked", 1, said)
    else:
        click.echo(
            f"revoked: {name} ({identity.hex()}), by {author}; its gateways learn it with their next exchange"
        )
    return OK


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        message = f"--reason is no text of 1 to {REASON_CHARACTERS_MAX} characters that can be printed"
        raise DiagnosticError(Diagnostic("usage-wrong", message, fix="say in a line why"))
