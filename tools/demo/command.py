"""The command: plan, lay out, tell the story, prove it, show the table, write the figures."""

import asyncio
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from protocol.diagnostic import FINDING, INTERRUPTED, OK, Diagnostic, DiagnosticError
from tools import VERSION
from tools.demo.plan import DEVICES_MAX, SECONDS_MAX, SECONDS_MIN, make_plan

SCHEMA = "outstation.demo"
SCHEMA_VERSION = 1
LIVE_DEVICES = 3
_TYPED = click.core.ParameterSource.COMMANDLINE


@click.command()
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to FILE."
)
@click.option(
    "--dir", "keep", type=click.Path(path_type=Path, file_okay=False), help="Keep everything in DIR."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, help="Seed of the story."
)
@click.option(
    "--devices", type=click.IntRange(1, DEVICES_MAX), default=8, show_default=True, help="How many devices."
)
@click.option("--stay", is_flag=True, help="Afterwards keep the office's page open until Ctrl-C.")
@click.option(
    "--live",
    is_flag=True,
    help="No story: three devices that stay until Ctrl-C, to release rules of your own.",
)
@click.option(
    "--seconds",
    type=click.IntRange(SECONDS_MIN, SECONDS_MAX),
    default=50,
    show_default=True,
    help="How long the devices sample; starting, draining and proving come on top.",
)
def command(
    json_file: Path | None,
    keep: Path | None,
    seed: int,
    devices: int,
    stay: bool,
    live: bool,
    seconds: int,
) -> int:
    """Run a whole site on this machine and prove it.

    An office, a gateway and devices run as real processes on loopback. Sensors are real recordings. The uplink is cut, the gateway
    killed, a device loses power; a changed rule is released and kept, a bad one taken back by the devices; all of it is on a page whose
    address is shown. Then the office proves that nothing was lost, doubled or changed. Exit code 1 if it cannot.
    """
    from rich.console import Console

    if live:
        _refuse_what_live_has_not(click.get_current_context(), devices)
    console = Console()
    if json_file is not None:
        # A path that cannot be written to is said now, not after the run.
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.open("a").close()
    folder = _folder(keep)
    try:
        if live:
            return asyncio.run(_live(console, folder, seed, min(devices, LIVE_DEVICES)))  # without --devices
        is_kept = keep is not None
        return asyncio.run(
            _run(console, folder, seed, devices, seconds, json_file, is_kept=is_kept, stays=stay)
        )
    except asyncio.CancelledError:
        # Ended from outside by another signal than Ctrl-C, which asyncio.run makes a KeyboardInterrupt of by itself.
        return INTERRUPTED
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


# Options of the story alone, and what --live does instead.
_NOT_LIVE = {
    "json_file": ("--json", "it measures and proves nothing that could be written"),
    "seconds": ("--seconds", "it runs until Ctrl-C"),
    "stay": ("--stay", "its page stays until Ctrl-C as it is"),
}


def _refuse_what_live_has_not(context: click.Context, devices: int) -> None:
    """Raise DiagnosticError (exit 2) for whatever was typed beside --live and would have no effect: all of it at once."""
    typed = [name for name in context.params if context.get_parameter_source(name) is _TYPED]
    found = [
        Diagnostic(
            "usage-wrong",
            f"{option} does not go with --live: {why}",
            fix=f"leave out {option}, or leave out --live for the story",
        )
        for name, (option, why) in _NOT_LIVE.items()
        if name in typed
    ]
    if "devices" in typed and devices > LIVE_DEVICES:
        found.append(
            Diagnostic(
                "usage-wrong",
                f"--devices {devices} with --live: at most {LIVE_DEVICES} devices stay",
                fix=f"name {LIVE_DEVICES} or fewer, or leave out --live for the story",
            )
        )
    if found:
        raise DiagnosticError(found)


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="outstation-demo-"))
    if keep.exists() and any(keep.iterdir()):
        found = Diagnostic(
            "demo-folder", "the folder is not empty", str(keep), fix="name a new folder with --dir"
        )
        raise DiagnosticError([found])
    keep.mkdir(parents=True, exist_ok=True)
    return keep.resolve()


async def _live(console: Any, folder: Path, seed: int, devices: int) -> int:
    from tools.demo.live import stay
    from tools.recordings import LEAK_BELOW, leak_starts, write_recording
    from tools.site import Site

    _end_in_order(signal.SIGINT)
    recording = folder / "recording.csv"
    site = Site(folder)
    try:
        with console.status("taking the recordings, making keys"):
            rows = write_recording(recording)
            plan = make_plan(seed, devices, SECONDS_MIN, leak_starts(recording, LEAK_BELOW), rows)
            await site.open_relays()
        await stay(console, site, plan, recording)
    finally:
        await site.close()
    return OK


