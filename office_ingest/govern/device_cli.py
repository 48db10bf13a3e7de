"""The commands `outstation office device ...`: what is decided about devices."""

from pathlib import Path
from typing import Any

import click

from office_ingest.govern.admission_cli import admit, pending, refuse
from office_ingest.govern.budget_cli import budget
from office_ingest.govern.opening import device_called, now_ms, open_keystore, open_store, user_name
from office_ingest.options import SETTINGS_AND_JSON, said_by
from office_ingest.permissions import PROVISION_DEVICES, REKEY_DEVICES, REVOKE_DEVICES, needs
from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError
from protocol.report import emit

REASON_CHARACTERS_MAX = 200
WITHHELD = "it waits: what the device runs is not known here, and no keys go to it before that is; see outstation office devices"


_LASTS = click.option(
    "--for", "lasts", default="7d", show_default=True, help="How long it may be carried out: 2h, 7d."
)


@click.group()
def device() -> None:
    """Decide about devices: their site, their links, their end; and see what they move."""


device.add_command(pending)
device.add_command(admit)
device.add_command(refuse)
device.add_command(budget)


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


@device.command()
@needs(REKEY_DEVICES)
@click.argument("name", metavar="DEVICE")
@_LASTS
@said_by("Who gives them")
@SETTINGS_AND_JSON
def rekey(name: str, lasts: str, author: str | None, config: Path, as_json: bool) -> int:
    """Give DEVICE other keys: for its seals, its bodies and what the office says to it.

    One command; the device takes it with one of its next exchanges, seals under the other keys from then on, and nothing of before is lost.
    outstation office devices says how it stands. Make a new copy of the keystore afterwards: one of before cannot follow the device.
    """
    from office_ingest.errors import KeyUnknown, in_words
    from office_ingest.govern.attestation import is_withheld
    from office_ingest.govern.command_cli import lasts_milliseconds
    from office_ingest.govern.commands import CommandRefused
    from office_ingest.govern.rekey import give_rekey
    from office_ingest.govern.shelf import Shelf

    lasts_ms = lasts_milliseconds(lasts)
    with open_store(config) as store, open_keystore(config, read_only=False) as keystore, in_words():
        identity = device_called(Shelf(store), name)
        try:
            given = give_rekey(
                store, keystore, identity, author=author or user_name(), now_ms=now_ms(), lasts_ms=lasts_ms
            )
        except (CommandRefused, KeyUnknown) as error:
            raise _not_given(error) from None
        is_held = is_withheld(store, identity)
    _tell_given("rekeyed", "other keys", name, identity, given, is_held=is_held, as_json=as_json)
    return OK


@device.command()
@needs(REKEY_DEVICES)
@click.argument("name", metavar="DEVICE")
@_LASTS
@said_by("Who gives it")
@SETTINGS_AND_JSON
def relink(name: str, lasts: str, author: str | None, config: Path, as_json: bool) -> int:
    """Give DEVICE another link to its gateways: another secret under another sender ID.

    One command; gateways of its site serve both links until the device is heard to use the other one, and the link of before ends then.
    outstation office devices says how it stands. Make a new copy of the keystore afterwards: one of before knows only the link of before.
    """
    from office_ingest.errors import KeyUnknown, in_words
    from office_ingest.govern.attestation import is_withheld
    from office_ingest.govern.command_cli import lasts_milliseconds
    from office_ingest.govern.commands import CommandRefused
    from office_ingest.govern.gateway_cli import opened
    from office_ingest.govern.relink import give_relink, uncertified_gateways
    from office_ingest.govern.shelf import Shelf

    lasts_ms, at_ms = lasts_milliseconds(lasts), now_ms()
    with (
        open_store(config) as store,
        open_keystore(config, read_only=False) as keystore,
        opened(config) as office,
        in_words(),
    ):
        identity = device_called(Shelf(store), name)
        uncertified = uncertified_gateways(store, office.store, identity, at_ms)
        try:
            given = give_relink(
                store,
                keystore,
                identity,
                uncertified,
                author=author or user_name(),
                now_ms=at_ms,
                lasts_ms=lasts_ms,
            )
        except (CommandRefused, KeyUnknown) as error:
            raise _not_given(error) from None
        is_held = is_withheld(store, identity)
    _tell_given("relinked", "another link", name, identity, given, is_held=is_held, as_json=as_json)
    return OK


def _not_given(error: Exception) -> DiagnosticError:
    fix = "nothing was given; see outstation office devices"
    return DiagnosticError(Diagnostic("command-refused", str(error), fix=fix))


def _tell_given(
    done: str, what: str, name: str, identity: bytes, given: Any, *, is_held: bool, as_json: bool
) -> None:
    """Say which command was given. given: what give_command returned; is_held: whether the office keeps it back."""
    if as_json:
        said = {
            "device": identity.hex(),
            "command": given.number,
            "until_ms": given.until_ms,
            "withheld": is_held,
        }
        emit(f"outstation.office-device-{done}", 1, said)
        return
    click.echo(
        f"command {given.number}: {name} ({identity.hex()}) is to take {what}; outstation office devices says when it did"
    )
    if is_held:
        click.echo(WITHHELD)


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        message = f"--reason is no text of 1 to {REASON_CHARACTERS_MAX} characters that can be printed"
        raise DiagnosticError(Diagnostic("usage-wrong", message, fix="say in a line why"))


@device.command()
@needs(PROVISION_DEVICES)
@click.argument("name", metavar="DEVICE")
@click.option("--site", required=True, help="Name of the site that it is at from now on.")
@SETTINGS_AND_JSON
def move(name: str, site: str, config: Path, as_json: bool) -> None:
    """Let DEVICE be of another site.

    With their next exchanges the gateways of the old site serve it no more, and those of the new one do, if they show a certificate. What it
    recorded stays one journal. It looks for its gateway where its own settings say: set them too.
    """
    from office_ingest.errors import in_words
    from office_ingest.govern.gateway_cli import opened
    from office_ingest.govern.shelf import Shelf
    from office_ingest.receive.registry import Registry

    with opened(config) as office:
        sites = office.enrolment.sites()
    if site not in sites:
        fix = "make it first: outstation site create NAME; outstation site list shows those that there are"
        raise DiagnosticError(Diagnostic("office-no-site", f"this office knows no site {site!r}", fix=fix))
    with open_store(config) as store, in_words():
        identity = device_called(Shelf(store), name)
        Registry(store).move_device(identity, site)
    if as_json:
        emit("outstation.office-device-move", 1, {"device": identity.hex(), "site": site})
    else:
        click.echo(f"{name} ({identity.hex()}) is of site {site}; its gateways learn it within a minute")


@device.command()
@needs(PROVISION_DEVICES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@SETTINGS_AND_JSON
def links(file: Path, config: Path, as_json: bool) -> None:
    """Take the link secrets in FILE, the links.toml of a gateway, into the office's keystore.

    For devices that were provisioned before the office kept them: from then on it tells them to every gateway of their site that shows a
    certificate. What the office has already stays as it is.
    """
    from office_ingest.errors import in_words
    from office_ingest.govern.links import take_links

    with open_store(config) as store, open_keystore(config, read_only=False) as keystore, in_words():
        taken, left = take_links(store, keystore, file, now_ms())
    if as_json:
        said = {"taken": [one.hex() for one in taken], "left": [one.hex() for one in left]}
        emit("outstation.office-device-links", 1, said)
    else:
        click.echo(f"{len(taken)} taken, {len(left)} left: held already, or of no device of this office")
