"""The commands `outstation release roll-out`, `halt` and `status`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from office_ingest.govern.opening import now_ms, open_store, user_name
from office_ingest.options import NUMBER, SETTINGS_AND_JSON, said_by, together
from office_ingest.permissions import READ_RELEASES, ROLL_OUT_RELEASES, needs
from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError
from protocol.report import emit

if TYPE_CHECKING:
    from office_ingest.govern.rollout import Progress
    from office_ingest.storage.downward import Rollout

_CHANGE = together(NUMBER, said_by("Who says so"), SETTINGS_AND_JSON)


@click.command("roll-out")
@needs(ROLL_OUT_RELEASES)
@_CHANGE
def roll_out(number: int, author: str | None, config: Path, as_json: bool) -> None:
    """Want the signed release NUMBER on every device that it is for.

    Each hears of it with its next exchange, checks it, tries it and confirms or rolls back by itself.
    """
    from office_ingest.govern import rollout

    _change(rollout.roll_out, number, author, config, as_json)
    if not as_json:
        click.echo(f"next: outstation release status {number}")


@click.command()
@needs(ROLL_OUT_RELEASES)
@_CHANGE
def halt(number: int, author: str | None, config: Path, as_json: bool) -> None:
    """Stop the rollout of release NUMBER.

    Devices that have not adopted it no longer hear of it; those that run it go on with it. Rolling it out again resumes.
    """
    from office_ingest.govern import rollout

    _change(rollout.halt, number, author, config, as_json)


def _change(change: Any, number: int, author: str | None, config: Path, as_json: bool) -> None:
    from office_ingest.govern.rollout import RolloutRefused

    with open_store(config) as store:
        try:
            made: Rollout = change(store, number, author or user_name(), now_ms())
        except RolloutRefused as error:
            raise _refused(error) from None
    if as_json:
        emit("outstation.release-rollout", 1, made._asdict())
    else:
        click.echo(f"rollout of release {number}: {made.state}, by {made.author}")


@click.command()
@needs(READ_RELEASES)
@NUMBER
@SETTINGS_AND_JSON
def status(number: int, config: Path, as_json: bool) -> int:
    """Show how far release NUMBER has come, device by device.

    A device counts as running it only if its newest sealed heartbeat names it. Exit code 1 if any refused it or rolled back.
    """
    from office_ingest.govern.rollout import RolloutRefused, progress
    from protocol.adoption import REFUSED, ROLLED_BACK

    with open_store(config) as store:
        try:
            found = progress(store, number)
        except RolloutRefused as error:
            raise _refused(error) from None
    failed = [one for one in found if not one.runs and one.step and one.step.step in (REFUSED, ROLLED_BACK)]
    running = sum(one.runs for one in found)
    if as_json:
        body = {"number": number, "devices": [_as_json(one) for one in found], "running": running}
        emit("outstation.release-status", 1, {**body, "failed": len(failed), "of": len(found)})
        return FINDING if failed else OK
    for one in found:
        click.echo(f"{one.name:20} {'runs it' if one.runs else one.why}")
    click.echo(
        f"{running} of {len(found)} devices run release {number}; {len(failed)} refused it or rolled back"
    )
    return FINDING if failed else OK


def _as_json(one: "Progress") -> dict[str, Any]:
    from office_ingest.govern.rollout import step_words

    return {
        "device": one.device.hex(),
        "name": one.name,
        "site": one.site,
        "wanted": one.is_wanted,
        "runs": one.runs,
        "reported_version": one.version,
        "reported_digest": one.digest.hex() if one.digest else None,
        "heard_ms": one.heard_ms,
        "step": step_words(one.step) if one.step else None,
        "why": one.why,
    }


def _refused(error: Exception) -> DiagnosticError:
    fix = "see outstation release show, and sign or build what is missing; nothing was changed"
    return DiagnosticError(Diagnostic("rollout-refused", str(error), fix=fix))