async def _run(
    console: Any,
    folder: Path,
    seed: int,
    devices: int,
    seconds: int,
    json_file: Path | None,
    *,
    is_kept: bool,
    stays: bool,
) -> int:
    from tools.demo.layout import device_name, lay_out
    from tools.demo.proof import prove
    from tools.demo.screen import DeviceLine, Screen, View
    from tools.demo.story import run_story
    from tools.recordings import LEAK_BELOW, leak_starts, write_recording
    from tools.site import Site

    _end_in_order()
    recording = folder / "recording.csv"
    with console.status("taking the recordings, making keys"):
        rows = write_recording(recording)
        plan = make_plan(seed, devices, seconds, leak_starts(recording, LEAK_BELOW), rows)
        site = Site(folder)
        await site.open_relays()
        lay_out(site, plan, recording)
    view = View(plan, [DeviceLine(device_name(index)) for index in range(devices)])
    try:
        with Screen(console, view) as screen:
            told = await run_story(site, plan, view, screen)
    finally:
        await site.close()
    with console.status("the office verifies every byte and replays every decision"):
        proof = prove(site, told, plan)
    figures = proof.figures | _link(site, proof.figures)
    _show(console, proof, figures)
    if is_kept:
        console.print(f"everything is kept in {folder}", highlight=False, soft_wrap=True)
    if json_file is not None:
        _write(json_file, seed, devices, figures, proof.faults)
    if stays:
        await _stay(console, site)
    return OK if proof.is_clean else FINDING


async def _stay(console: Any, site: Any) -> None:
    """Serve the office's page again until somebody ends it."""
    await site.office.start()
    console.print(f"the office's page stays at {site.page} until Ctrl-C", highlight=False, soft_wrap=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("ended")
    finally:
        await site.office.stop()


def _end_in_order(*more: signal.Signals) -> None:
    """Let a closed terminal or a plain kill end the story as Ctrl-C does, with all its processes. more: further signals."""
    story = asyncio.current_task()
    assert story is not None
    for number in (signal.SIGTERM, signal.SIGHUP, *more):
        asyncio.get_running_loop().add_signal_handler(number, story.cancel)


def _link(site: Any, figures: dict[str, Any]) -> dict[str, Any]:
    held = max(1, figures["events_at_office"])
    total = site.link.bytes_up + site.link.bytes_down
    return {
        "link_bytes": total,
        "link_bytes_per_event": round(total / held, 2),
        "uplink_bytes_per_event": round((site.uplink.bytes_up + site.uplink.bytes_down) / held, 2),
        "events_per_s": round(figures["events_recorded"] / max(1.0, figures["seconds"]), 1),
    }


def _show(console: Any, proof: Any, figures: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("device", "lane"):
        table.add_column(name, no_wrap=True)
    for name in ("recorded", "held", "lost", "twice", "segments", "tombstones"):
        table.add_column(name, justify="right", no_wrap=True)
    for lane in proof.lanes:
        lost, twice = max(0, lane.recorded - lane.held), max(0, lane.held - lane.recorded)
        style = "" if lane.recorded == lane.held and lane.head_held else "bold red"
        cells = (lane.recorded, lane.held, lost, twice, lane.segments, lane.tombstones)
        table.add_row(lane.name, lane.lane, *(str(cell) for cell in cells), style=style)
    console.print(table)
    console.print()
    console.print(_figures(figures))
    for fault in proof.faults:
        console.print(f"[bold red]fault:[/] {escape(fault)}", highlight=False)
    console.print()
    good = "[bold green]proved:[/] nothing lost, nothing twice, nothing changed, every decision repeated"
    console.print(good if proof.is_clean else "[bold red]not proved[/]", highlight=False)


def _figures(figures: dict[str, Any]) -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in summary(figures):
        grid.add_row(name, text)
    return grid


def summary(f: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the figures as lines of at most 80 columns: what they are about, and what they say."""
    return [
        ("events", f"{f['events_recorded']} recorded on flash, {f['events_at_office']} held at the office"),
        ("verified", f"{f['segments_verified']} of {f['segments']} segments: seals, chains, digests"),
        (
            "",
            f"{f['receipts_verified']} receipts, {f['tombstones']} tombstones, {f['heartbeats_verified']} heartbeats",
        ),
        ("replayed", f"{f['decisions_replayed_equal']} of {f['decisions']} decisions, each the same again"),
        ("", f"run replay covers {f['run_replay_coverage']:.1%} of all samples"),
        ("load", f"{f['events_per_s']} events/s, {f['link_bytes_per_event']} bytes an event on the link"),
        ("age", f"record to commit: median {f['age_ms_p50']} ms, p99 {f['age_ms_p99']} ms outside the cut"),
        ("", f"p99 {f['age_ms_p99_settled']} ms once the backlog of the cut was gone"),
        ("survived", f"uplink cut for {f['uplink_cut_s']:.1f} s, drained {f['drain_s']:.1f} s after it"),
        ("", f"{f['gateway_kills']} gateway kill, {f['device_power_cuts']} power cut"),
        (
            "releases",
            f"{f['releases_adopted']} adoptions confirmed, median {f['adopt_ms_p50']} ms after rolling out",
        ),
        ("", f"{f['releases_rolled_back']} trials of a bad rule rolled back by the devices themselves"),
        ("flash", f"each ring wrapped {f['ring_wraps']} times or more"),
        ("thinned", f"{f['events_thinned']} samples given up unrecorded while rings were full, and said so"),
    ]


def _write(path: Path, seed: int, devices: int, figures: dict[str, Any], faults: list[str]) -> None:
    body = {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "outstation": VERSION,
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        },
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "seed": seed,
        "devices": devices,
        **figures,
        "faults": faults,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=1) + "\n")
