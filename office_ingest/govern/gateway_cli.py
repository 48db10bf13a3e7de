"""The commands `outstation office gateway ...` and `outstation office ca ...`: who is a gateway of this office, and by which authority."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from office_ingest.clock import SystemClock
from office_ingest.options import CONFIG, JSON, SETTINGS_AND_JSON, said_by
from office_ingest.permissions import (
    PROVISION_GATEWAYS,
    READ_DEVICES,
    REVOKE_GATEWAYS,
    ROTATE_AUTHORITY,
    needs,
)
from protocol.diagnostic import FINDING, OK
from protocol.report import emit

if TYPE_CHECKING:
    from office_ingest.govern.authority import Authority
    from office_ingest.govern.enrolment import Enrolment
    from office_ingest.storage.authority import AuthorityStore

_NAME = click.argument("name")


class Opened(NamedTuple):
    """An office's authority as a command uses it; the service may run meanwhile."""

    store: "AuthorityStore"
    authority: "Authority"
    enrolment: "Enrolment"
    minutes: float


@contextmanager
def opened(config: Path) -> Iterator[Opened]:
    """Give the authority of an office. Raises DiagnosticError."""
    from office_ingest.config import check_files, read_office
    from office_ingest.errors import in_words
    from office_ingest.govern.enrolment import Enrolment
    from office_ingest.receive.listener import open_authority
    from office_ingest.receive.registry import Registry
    from office_ingest.storage.sqlite import SqliteStore

    settings, files = read_office(config)
    check_files(files)
    with in_words():
        database = SqliteStore.open(files.database)
        store, authority = open_authority(files, _now_ms())
        gateways = settings.gateways
        enrolment = Enrolment(
            store, authority, Registry(database), wall_ms=_now_ms, days=gateways.certificate_days
        )
        try:
            yield Opened(store, authority, enrolment, gateways.invitation_minutes)
        finally:
            store.close()
            database.close()


@click.group()
def gateway() -> None:
    """Invite, list and revoke gateways."""


