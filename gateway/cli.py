"""The commands `outstation gateway ...`: run, status, devices, gaps, check.

All but `run` read the store only, so they answer while the gateway runs, stands, or is stopped.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from gateway.enrol_cli import enrol
from gateway.options import CONFIG, JSON
from gateway.store_cli import store
from protocol.core_dumps import forbid_core_dumps
from protocol.diagnostic import FINDING, INTERRUPTED, OK, USAGE, Diagnostic, DiagnosticError, show
from protocol.report import emit

RUN_SCHEMA = "outstation.gateway-run"
STATUS_SCHEMA = "outstation.gateway-status"
DEVICES_SCHEMA = "outstation.gateway-devices"
GAPS_SCHEMA = "outstation.gateway-gaps"
READINGS_SCHEMA = "outstation.gateway-readings"
CHECK_SCHEMA = "outstation.gateway-check"
VERSION = 1
# It is renewed when a third of its life is left: at a sixth somebody should look.
_CERTIFICATE_LEFT = 1 / 6


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def gateway() -> None:
    """Run and look into a site's gateway."""


gateway.add_command(enrol)
gateway.add_command(store)


@gateway.command()
@CONFIG
@click.option(
    "-v", "--verbose", is_flag=True, help="Log every exchange that was refused, not only what needs somebody."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document when it is ready.")
def run(config: Path, verbose: bool, as_json: bool) -> None:
    """Collect from devices, forward to the office.

    Runs until stopped.
    Prints one line when it is ready. SIGTERM or Ctrl-C ends it in order; SIGHUP reads links.toml again.
    """
    import logging

    from gateway.app import run_gateway

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # httpx speaks of every message; what matters of it is said by ours.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)
    run_gateway(config, _say_ready_json if as_json else _say_ready)


def _say_ready(address: str) -> None:
    click.echo(f"listening on {address}")


def _say_ready_json(address: str) -> None:
    emit(RUN_SCHEMA, VERSION, {"listening": address, "process": os.getpid()})


@gateway.command()
@CONFIG
@JSON
def status(config: Path, as_json: bool) -> int:
    """Show what is held, waits, and is missing.

    Exit code 1 if there is a finding: a gap, a fork, a failing store, or an office that refuses.
    """
    document = read_status(config)
    if as_json:
        emit(STATUS_SCHEMA, VERSION, document)
    else:
        click.echo(_status_text(document))
    return FINDING if document["findings"] else OK


@gateway.command()
@CONFIG
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this file, whole or not at all, and print nothing.",
)
def metrics(config: Path, out: Path | None) -> int:
    """Print counters and gauges as Prometheus reads them.

    With --out for a collector of text files: docs/operating/metrics.md.
    """
    from gateway.identity import replace_file
    from gateway.metrics import metrics_of

    said = metrics_of(read_status(config))
    if out is None:
        click.echo(said, nl=False)
    else:
        replace_file(out, said, 0o644)
    return OK


@gateway.command()
@CONFIG
@JSON
def devices(config: Path, as_json: bool) -> int:
    """List the devices that were ever heard.

    With what the newest heartbeat of each said, the release that it is to have, and its waiting commands.
    """
    with _view(config) as view:
        rows = view.devices()
    _add_age(rows, "heard")
    if as_json:
        emit(DEVICES_SCHEMA, VERSION, {"devices": rows})
        return OK
    columns = [(name, name) for name in ("device", "epoch", "boot")]
    columns += [("counter", "heartbeat"), *((name, name) for name in ("release", "commands", "heard"))]
    click.echo(_table(_with_age(rows, "heard"), columns) if rows else "no device was heard yet")
    return OK


@gateway.command()
@CONFIG
@JSON
def readings(config: Path, as_json: bool) -> int:
    """Show the newest reading of each channel.

    Of devices whose class site the office lets this gateway read: outstation office view grant. Values are as the device has them,
    whole numbers in its own scale.
    """
    with _view(config) as view:
        rows = view.readings()
    _add_age(rows, "read")
    if as_json:
        emit(READINGS_SCHEMA, VERSION, {"readings": rows})
        return OK
    columns = [(name, name) for name in ("device", "channel", "value", "quality", "period", "read")]
    click.echo(_table(_with_age(rows, "read"), columns) if rows else "no reading that this gateway may see")
    return OK


@gateway.command()
@CONFIG
@JSON
def gaps(config: Path, as_json: bool) -> int:
    """List the segments that are missing.

    They are known to exist and not held. Exit code 1 if there are any.
    """
    with _view(config) as view:
        rows = [
            {
                "device": lane["device"],
                "lane": lane["lane"],
                "epoch": lane["epoch"],
                "start": start,
                "stop": stop,
            }
            for lane in view.lanes()
            for start, stop in lane["gap_ranges"]
        ]
    if as_json:
        emit(GAPS_SCHEMA, VERSION, {"gaps": rows})
    elif rows:
        click.echo(_table(rows, [(name, name) for name in ("device", "lane", "epoch", "start", "stop")]))
    else:
        click.echo("no gaps")
    return FINDING if rows else OK


