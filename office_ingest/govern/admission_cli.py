"""The commands `outstation office device pending|admit|refuse`: boards that announced themselves and wait for a person's yes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from office_ingest.govern.opening import device_called, now_ms, open_keystore, open_store
from office_ingest.options import FILE, SETTINGS_AND_JSON
from office_ingest.permissions import PROVISION_DEVICES, READ_DEVICES, needs
from protocol.diagnostic import FINDING, OK, USAGE, Diagnostic, DiagnosticError
from protocol.errors import ProtocolError
from protocol.report import emit

if TYPE_CHECKING:
    from office_ingest.govern.admissions import Admissions, Terms
    from office_ingest.receive.claims import Board, Claim
    from office_ingest.storage.sqlite import SqliteStore

_NAME_CHARACTERS_MAX = 64
_BOARD = click.argument("board", metavar="BOARD")


@contextmanager
def _opened(config: Path) -> Iterator[tuple["SqliteStore", "Admissions"]]:
    from office_ingest.errors import in_words
    from office_ingest.govern.admissions import Admissions

    with open_store(config) as store, open_keystore(config, read_only=False) as keystore, in_words():
        yield store, Admissions(store, keystore)


@click.command()
@needs(READ_DEVICES)
@click.option(
    "--all", "is_all", is_flag=True, help="Also claims that were never heard of, and those that ended."
)
@SETTINGS_AND_JSON
def pending(is_all: bool, config: Path, as_json: bool) -> int:
    """List the boards that announced themselves and wait; exit code 1 if any does.

    Each was made known by a claim of this office and proved it: compare the identity with the board's label.
    """
    with _opened(config) as (store, admissions):
        claims = admissions.claims.boards()
        sites = {by.gateway: store.gateway_row(by.gateway) for one in claims for by in one.hearings}
    waiting = [claim for claim in claims if claim.waits]
    shown = claims if is_all else waiting
    if as_json:
        documents = [_document(claim, sites) for claim in shown]
        emit("outstation.office-device-pending", 1, {"boards": documents})
        return FINDING if waiting else OK
    for claim in shown:
        where = f"by {', '.join(by.gateway for by in claim.hearings)}" if claim.hearings else "never heard"
        click.echo(f"{claim.board.hex()}  {claim.hardware:<18}{_word(claim):<9}{where}")
    if not shown:
        click.echo("no board waits")
    return FINDING if waiting else OK


def _word(claim: "Board") -> str:
    return "waits" if claim.waits else claim.state


def _document(claim: "Board", sites: dict[str, tuple[str, str, int] | None]) -> dict[str, Any]:
    newest = claim.hearings[0] if claim.hearings else None
    return {
        "board": claim.board.hex(),
        "hardware": claim.hardware,
        "state": _word(claim),
        "gateway": newest.gateway if newest else None,
        "heard_ms": newest.last_ms if newest else None,
        "made_ms": claim.made_ms,
        "heard_by": [
            {**by._asdict(), "site": row[1] if (row := sites[by.gateway]) else None} for by in claim.hearings
        ],
    }


@click.command()
@needs(PROVISION_DEVICES)
@_BOARD
@click.option("--name", required=True, help="Name of the device that it becomes.")
@click.option("--like", help="A device whose kind, cohort, channels and rules it gets.")
@click.option("--schema", type=FILE, help="Its channels, schema.cbor; with --rules, in place of --like.")
@click.option("--rules", type=FILE, help="The rules that it begins with, bundle.cbor.")
@click.option("--kind", help="Kind of device, if another than that of --like.  [default: sensor]")
@click.option("--cohort", help="Cohort, if another than that of --like.")
@click.option("--sample-ms", type=click.IntRange(10, 86_400_000), help="Device time between samples.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SETTINGS_AND_JSON
def admit(
    board: str,
    name: str,
    like: str | None,
    schema: Path | None,
    rules: Path | None,
    kind: str | None,
    cohort: str | None,
    sample_ms: int | None,
    yes: bool,
    config: Path,
    as_json: bool,
) -> int:
    """Let BOARD become a device: of the site of the gateway that heard it, under the identity on its label.

    It asks first; exit code 1 if the answer is no. The board gets its keys within some seconds, over that gateway.
    """
    with _opened(config) as (store, admissions):
        claim = _waiting(admissions, board)
        site = _site(store, claim)
        body = _body_of(store, like, schema, rules)
        traits = _traits(store, like)
        terms = _terms(
            store, claim.board, name, site, body, kind or traits[0], traits[1] if cohort is None else cohort
        )
        if sample_ms is not None:
            terms.settings.append(["sample_ms", sample_ms])
        question = (
            f"Admit {claim.board.hex()} ({claim.hardware}), heard by {claim.gateway}, to {site} as {name}?"
        )
        if not yes and not click.confirm(question, err=True):
            click.echo("nobody was admitted", err=as_json)
            return FINDING
        try:
            if not admissions.admit(claim, terms, now_ms()):
                raise _decided(_claim(admissions, board))
        except ProtocolError as error:
            fix = "name the schema.cbor and bundle.cbor of a device that this board can be"
            raise DiagnosticError(Diagnostic("office-admission", str(error), fix=fix)) from None
    if as_json:
        emit(
            "outstation.office-device-admitted", 1, {"device": claim.board.hex(), "name": name, "site": site}
        )
    else:
        click.echo(f"admitted: {name} ({claim.board.hex()}) at {site}; it gets its keys over {claim.gateway}")
    return OK


@click.command()
@needs(PROVISION_DEVICES)
@_BOARD
@SETTINGS_AND_JSON
def refuse(board: str, config: Path, as_json: bool) -> None:
    """Refuse BOARD for good: its claim is worth nothing any more, and its one-time secret is erased here."""
    with _opened(config) as (_, admissions):
        claim = _claim(admissions, board)
        if not admissions.claims.refuse(claim.board):
            raise _decided(claim)
    if as_json:
        emit("outstation.office-device-refused", 1, {"board": claim.board.hex()})
    else:
        click.echo(f"refused: {claim.board.hex()}; give the board another claim if it is to be used")


def _claim(admissions: "Admissions", board: str) -> "Claim":
    try:
        claim = admissions.claims.find(bytes.fromhex(board))
    except ValueError:
        claim = None
    if claim is None:
        fix = "outstation office device pending --all shows every claim"
        raise DiagnosticError(Diagnostic("office-no-such-board", f"there is no claim of {board}", fix=fix))
    return claim


def _waiting(admissions: "Admissions", board: str) -> "Claim":
    """Return the claim of a board that waits. Raises DiagnosticError: decided about already, or never heard."""
    claim = _claim(admissions, board)
    if claim.state != "made":
        raise _decided(claim)
    if claim.gateway is None:
        message = f"no gateway has heard {board} yet: it gets its keys over the one that does"
        fix = "switch it on where a gateway with newcomers = true is"
        raise DiagnosticError(Diagnostic("office-admission", message, fix=fix))
    return claim


def _decided(claim: "Claim") -> DiagnosticError:
    message = f"about {claim.board.hex()} was decided already: {claim.state}"
    fix = "a device is ended by outstation office device revoke; a board can be given another claim"
    return DiagnosticError(Diagnostic("office-admission", message, fix=fix))


def _site(store: "SqliteStore", claim: "Claim") -> str:
    row = store.gateway_row(claim.gateway or "")
    if row is None:
        message = f"the gateway {claim.gateway} is not of this office any more"
        fix = "wait until another gateway of the office hears the board"
        raise DiagnosticError(Diagnostic("office-admission", message, fix=fix))
    return row[1]


def _traits(store: "SqliteStore", like: str | None) -> tuple[str, str]:
    """Return kind and cohort of a device."""
    from office_ingest.govern.shelf import Shelf
    from office_ingest.storage.downward import Downward

    traits = Downward(store).traits(device_called(Shelf(store), like)) if like else None
    return (traits.kind, traits.cohort) if traits else ("sensor", "")


def _body_of(
    store: "SqliteStore", like: str | None, schema: Path | None, rules: Path | None
) -> tuple[bytes, bytes]:
    """Return channels and rules: of a device, or of two files."""
    from office_ingest.govern.shelf import Shelf
    from office_ingest.storage.downward import Downward

    if (like is None) == (schema is None) or (schema is None) != (rules is None):
        fix = "write --like DEVICE, or both --schema FILE and --rules FILE"
        raise DiagnosticError(
            Diagnostic(
                "usage-wrong", "it is not said which channels and rules the device begins with", fix=fix
            ),
            USAGE,
        )
    if schema is not None and rules is not None:
        return schema.read_bytes(), rules.read_bytes()
    traits = Downward(store).traits(device_called(Shelf(store), like or ""))
    found = traits and (
        _held(store, "schemas", traits.schema),
        _held(store, "bundles", traits.bundle),
    )
    if not found or None in found:
        fix = "name files: --schema and --rules"
        message = f"the office does not hold the channels and rules of {like}"
        raise DiagnosticError(Diagnostic("office-admission", message, fix=fix))
    return found  # type: ignore[return-value]  # None was looked for


def _held(store: "SqliteStore", table: str, digest: bytes) -> bytes | None:
    rows = store.connection.execute(
        f"SELECT body FROM {table} WHERE substr(digest, 1, ?) = ?",  # noqa: S608 - the two names above
        (len(digest), digest),
    ).fetchall()
    return next((body for (body,) in rows if hashlib.sha256(body).digest().startswith(digest)), None)


def _terms(
    store: "SqliteStore",
    board: bytes,
    name: str,
    site: str,
    body: tuple[bytes, bytes],
    kind: str,
    cohort: str,
) -> "Terms":
    from office_ingest.govern.admissions import Terms
    from office_ingest.govern.roots import newcomer_roots
    from office_ingest.govern.shelf import Shelf
    from rules.bundle import read_bundle

    if not 0 < len(name) <= _NAME_CHARACTERS_MAX or not name.isprintable() or name.strip() != name:
        fix = f"take 1 to {_NAME_CHARACTERS_MAX} characters that can be printed"
        raise DiagnosticError(Diagnostic("provision-name", f"the device cannot be called {name!r}", fix=fix))
    shelf = Shelf(store)
    # Its own already where an admission of it was cut off.
    if shelf.device_called(name) not in (None, board):
        fix = "choose another name; outstation office devices shows the devices"
        raise DiagnosticError(
            Diagnostic("provision-name-taken", f"the office knows a device called {name} already", fix=fix)
        )
    try:
        read_bundle(body[1])
    except ProtocolError as error:
        raise DiagnosticError(
            Diagnostic("office-admission", f"the rules are no bundle: {error}", fix="name a bundle.cbor")
        ) from None
    return Terms(name, site, kind, cohort, *body, newcomer_roots(shelf), [])
