"""The commands `outstation office gaps list` and `accept`: what is missing, and a person's word that it never comes."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from office_ingest.govern.opening import device_called, now_ms, open_keystore, open_store
from office_ingest.options import SETTINGS_AND_JSON
from office_ingest.permissions import ACCEPT_GAPS, READ_FINDINGS, needs
from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError
from protocol.keys import LANE_NAMES
from protocol.report import emit

if TYPE_CHECKING:
    from office_ingest.receive.acceptance import Gap
    from office_ingest.storage.sqlite import SqliteStore


@click.group()
def gaps() -> None:
    """See what is missing, and accept what never comes."""


@gaps.command("list")
@needs(READ_FINDINGS)
@SETTINGS_AND_JSON
def list_gaps(config: Path, as_json: bool) -> int:
    """Show the segments that are known to exist and not held.

    Open ones are asked for; "open, pruned": the device says that it has them no longer. Exit code 1 if any is open.
    """
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from office_ingest.govern.gaps import gaps_overview
    from office_ingest.overview import open_read_only

    with in_words():
        connection = open_read_only(read_office(config).files.database)
    with closing(connection):
        rows = gaps_overview(connection)
    if as_json:
        emit("outstation.office-gaps", 1, {"gaps": rows})
    else:
        click.echo("\n".join(_line(row, now_ms()) for row in rows) or "no gaps")
    return FINDING if any(row["state"] == "open" for row in rows) else OK


def _line(row: dict[str, Any], at_ms: int) -> str:
    from office_ingest.govern.gaps import ago

    state = f"{row['state']}, pruned" if row["state"] == "open" and row["pruned"] else row["state"]
    by = f" by {row['author']}" if row["author"] else ""
    where = f"{row['name'] or row['device']} {row['lane']} epoch {row['epoch']}"
    numbers = f"{row['start']} to {row['stop'] - 1}"
    return f"{state:13} {where}: {numbers}, since {ago(row['since_ms'], at_ms)}{by}"


@gaps.command()
@needs(ACCEPT_GAPS)
@click.argument("device")
@click.option("--lane", type=click.Choice(LANE_NAMES), help="Of this lane alone.")
@click.option("--epoch", type=click.IntRange(0), help="Of this epoch alone.")
@click.option("--author", required=True, help="Who says so.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SETTINGS_AND_JSON
def accept(
    device: str,
    lane: str | None,
    epoch: int | None,
    author: str,
    yes: bool,
    config: Path,
    as_json: bool,
) -> int:
    """Accept that segments of DEVICE never come.

    Only those that are open and pruned: the device says that it has them no longer. Receipts then go on above them, and gateways
    forget what they hold below; the gaps stay on record. It says what will be missing and asks first; exit code 1 if the answer is no.
    """
    with open_store(config) as store, open_keystore(config) as keystore:
        shown = _acceptable(store, device, lane, epoch)
        if not yes and not _confirmed(store, device, shown):
            click.echo("nothing was accepted", err=as_json)
            return FINDING
        accepted = _accept(store, keystore, shown, author)
    if as_json:
        from office_ingest.govern.gaps import gap_as_json

        emit(
            "outstation.office-gaps-accepted",
            1,
            {"author": author, "accepted": [gap_as_json(gap) for gap in accepted]},
        )
    else:
        numbers = sum(gap.stop - gap.start for gap in accepted)
        click.echo(f"accepted: {numbers} segments of {device} stay missing, by {author}")
    return OK


def _acceptable(store: "SqliteStore", name: str, lane: str | None, epoch: int | None) -> "list[Gap]":
    from office_ingest.govern.gaps import gaps_overview, why_none
    from office_ingest.govern.shelf import Shelf
    from office_ingest.receive.acceptance import acceptable
    from office_ingest.receive.lanes import Lanes

    device = device_called(Shelf(store), name)
    found = acceptable(Lanes(store), device, None if lane is None else LANE_NAMES.index(lane), epoch)
    if not found:
        why = why_none(gaps_overview(store.connection, device), lane, epoch, now_ms())
        fix = "see outstation office gaps list; what the device or its gateway still has comes by itself"
        message = f"no gap of {name} can be accepted: {why}"
        raise DiagnosticError(Diagnostic("office-no-pruned-gap", message, fix=fix))
    return found


def _confirmed(store: "SqliteStore", name: str, shown: "list[Gap]") -> bool:
    """Say what will never come and who was asked for it, and ask; on standard error, so that a document stays one."""
    from office_ingest.govern.gaps import ago, gap_words, gaps_overview

    click.echo(f"{name} says that it no longer has these, and no other copy is known here:", err=True)
    for gap in shown:
        click.echo(f"  {gap_words(gap)}", err=True)
    row = gaps_overview(store.connection, shown[0].device)[0]
    if row["asked_ms"] is not None:
        asked = f"Gateway {row['gateway']} was asked for them {ago(row['asked_ms'], now_ms())}."
        click.echo(f"{asked} What a gateway has and did not send by now, it will forget.", err=True)
    return click.confirm("Accept that they never come?", err=True)


def _accept(store: Any, keystore: Any, shown: "list[Gap]", author: str) -> "list[Gap]":
    from office_ingest.errors import KeyUnknown, in_words
    from office_ingest.receive.ingest import Ingest

    try:
        with in_words():
            return Ingest(store, keystore, wall_ms=now_ms).accept(shown, author)
    except KeyUnknown as error:
        fix = "restore the keystore.db that knows the device; nothing was accepted"
        raise DiagnosticError(Diagnostic("office-no-such-device", str(error), fix=fix)) from None