@gateway.command()
@CONFIG
@JSON
def check(config: Path, as_json: bool) -> int:
    """Read the whole store and name what is damaged.

    It may run meanwhile. Exit code 1 if a row is not as it was written; each start, and once a day the running gateway, does the
    same and repairs what it finds.
    """
    import sqlite3

    from gateway.config import read_gateway
    from gateway.store_check import check_file
    from gateway.store_file import unusable
    from gateway.store_identity import refuse_other_beginning, refuse_strangers_file
    from gateway.store_view import check_reachable

    database = read_gateway(config)[1].database
    check_reachable(database)
    try:
        refuse_strangers_file(database)
        damages = [damage._asdict() for damage in check_file(database)]
        if damages:
            # A start repairs nothing of such a file either.
            refuse_other_beginning(database)
    except sqlite3.Error as error:
        raise DiagnosticError(unusable(database, error)) from None
    if as_json:
        emit(CHECK_SCHEMA, VERSION, {"damages": damages})
    else:
        for damage in damages:
            where = " ".join(word for word in (damage["table"], damage["place"]) if word)
            click.echo(f"damaged: {where}: {damage['text']}")
        click.echo(
            "restart the gateway: it repairs the store" if damages else "the store is as it was written"
        )
    return FINDING if damages else OK


def read_status(config: Path) -> dict[str, Any]:
    """Return the status document of the gateway that config names. Raises DiagnosticError."""
    from gateway.config import read_gateway

    settings, files = read_gateway(config)
    with _open_view(files.database) as view:
        health = view.health()
        lanes = view.lanes()
        heard = {row["device"]: row["heard_ms"] for row in view.devices()}
        size = view.store_size()
        heartbeats = view.heartbeats_waiting()
    now_ms = _wall_ms()
    per_device: dict[str, dict[str, Any]] = {}
    for name in sorted(heard | {lane["device"]: 0 for lane in lanes}):
        heard_ago_s = _ago_s(heard[name], now_ms) if name in heard else None
        per_device[name] = {"device": name, "heard_ago_s": heard_ago_s, "lanes": []}
    for lane in lanes:
        per_device[lane["device"]]["lanes"].append({k: v for k, v in lane.items() if k != "device"})
    uplink = health.get("uplink", {"state": "never ran"})
    return {
        "site": settings.gateway.site,
        "name": settings.gateway.name,
        "running": health.get("running", False),
        "said_ago_s": _ago_s(health["saved_ms"], now_ms) if health else None,
        "uplink": uplink,
        "waiting": {"segments": sum(lane["waiting"] for lane in lanes), "heartbeats": heartbeats},
        "store": {**size, "bytes_max": settings.store.bytes_max, "fault": health.get("store_fault", "")},
        "counts": health.get("counts", {}),
        "down": health.get("down", {}),
        "serial": _serial(settings, health),
        "ble": _ble(settings, health),
        "identity": health.get("identity", {}),
        "devices": list(per_device.values()),
        "findings": _findings(lanes, uplink, health) + _certificate_findings(health, now_ms),
    }