@gateway.command()
@needs(PROVISION_GATEWAYS)
@_NAME
@click.option("--site", required=True, help="Name of the site.")
@click.option(
    "--minutes",
    type=click.FloatRange(1, 1440),
    help="How long the code is good; 30 if neither this nor office.toml says.",
)
@click.option("--company", is_flag=True, help="No code: its certificate comes from the company's authority.")
@said_by("Who invites it")
@SETTINGS_AND_JSON
def invite(
    name: str,
    site: str,
    minutes: float | None,
    company: bool,
    author: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Let one machine become the gateway NAME.

    Prints a code, once. It is good for one machine and a short time; this office keeps only its hash. On that machine:
    outstation gateway enrol FOLDER --office https://HOST:PORT
    """
    by = author or getpass.getuser()
    with opened(config) as office:
        if company:
            office.enrolment.expect(name, site, by)
            document: dict[str, Any] = {"gateway": name, "site": site, "code": None, "until_ms": None}
        else:
            lasts = minutes or office.minutes
            code = office.enrolment.invite(name, site, by, lasts).text()
            until_ms = _now_ms() + int(lasts * 60_000)
            document = {"gateway": name, "site": site, "code": code, "until_ms": until_ms}
    if as_json:
        emit("outstation.office-gateway-invite", 1, document)
    elif company:
        click.echo(f"gateway {name} is expected with a certificate of the company")
    else:
        click.echo(document["code"])
        click.echo(f"good until {_moment(document['until_ms'])} UTC, for one machine", err=True)


@gateway.command("list")
@needs(READ_DEVICES)
@SETTINGS_AND_JSON
def list_gateways(config: Path, as_json: bool) -> int:
    """Show who may be a gateway.

    Until when the certificate of each is good, whether it trusts the newest authority, which codes wait, which link secrets must be
    replaced. Exit code 1 if there are such.
    """
    with opened(config) as office:
        document = gateways_document(office, _now_ms())
    if as_json:
        emit("outstation.office-gateways", 1, document)
    else:
        click.echo("\n".join(_gateway_lines(document)))
    return FINDING if document["link_secrets"] else OK


@gateway.command()
@needs(REVOKE_GATEWAYS)
@_NAME
@click.option("--reason", default="", help="Why.")
@said_by("Who revokes it")
@SETTINGS_AND_JSON
def revoke(name: str, reason: str, author: str | None, config: Path, as_json: bool) -> None:
    """Refuse a gateway from its next request on, for good.

    What it brought stays, and stays verifiable. The devices of its site are listed: it knew their link secrets.
    """
    with opened(config) as office:
        devices = office.enrolment.revoke(name, author or getpass.getuser(), reason)
    if as_json:
        emit(
            "outstation.office-gateway-revoke",
            1,
            {"gateway": name, "link_secrets": [d.hex() for d in devices]},
        )
        return
    click.echo(f"gateway {name} is refused from its next request on")
    click.echo(f"{len(devices)} devices need another link secret: outstation office gateway list")


def gateways_document(office: Opened, now_ms: int) -> dict[str, Any]:
    """Return what `list` shows."""
    mark = office.authority.mark()
    return {
        "gateways": [_gateway(office.store, row, mark, now_ms) for row in office.store.gateways()],
        "invitations": [
            {"gateway": one.gateway, "author": one.author, "until_ms": one.until_ms}
            for one in office.store.invitations()
            if one.used_ms is None and one.until_ms > now_ms
        ],
        "link_secrets": [
            {"device": device.hex(), "gateway": name, "since_ms": since_ms}
            for device, name, since_ms in office.store.link_secrets()
        ],
    }


def _gateway(store: "AuthorityStore", row: Any, mark: str, now_ms: int) -> dict[str, Any]:
    good = [one for one in store.certificates(row.name) if one.until_ms > now_ms]
    newest = max(good, key=lambda one: one.issued_ms) if good and row.revoked_ms is None else None
    return {
        "gateway": row.name,
        "site": row.site,
        "way": row.way,
        "until_ms": newest.until_ms if newest else None,
        "used": bool(newest and newest.first_used_ms),
        "authority": newest.authority if newest else None,
        "trusts_newest": row.trusts == mark,
        "revoked_ms": row.revoked_ms,
        "reason": row.reason,
    }


def _gateway_lines(document: dict[str, Any]) -> list[str]:
    lines = []
    for row in document["gateways"]:
        if row["revoked_ms"] is not None:
            said = f"revoked {_moment(row['revoked_ms'])}" + (f": {row['reason']}" if row["reason"] else "")
        elif row["until_ms"] is None:
            said = "no certificate yet"
        else:
            said = f"certificate until {_moment(row['until_ms'])}" + ("" if row["used"] else ", not used yet")
        lines.append(f"{row['gateway']}  {row['site']}  {said}")
    lines += [
        f"code for {one['gateway']} until {_moment(one['until_ms'])}" for one in document["invitations"]
    ]
    lines += [
        f"device {one['device']} needs another link secret: {one['gateway']} knew it"
        for one in document["link_secrets"]
    ]
    return lines or ["no gateway has, or waits for, a certificate"]


@click.group()
def ca() -> None:
    """Look at the office's certificate authority, and replace it."""


@ca.command()
@needs(READ_DEVICES)
@SETTINGS_AND_JSON
def status(config: Path, as_json: bool) -> None:
    """Show the authorities, the server's certificate, and which gateways are not ready for the next step."""
    with opened(config) as office:
        document = authorities_document(office)
    if as_json:
        emit("outstation.office-ca", 1, document)
        return
    for row in document["authorities"]:
        click.echo(
            f"authority {row['number']}  {row['state']}  until {_moment(row['until_ms'])}  {row['sha256'][:16]}"
        )
    click.echo(
        f"server certificate until {_moment(document['server_until_ms'])}"
        if document["server_until_ms"]
        else "no server certificate"
    )
    for words, key in (
        ("do not trust the newest authority yet", "lagging"),
        ("have a certificate of another one", "bound"),
    ):
        if document[key]:
            click.echo(f"{words}: {', '.join(document[key])}")


@ca.command()
@needs(ROTATE_AUTHORITY)
@click.option(
    "--anyway", is_flag=True, help="Also where gateways are not ready: they are then enrolled again by hand."
)
@CONFIG
@JSON
def rotate(anyway: bool, config: Path, as_json: bool) -> None:
    """Take the next step from one authority to another.

    First a new one is announced to the gateways; then the server's certificate and the gateways' come from it; then the old one is
    trusted no more. Each step waits for the gateways. The service may run.
    """
    with opened(config) as office:
        before = authorities_document(office)
        step = office.authority.rotate(
            _now_ms(), lagging=before["lagging"], bound=before["bound"], anyway=anyway
        )
    if as_json:
        emit("outstation.office-ca-rotate", 1, {"step": step})
    else:
        click.echo(_STEPS[step])


_STEPS = {
    "announced": "a new authority is announced; once ca status names no gateway, rotate again: the server changes over to it",
    "switched": "the server has a certificate of the new authority; once ca status names no gateway, rotate again: the old one ends",
    "retired": "the old authority is trusted no more",
}


def authorities_document(office: Opened) -> dict[str, Any]:
    """Return what `status` shows."""
    from cryptography import x509

    from office_ingest.certificates import milliseconds
    from office_ingest.storage.authority import GONE, OFFICE

    now_ms, mark = _now_ms(), office.authority.mark()
    standing = [row for row in office.store.gateways() if row.revoked_ms is None]
    shown = [_gateway(office.store, row, mark, now_ms) for row in standing]
    held = [row for row in shown if row["until_ms"] is not None]
    rows = office.authority.rows()
    issuing = office.authority.issuer()[0]
    server = x509.load_pem_x509_certificate(office.authority.paths.certificate.read_bytes())
    return {
        "authorities": [
            {
                "number": row.number,
                "state": row.state,
                "until_ms": milliseconds(x509.load_der_x509_certificate(row.certificate).not_valid_after_utc),
                "sha256": _sha256(row.certificate),
            }
            for row in rows
            if row.state != GONE
        ],
        "server_until_ms": milliseconds(server.not_valid_after_utc),
        "lagging": [row["gateway"] for row in held if not row["trusts_newest"]],
        "bound": [row["gateway"] for row in held if row["way"] == OFFICE and row["authority"] != issuing],
    }


def _sha256(raw: bytes) -> str:
    import hashlib

    return hashlib.sha256(raw).hexdigest()


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _now_ms() -> int:
    return SystemClock().wall_ms()
