"""The command `outstation office device budget`: what a device moved, beside what its link may move."""

from pathlib import Path

import click

from office_ingest.govern.opening import device_called, now_ms, open_store
from office_ingest.options import SETTINGS_AND_JSON
from office_ingest.permissions import READ_DEVICES, needs
from protocol.report import emit

_DAYS_MAX = 366


@click.command()
@needs(READ_DEVICES)
@click.argument("name", metavar="DEVICE")
@click.option(
    "--days",
    type=click.IntRange(1, _DAYS_MAX),
    default=14,
    show_default=True,
    help="How many, today included.",
)
@SETTINGS_AND_JSON
def budget(name: str, days: int, config: Path, as_json: bool) -> None:
    """Show what DEVICE moved over each link a day, beside its allowance, link_day_bytes.

    Days are UTC's. Gateways count it, and tell it once a minute. The energy is an estimate of what the radio took, by [energy] of office.toml.
    """
    from office_ingest.config import read_office
    from office_ingest.govern.shelf import Shelf
    from office_ingest.moved import lines_of, moved_view

    model = read_office(config).settings.energy
    with open_store(config) as store:
        identity = device_called(Shelf(store), name)
        view = moved_view(store.connection, identity, now_ms(), model, days)
    if as_json:
        emit("outstation.office-device-budget", 1, {"device": identity.hex(), **view})
        return
    for line in lines_of(view):
        click.echo(line)
