"""The commands `outstation provision devices|labels|read-label`: many devices from a list, and what is stuck on them."""

import sys
from pathlib import Path
from typing import Any

import click

from gateway.options import JSON, host, port
from office_ingest.permissions import PROVISION_DEVICES, READ_DEVICES, needs
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.report import emit
from tools.provision_options import FOLDER, OFFICE


@click.command("devices")
@needs(PROVISION_DEVICES, office="office_config")
@OFFICE
@click.option(
    "--csv",
    "listed",
    type=click.Path(path_type=Path),
    required=True,
    help="The list: name, site, and any of kind, cohort, hardware, host, port, sectors, recording.",
)
@click.option(
    "--gateway",
    "gateway_folder",
    type=FOLDER,
    help="Folder of a gateway that has a token; left out, the office tells the site's gateways the links.",
)
@host("The gateway's address where a row names none.")
@port("Its UDP port where a row names none.")
@click.option(
    "--recording",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Recording where a row names none; the demonstration's if left out.",
)
@JSON
@click.argument("folder", type=FOLDER)
def devices_command(
    office_config: Path,
    listed: Path,
    gateway_folder: Path | None,
    host: str,
    port: int,
    recording: Path | None,
    as_json: bool,
    folder: Path,
) -> None:
    """Make the devices of a list, each in a folder of its name below FOLDER.

    The whole list is checked first. Each row is made whole or not at all; run it again after a cut, and it goes on where it was. The office
    tells the gateways that show a certificate; one that has a token needs --gateway, and SIGHUP if it runs already.
    """
    from tools.batch import Made, provision_rows, read_rows
    from tools.provision import DevicePlan, opened, replayed

    with opened(office_config) as office, replayed(recording) as (file, offset, more):
        rows = read_rows(
            listed, DevicePlan("", "", host, port, recording=file, recording_offset=offset, more=more)
        )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        count = [0]

        def told(one: Made) -> None:
            count[0] += 1
            if not as_json:
                words = one.device.hex() if one.is_new else "was there already"
                click.echo(f"{count[0]} of {len(rows)}  {one.name}  {words}")

        made = provision_rows(office, gateway_folder, folder, rows, told, listed)
    if as_json:
        shown = [{"name": one.name, "device": one.device, "new": one.is_new} for one in made]
        emit("outstation.provision-devices", 1, {"devices": shown})


@click.command("labels")
@needs(READ_DEVICES, office="office_config")
@OFFICE
@click.option("--site", help="Only devices of this site.")
@click.option("--png", is_flag=True, help="Also a picture of each code.")
@JSON
@click.argument("folder", type=FOLDER)
@click.argument("names", nargs=-1)
def labels_command(
    office_config: Path, site: str | None, png: bool, as_json: bool, folder: Path, names: tuple[str, ...]
) -> None:
    """Write sheets of labels to print into FOLDER, for the devices called NAMES or for all.

    A label holds identity, a check against wrong reading, name and site, and no secret. A4, SVG, three by eight labels of 70 by 37 mm.
    """
    from tools.labels import write_pictures, write_sheets

    labels = _labels(office_config, site, names)
    files = write_sheets(labels, folder) + (write_pictures(labels, folder) if png else [])
    if as_json:
        emit(
            "outstation.provision-labels", 1, {"labels": len(labels), "files": [str(path) for path in files]}
        )
    else:
        click.echo(f"{len(labels)} labels are in {folder}")


def _labels(config: Path, site: str | None, names: tuple[str, ...]) -> list[Any]:
    from tools.labels import Label

    found = [
        Label(*row)
        for row in _registered(config)
        if site in (None, row[2]) and (not names or row[1] in names)
    ]
    missing = sorted(set(names) - {label.name for label in found})
    if missing or not found:
        message = (
            f"the office knows no device called {', '.join(missing)}"
            if missing
            else "there is no device to label"
        )
        fix = "outstation office devices shows them"
        raise DiagnosticError(Diagnostic("office-no-such-device", message, fix=fix))
    return found


def _registered(config: Path) -> list[tuple[bytes, str, str]]:
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.overview import open_read_only

    with in_words():
        connection = open_read_only(read_office(config).files.database)
    try:
        return connection.execute("SELECT id, name, site FROM devices ORDER BY site, name").fetchall()
    finally:
        connection.close()


@click.command("read-label")
@needs(READ_DEVICES, office="office_config")
@OFFICE
@JSON
@click.argument("text", required=False)
def read_label_command(office_config: Path, as_json: bool, text: str | None) -> None:
    """Say which device a label is of: TEXT as a reader gives it, or from standard input."""
    from tools.labels import LabelWrong, parse_label

    try:
        device = parse_label(text if text is not None else sys.stdin.readline())
    except LabelWrong as error:
        raise DiagnosticError(Diagnostic("provision-label", str(error), fix="read it again")) from None
    row = next((row for row in _registered(office_config) if row[0] == device), None)
    if row is None:
        message = f"the office knows no device {device.hex()}"
        raise DiagnosticError(Diagnostic("office-no-such-device", message, fix="is it another office's?"))
    if as_json:
        emit("outstation.provision-read-label", 1, {"device": device, "name": row[1], "site": row[2]})
    else:
        click.echo(f"{row[1]} at {row[2]} ({device.hex()})")