def _serial(settings: Any, health: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each configured port with what the gateway said of it last."""
    said = health.get("links", {})
    return [
        said.get(f"serial:{entry.port}")
        or {"port": entry.port, "baud": entry.baud, "state": "never ran", "reason": ""}
        for entry in settings.serial
    ]


def _ble(settings: Any, health: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the gateway said of its radio last, None where it has none."""
    if settings.ble is None:
        return None
    said: dict[str, Any] = health.get("links", {}).get("ble") or {"state": "never ran", "reason": ""}
    return said


def _findings(lanes: list[dict[str, Any]], uplink: dict[str, Any], health: dict[str, Any]) -> list[str]:
    from gateway.links.line_quality import finding

    found = []
    for lane in lanes:
        where = f"device {lane['device']} {lane['lane']} epoch {lane['epoch']}"
        if lane["gaps"]:
            found.append(f"{where}: {lane['gaps']} segments are missing")
        if lane["forks"]:
            found.append(f"{where}: {lane['forks']} forks")
    if health.get("store_fault"):
        found.append(health["store_fault"])
    if uplink["state"] in ("refused", "confused"):
        found.append(f"the office is {uplink['state']}: {uplink.get('reason', '')}")
    if health.get("running"):
        links = health.get("links", {})
        said = [finding(line) for name, line in links.items() if name != "ble"]
        found += [diagnostic.message for diagnostic in said if diagnostic is not None]
        if links.get("ble", {}).get("state") == "away":
            found.append(f"the Bluetooth adapter cannot be used: {links['ble']['reason']}")
    return found


def _certificate_findings(health: dict[str, Any], now_ms: int) -> list[str]:
    said = health.get("identity", {})
    if not said:
        return []
    left_ms, life_ms = said["until_ms"] - now_ms, said["until_ms"] - said["starts_ms"]
    if left_ms >= life_ms * _CERTIFICATE_LEFT:
        return []
    when = f"ends in {_ago(left_ms / 1000)}" if left_ms > 0 else "has ended"
    return [f"the gateway's certificate {when} and was not renewed"]


def _status_text(document: dict[str, Any]) -> str:
    uplink, store, waiting = document["uplink"], document["store"], document["waiting"]
    state = uplink["state"] + (f" ({uplink['reason']})" if uplink.get("reason") else "")
    lines = [
        f"gateway {document['name']} at {document['site']}: {'running' if document['running'] else 'stopped'}",
        f"uplink  {state}",
        f"waiting {waiting['segments']} segments, {waiting['heartbeats']} heartbeats",
        f"store   {store['used_bytes']} of {store['bytes_max']} bytes",
        f"down    {_down_text(document['down'])}",
        *(f"serial  {_line_text(line)}" for line in document["serial"]),
        *([] if document["ble"] is None else [f"ble     {_ble_text(document['ble'])}"]),
        "",
    ]
    # Epoch with its lane, so that a line fits 80 columns.
    rows = [
        {
            **lane,
            "device": device["device"],
            "heard": _ago(device["heard_ago_s"]),
            "lane/epoch": f"{lane['lane']}/{lane['epoch']}",
        }
        for device in document["devices"]
        for lane in device["lanes"]
    ]
    names = ("device", "lane/epoch", "custody", "receipted", "waiting", "gaps", "forks", "heard")
    lines.append(_table(rows, [(name, name) for name in names]) if rows else "no segment was taken yet")
    lines += [f"finding: {finding}" for finding in document["findings"]]
    return "\n".join(lines)


def _line_text(line: dict[str, Any]) -> str:
    what = f"{line['port']} at {line['baud']} baud: {line['state']}"
    if line["reason"]:
        return f"{what} ({line['reason']})"
    return f"{what}, {line['frames']} frames, {line['spoiled']} spoiled" if "frames" in line else what


def _ble_text(ble: dict[str, Any]) -> str:
    if "connected" not in ble or ble["state"] == "away":
        return ble["state"] + (f" ({ble['reason']})" if ble["reason"] else "")
    return f"{ble['state']}, {ble['connected']} of {ble['connections']} connections, {ble['waiting']} devices wait"


def _down_text(down: dict[str, Any]) -> str:
    if not down:
        return "nothing known yet"
    releases = ", ".join(str(number) for number in down["releases"]) or "no release"
    wanted = [f"{number} on {devices}" for number, devices in down.get("wanted", {}).items()]
    missing = f" (wanted: {', '.join(wanted)})" if wanted else ""
    missing += f", {down['lacking']} bodies still to come" if down["lacking"] else ""
    refused = f", {down['commands_refused']} find no room" if down.get("commands_refused") else ""
    return f"releases held: {releases}{missing}; {down['commands_waiting']} commands wait{refused}"


def _table(rows: list[dict[str, Any]], columns: list[tuple[str, str]]) -> str:
    cells = [[title for _, title in columns]]
    cells += [["-" if row[key] is None else str(row[key]) for key, _ in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [bool(rows) and all(isinstance(row[key], int) for row in rows) for key, _ in columns]
    return "\n".join(_line(line, widths, numeric) for line in cells)


def _line(cells: list[str], widths: list[int], numeric: list[bool]) -> str:
    placed = zip(cells, widths, numeric, strict=True)
    return "  ".join(
        cell.rjust(width) if right else cell.ljust(width) for cell, width, right in placed
    ).rstrip()


def _ago(seconds: float | None) -> str:
    """Return an age in the unit that says most."""
    if seconds is None:
        return "never"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"


def _view(config: Path) -> Any:
    from gateway.config import read_gateway

    return _open_view(read_gateway(config)[1].database)


def _open_view(database: Path) -> Any:
    from gateway.store_view import StoreView

    return StoreView(database)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _add_age(rows: list[dict[str, Any]], event: str) -> None:
    """Add to each row how many seconds ago its event was, EVENT_ago_s, from the wall time EVENT_ms."""
    now_ms = _wall_ms()
    for row in rows:
        row[f"{event}_ago_s"] = _ago_s(row[f"{event}_ms"], now_ms)


def _with_age(rows: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [{**row, event: _ago(row[f"{event}_ago_s"])} for row in rows]


def _ago_s(then_ms: int, now_ms: int) -> float:
    return max(0.0, round((now_ms - then_ms) / 1000, 1))


def main() -> None:
    """Run `python -m gateway` and end the process with its exit code."""
    forbid_core_dumps()
    words = sys.argv[1:]
    try:
        result = gateway.main(words, prog_name="python -m gateway", standalone_mode=False)
        sys.exit(result if isinstance(result, int) else OK)
    except click.ClickException as error:
        message = error.format_message().rstrip(".")
        show(
            [Diagnostic("usage-wrong", message, fix="see python -m gateway --help")],
            as_json="--json" in words,
        )
        sys.exit(USAGE)
    except DiagnosticError as error:
        show(error.diagnostics, as_json="--json" in words)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
