"""The commands `outstation office ...` and `outstation verify`."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from office_ingest.govern.device_cli import device
from office_ingest.govern.gaps_cli import gaps
from office_ingest.govern.gateway_cli import ca, gateway
from office_ingest.govern.image_cli import image
from office_ingest.govern.store_cli import store
from office_ingest.govern.token_cli import acts, token
from office_ingest.govern.view_cli import view
from office_ingest.options import CONFIG, FILE, JSON, SETTINGS_AND_JSON
from office_ingest.permissions import (
    FOUND_OFFICE,
    READ_DECISIONS,
    READ_DEVICES,
    READ_FINDINGS,
    REPAIR_OFFICE,
    RUN_OFFICE,
    VERIFY_RECORDS,
    needs,
)
from protocol.core_dumps import forbid_core_dumps
from protocol.diagnostic import FINDING, INTERRUPTED, OK, Diagnostic, DiagnosticError, show
from protocol.report import emit

if TYPE_CHECKING:
    import sqlite3


@click.group()
def office() -> None:
    """Run and look into the office."""


office.add_command(device)
office.add_command(gaps)
office.add_command(token)
office.add_command(view)
office.add_command(image)
office.add_command(acts)
office.add_command(gateway)
office.add_command(ca)
office.add_command(store)


@office.command()
@needs(FOUND_OFFICE, office=None)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", default="office", show_default=True, help="Name of the office.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8443, show_default=True, help="Port to listen on."
)
@click.option(
    "--page-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of the page for people, on this machine only; 0 for any free one.",
)
@JSON
def init(folder: Path, name: str, host: str, port: int, page_port: int, as_json: bool) -> None:
    """Make the FOLDER of a new office.

    It gets settings, TLS, an empty database and an empty keystore.
    """
    from office_ingest.founding import found_office

    now_ms = time.time_ns() // 1_000_000
    settings = found_office(folder, now_ms=now_ms, name=name, host=host, port=port, page_port=page_port)
    if as_json:
        emit("outstation.office-init", 1, {"settings": str(settings)})
    else:
        click.echo(f"wrote {settings}; next: outstation office serve --config {settings}")


@office.command()
@needs(RUN_OFFICE, is_written_after=True)
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document when it is ready.")
def serve(config: Path, as_json: bool) -> None:
    """Serve gateways until interrupted.

    Prints one line when it is ready; SIGTERM or Ctrl-C ends it in order.
    """
    from office_ingest.config import check_files, read_office
    from protocol.installation import check_installation

    check_installation()
    configuration = read_office(config)
    check_files(configuration.files)
    from office_ingest.app import run_office

    run_office(configuration, _say_ready_json if as_json else _say_ready)


def _say_ready(address: str, page: str | None) -> None:
    click.echo(f"serving on {address}")
    if page is not None:
        click.echo(f"page for people on {page}")


def _say_ready_json(address: str, page: str | None) -> None:
    emit("outstation.office-serve", 1, {"serving": address, "page": page, "process": os.getpid()})


@office.command()
@needs(READ_DEVICES)
@SETTINGS_AND_JSON
def devices(config: Path, as_json: bool) -> None:
    """Show each device.

    When it was heard, the newest number held of each lane, events, decisions; the bundle that its newest sealed heartbeat
    names, the release wanted there, the last step of an adoption; below them what is missing or in doubt.
    """
    from office_ingest.device_table import device_lines
    from office_ingest.overview import devices_overview

    rows = devices_overview(_database(config))
    if as_json:
        emit("outstation.office-devices", 1, {"devices": rows})
    else:
        click.echo("\n".join(device_lines(rows, time.time_ns() // 1_000_000)))


@office.command()
@needs(READ_FINDINGS)
@CONFIG
@click.option("--all", "cleared", is_flag=True, help="Also those that are over.")
@JSON
def findings(config: Path, cleared: bool, as_json: bool) -> int:
    """Show what a person should look at.

    Findings, and what lies in quarantine. Exit code 1 if a finding is open.
    """
    from office_ingest.overview import findings_overview, quarantine_overview

    connection = _database(config)
    rows, refused = findings_overview(connection, cleared=cleared), quarantine_overview(connection)
    if as_json:
        emit("outstation.office-findings", 1, {"findings": rows, "quarantine": refused})
    else:
        for row in rows:
            where = " ".join(part for part in (row["name"] or row["device"], row["place"]) if part)
            click.echo(f"{row['state']:7} {row['kind']:10} {where}: {row['text']} ({row['times']} times)")
        for row in refused:
            click.echo(f"refused {row['digest'][:16]} of {row['device'] or 'nobody known'}: {row['text']}")
        click.echo(f"{len(rows)} findings, {len(refused)} in quarantine")
    return FINDING if any(row["state"] == "open" for row in rows) else OK


@office.command()
@needs(REPAIR_OFFICE, is_written_after=True)
@SETTINGS_AND_JSON
def repair(config: Path, as_json: bool) -> int:
    """Make the database whole after its disk changed it.

    The office must not run. Segments that do not verify are asked for again when it runs; nothing whose seal holds is
    deleted, and a file whose pages are damaged is kept beside the new one. Exit code 1 if anything was damaged.
    """
    from office_ingest.app import lock_database
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.prove.repair import repair_database
    from office_ingest.receive.keystore import Keystore

    files = read_office(config).files
    with (
        in_words(),
        lock_database(files.database),
        closing(Keystore.open(files.keystore)) as keystore,
    ):
        repaired = repair_database(files.database, keystore, now_ms=time.time_ns() // 1_000_000)
    if as_json:
        emit("outstation.office-repair", 1, repaired.document())
    else:
        click.echo("\n".join(repaired.lines()))
    return FINDING if repaired.damages else OK


@office.command()
@needs(READ_DECISIONS)
@click.argument("device")
@click.argument("order", type=click.IntRange(0), required=False)
@SETTINGS_AND_JSON
def explain(device: str, order: int | None, config: Path, as_json: bool) -> int:
    """Show a decision: inputs, registers, rule, verdicts, replay.

    DEVICE is 16 hex digits or a name; ORDER the place of the decision among the device's events, the newest if left out.
    Exit code 1 if the replay decides otherwise.
    """
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.prove.explain import explain_decision, explanation_lines
    from office_ingest.receive.keystore import Keystore

    connection = _database(config)
    with in_words():
        keystore = Keystore.open(read_office(config).files.keystore, read_only=True)
    explanation = explain_decision(connection, keystore, device, order)
    if as_json:
        emit("outstation.office-explanation", 1, explanation)
    else:
        click.echo("\n".join(explanation_lines(explanation)))
    return OK if explanation["replay"] == [] else FINDING


@click.command()
@needs(VERIFY_RECORDS, office=None)
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--keystore", type=click.Path(path_type=Path), help="Also check seals, bodies and decisions.")
@click.option("--authority", type=FILE, help="Also check the office's authority.db.")
@click.option("--passphrase-file", type=FILE, help="Holds the passphrase, if they are encrypted copies.")
@click.option("--keyring", help="Entry of the keyring that holds it instead.")
@JSON
def verify(
    database: Path,
    keystore: Path | None,
    authority: Path | None,
    passphrase_file: Path | None,
    keyring: str | None,
    as_json: bool,
) -> int:
    """Check an office DATABASE without the service, changing nothing. Exit code 1 if anything does not agree."""
    from office_ingest.errors import in_words
    from office_ingest.overview import open_read_only
    from office_ingest.prove.authority import check_authority
    from office_ingest.prove.progress import shown_progress
    from office_ingest.prove.verify import verify_database
    from office_ingest.receive.keystore import Keystore

    with in_words():
        _show_passphrase((database, keystore, authority), passphrase_file, keyring)
        connection = open_read_only(database)
        _refuse_older(connection, database)
        keys = Keystore.open(keystore, read_only=True) if keystore else None
    with shown_progress(quiet=as_json) as progress:
        report = verify_database(connection, keys, progress)
    if authority is not None:
        with in_words():
            check_authority(authority, connection, report)
    if as_json:
        emit("outstation.verify", 1, report.as_json())
    else:
        click.echo("\n".join(report.lines()))
    return FINDING if report.findings else OK


def _refuse_older(connection: "sqlite3.Connection", database: Path) -> None:
    """Say that a copy is of an older version: a table that it never had is no damage."""
    from office_ingest.storage.sqlite import steps_behind

    behind = steps_behind(connection)
    if behind > 0:
        message = f"an older version wrote this database: it lacks {behind} steps of the schema"
        fix = "verify it with that version, or let an office of this version open another copy of it first"
        raise DiagnosticError(Diagnostic("office-older", message, str(database), fix=fix))


def _show_passphrase(
    databases: tuple[Path | None, ...], passphrase_file: Path | None, keyring: str | None
) -> None:
    from protocol.passphrase import refuse_both, source_of
    from protocol.sqlite_settle import show_passphrase

    try:
        refuse_both(passphrase_file, keyring)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    source = source_of(passphrase_file, keyring)
    for path in databases:
        if path is not None and source is not None:
            show_passphrase(path, source)


def _database(config: Path) -> "sqlite3.Connection":
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.overview import open_read_only

    with in_words():
        return open_read_only(read_office(config).files.database)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m office_ingest` and end the process with its exit code."""
    forbid_core_dumps()
    try:
        result = office.main(arguments, prog_name="office", standalone_mode=False)
        sys.exit(result if isinstance(result, int) else OK)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DiagnosticError as error:
        show(error.diagnostics)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
