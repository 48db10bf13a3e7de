"""Runs a device as a process of MicroPython, and looks into its flash image: `outstation device`.

The settings a person writes are device.toml; the process reads device.json, written anew at each start from device.toml and
link.toml beside it. Exit codes are the agent's: 0 stopped in order, 70 power cut, 71 kill point, 72 watchdog.
"""

import json
import os
import signal
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import msgspec
from msgspec import Meta

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.errors import ProtocolError
from protocol.lms import check_public
from protocol.report import emit
from protocol.settings import read_settings
from tools.board.command import COMMANDS as BOARD_COMMANDS
from tools.interrupts import hold_interrupts
from tools.shim import install
from tools.upy import firmware_folder, micropython_command, micropython_environment

_HEAP = "8m"

Count = Annotated[int, Meta(ge=1, le=1 << 31)]
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]


class LinkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway is: an address, a serial line of this machine, or a radio for BLE; or several, and which of them is preferred."""

    host: (
        Annotated[str, Meta(max_length=253, description="address of the gateway, empty: it is looked for")]
        | None
    ) = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 5683
    discover: bool = False
    groups: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=4)] = []
    local: Annotated[str, Meta(max_length=64, description="address from which a gateway is looked for")] = ""
    serial: (
        Annotated[str, Meta(pattern="^/.", max_length=255, description="path of a serial port")] | None
    ) = None
    baud: Literal[9600, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000] = 115200

    radio: (
        Annotated[
            str,
            Meta(pattern=r"^[^:\s]+:[0-9]{1,5}$", description="address of a program that plays a BLE radio"),
        ]
        | None
    ) = None
    order: list[Literal["udp", "serial", "ble"]] | None = None

    @property
    def is_looking(self) -> bool:
        """Whether a gateway is looked for where none is at the address that is known, if any."""
        return self.host == "" or (self.discover and self.host is not None)

    def __post_init__(self) -> None:
        if self.discover and self.host is None:
            raise ValueError('discover is for a network: write host too, "" where no address is known')
        self._check_ways()
        if (self.groups or self.local) and not self.is_looking:
            raise ValueError(
                'groups and local are for a gateway that is looked for: host = "", or discover = true'
            )
        for group in self.groups:
            found = _address(group)
            if found is None or not found.is_multicast:
                raise ValueError(f'groups: "{group}" is no multicast address, as 224.0.1.187 or ff05::fd are')
        if self.local and _address(self.local) is None:
            raise ValueError(f'local: "{self.local}" is no address of this machine, as 192.0.2.7 would be')

    def _check_ways(self) -> None:
        """Check that each way has its key and its place. Raises ValueError."""
        keys = {"udp": self.host, "serial": self.serial, "ble": self.radio}
        there = [kind for kind, key in keys.items() if key is not None]
        if self.order is not None:
            if len(self.order) < 2 or sorted(self.order) != sorted(there):
                raise ValueError(
                    'order names each of two or three links once, the preferred one first: "udp" where there is host, "serial" where '
                    'there is serial, "ble" where there is radio'
                )
        elif len(there) != 1:
            raise ValueError(
                "link has one of host, serial and radio: the gateway's address, a serial port to it, a radio; for several, write order too"
            )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


class FaultSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A power cut on purpose, in the flash operation after so many more, counted from after_ms (real) on."""

    power_cut_operation: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    after_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    programs_only: bool = False
    mode: Literal["clean", "torn", "noise"] = "torn"


class PointsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Kill points on purpose: the process ends when a point is reached for the count-th time."""

    before_seal: Count | None = None
    after_seal: Count | None = None
    before_program: Count | None = None
    after_program: Count | None = None
    before_readback: Count | None = None
    after_readback: Count | None = None
    before_actuate: Count | None = None
    after_actuate: Count | None = None
    before_erase: Count | None = None
    after_erase: Count | None = None
    before_send: Count | None = None
    after_answer: Count | None = None
    after_block: Count | None = None
    before_stage: Count | None = None
    after_stage: Count | None = None
    before_switch: Count | None = None
    after_switch: Count | None = None
    before_confirm: Count | None = None
    after_confirm: Count | None = None
    before_rollback: Count | None = None
    after_rollback: Count | None = None
    before_command: Count | None = None
    before_carry_out: Count | None = None
    after_command: Count | None = None
    before_rekey: Count | None = None
    after_keys: Count | None = None
    after_rekey: Count | None = None
    before_root: Count | None = None
    after_root_page: Count | None = None
    after_root: Count | None = None
    before_link: Count | None = None
    after_link: Count | None = None


class TrialSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a release on trial must have done to be kept: samples without a fault, real time; and its time with a gateway, more where that takes more."""

    min_samples: Annotated[int, Meta(ge=1, le=1_000_000)] = 8
    min_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 10_000
    limit_ms: Milliseconds = 600_000


class FetchSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a release may be asked for, and the first wait after a failure; it doubles up to an hour, until one is confirmed."""

    limit_ms: Milliseconds = 3_600_000
    retry_ms: Milliseconds = 5_000


Thresholds = Annotated[
    list[Annotated[int, Meta(ge=0, le=1000)]],
    Meta(min_length=2, max_length=2, description="thousandths left at which it is low, and scarce"),
]


class ResourcesSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is left, in thousandths, when a resource is low and when it is scarce; without a key, as docs/operating/degradation.md has it."""

    heap: Thresholds | None = None
    flash: Thresholds | None = None
    battery: Thresholds | None = None
    link: Thresholds | None = None


class DeviceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file device.toml; docs/operating/device.md explains each key. Paths are relative to the file."""

    device: Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="identity, 16 hex digits")]
    flash_sectors: Annotated[int, Meta(ge=4, le=65536, description="4 KiB sectors of the journal")]
    link: LinkSection
    flash: Path | None = None
    schema: Path | None = None
    bundle: Path | None = None
    recording: Path | None = None
    link_secret: Path | None = None
    roots: Path | None = None
    kind: Annotated[str, Meta(min_length=1, max_length=64, description="kind of device")] = "sensor"
    cohort: Annotated[str, Meta(max_length=64, description="cohort of the device, empty for none")] = ""
    hardware: Annotated[str, Meta(min_length=1, max_length=64, description="hardware of the device")] = "unix"
    agents: bool = False
    record_log: Path | None = None
    recording_offset: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    sample_ms: Annotated[int, Meta(ge=10, le=86_400_000)] = 36_000
    clock_scale: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    heartbeat_ms: Milliseconds = 10_000
    exchange_idle_ms: Milliseconds = 100
    routine_seal_ms: Annotated[int, Meta(ge=1, le=1 << 31)] = 600_000
    period_s: Annotated[int, Meta(ge=60, le=31_536_000)] = 86_400
    classes: Annotated[list[Literal["site", "office"]], Meta(min_length=2, max_length=2)] = msgspec.field(
        name="class", default_factory=lambda: ["office", "site"]
    )
    ack_timeout_ms: Milliseconds = 2000
    drain_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 10_000
    stop_after_ms: Milliseconds | None = None
    fault: FaultSection | None = None
    points: PointsSection = PointsSection()
    trial: TrialSection = TrialSection()
    fetch: FetchSection = FetchSection()
    resources: ResourcesSection = ResourcesSection()
    flash_keep: Annotated[int, Meta(ge=1, le=1000)] = 4
    link_day_bytes: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)] = 0
    bulk_window: (
        Annotated[
            str,
            Meta(
                pattern="^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
                description="a window of the day, UTC, as 01:00-04:00",
            ),
        ]
        | None
    ) = None
    inputs_ms: Annotated[int, Meta(ge=1000, le=86_400_000)] = 3_600_000
    battery: Path | None = None

    def __post_init__(self) -> None:
        window = self.bulk_window
        if window is not None and window[:5] == window[6:]:
            raise ValueError(f'bulk_window = "{window}" ends where it begins; leave it out for any time')


class LinkSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file link.toml, as provisioning wrote it."""

    kid: Annotated[str, Meta(pattern="^([0-9a-f]{2}){1,7}$", description="sender ID of the device")]
    secret: Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="link secret")]


def read_device(config: Path) -> dict[str, Any]:
    """Return the items of device.json for a device.toml. Raises DiagnosticError with every mistake of both files."""
    settings, found = _read(config, DeviceSettings)
    folder = config.parent
    if not config.is_file():
        raise DiagnosticError(found)
    secret_path = settings.link_secret if settings and settings.link_secret else folder / "link.toml"
    secret, also_found = _read(secret_path, LinkSecret)
    if settings is None or secret is None:
        raise DiagnosticError(found + also_found)
    items = msgspec.to_builtins(settings, enc_hook=str)
    for name, file in (
        ("flash", "flash.bin"),
        ("schema", "schema.cbor"),
        ("bundle", "bundle.cbor"),
        ("recording", "recording.csv"),
    ):
        items[name] = str((getattr(settings, name) or folder / file).resolve())
    for name in ("record_log", "battery"):
        if items[name] is not None:
            items[name] = str(Path(items[name]).resolve())
    found = _thresholds(items["resources"], config)
    if found:
        raise DiagnosticError(found)
    items["roots"] = read_roots(settings.roots or folder / "roots")
    items["link"] = {**items["link"], "kid": secret.kid, "secret": secret.secret}
    del items["link_secret"]
    _check_files(items)
    return items


def _thresholds(chosen: dict[str, list[int]], config: Path) -> list[Diagnostic]:
    """Return what is wrong with thresholds: scarce lies below low."""
    return [
        Diagnostic(
            "device-thresholds",
            f"[resources] {name}: scarce at {scarce} is not below low at {low}",
            str(config),
            fix="write [low, scarce], thousandths left, the first the larger",
        )
        for name, (low, scarce) in chosen.items()
        if scarce >= low
    ]


def read_roots(path: Path) -> list[str]:
    """Return the public keys of a roots file, in hex; none where there is no such file. Raises DiagnosticError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        lines = [""]
    for number, line in enumerate(lines, 1):
        try:
            check_public(bytes.fromhex(line))
        except (ValueError, ProtocolError):
            message = "this line is not the public key of a release root: 60 bytes as 120 hex digits"
            fix = "write the file anew: outstation provision roots"
            found = Diagnostic(
                "device-roots", message, str(path), number, 1, line, max(1, len(line)), fix=fix
            )
            raise DiagnosticError(found, USAGE) from None
    return lines


def _read(path: Path, struct: type[Any]) -> tuple[Any, list[Diagnostic]]:
    try:
        return read_settings(path, struct), []
    except DiagnosticError as error:
        return None, list(error.diagnostics)


def _check_files(items: dict[str, Any]) -> None:
    found = [
        Diagnostic(
            "device-file-missing",
            f"the {name} cannot be read",
            items[name],
            fix="run outstation provision device, or name the right file in device.toml",
        )
        for name in ("flash", "schema", "bundle", "recording")
        if not os.access(items[name], os.R_OK)
    ]
    if not found:
        install()
        from agent.image import image_fault

        fault = image_fault(items["flash"], items["flash_sectors"])
        if fault is not None:
            fix = "set flash_sectors as provisioned"
            found.append(Diagnostic("device-flash-short", fault, items["flash"], fix=fix))
    if found:
        raise DiagnosticError(found, USAGE)


def write_device(config: Path) -> Path:
    """Write device.json beside device.toml, for its owner alone, and return its path. Raises DiagnosticError."""
    items = read_device(config)
    target = config.parent / "device.json"
    # A new file in place of the old one: whoever starts meanwhile reads one or the other, never half.
    draft = target.with_suffix(".json.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(items, file, indent=1)
    draft.replace(target)
    return target


def run_command(folder: Path) -> list[str]:
    """Return the words of `outstation device run` for the device provisioned in a folder."""
    # -P: a folder of the user's with a name like ours must not come before the installed packages.
    words = ["-P", "-m", "tools.cli", "device", "run", "--config", str(folder / "device.toml")]
    return [sys.executable, *words]


def device_command(items: Path, interrupts: int | None = None) -> list[str]:
    """Return the words that start the agent over a device.json. interrupts: the file of tools.interrupts, where Ctrl-C is held back."""
    return [
        *micropython_command(),
        "-X",
        f"heapsize={_HEAP}",
        str(firmware_folder() / "unix_main.py"),
        str(items),
        *([] if interrupts is None else [str(interrupts)]),
    ]


def _become(items: Path) -> None:
    """Run the agent in place of this process: other signals and exit codes are then the agent's own."""
    sys.stdout.flush()
    # Nothing may fail between holding back and the end of this process: whoever goes on could not be interrupted.
    environment, _ = micropython_environment(), micropython_command()
    command = device_command(items, hold_interrupts())
    os.execve(command[0], command, environment)  # noqa: S606 -- no shell, on purpose


@click.group()
def device() -> None:
    """Run a device on this machine, or bring one onto a board."""


for _command in BOARD_COMMANDS:
    device.add_command(_command)


def _check_board(claim: Path) -> None:
    """Raise DiagnosticError where a board would end with its claim read, or with its admission."""
    from tools.claims import check_claim

    check_claim(claim)
    recording = claim.parent / "recording.csv"
    if not os.access(recording, os.R_OK):
        fix = "name what its sensor reads: --recording FILE"
        found = Diagnostic("device-file-missing", "the recording cannot be read", str(recording), fix=fix)
        raise DiagnosticError(found, USAGE)


@device.command("announce")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--recording", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="What its sensor reads."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document before it starts.")
def announce(folder: Path, recording: Path | None, as_json: bool) -> None:
    """Run the board in FOLDER, which has a claim and no keys yet, until Ctrl-C.

    It announces itself until an office admits it, and then goes on as the device that it was made; started again, it is that device.
    """
    found = next((folder / name for name in ("device.json", "claim.json") if (folder / name).is_file()), None)
    if found is None:
        message = "this folder has no claim and no device's settings"
        fix = "make claims: outstation provision claims"
        raise DiagnosticError(Diagnostic("device-file-missing", message, str(folder), fix=fix), USAGE)
    if recording is not None:
        (folder / "recording.csv").write_bytes(recording.read_bytes())
    if found.name == "claim.json":
        _check_board(found)
    if as_json:
        emit("outstation.device-announce", 1, {"settings": str(found), "process": os.getpid()})
    _become(found.resolve())


@device.command("run")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("device.toml"),
    show_default=True,
    help="The device's settings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document before it starts.")
def run(config: Path, as_json: bool) -> None:
    """Run the agent until Ctrl-C.

    It then seals what is open, sends what is left, and ends.
    The exit code is the agent's: 0 in order, 70 power cut, 71 kill point, 72 watchdog.
    """
    items = write_device(config)
    if as_json:
        device = json.loads(items.read_text())["device"]
        emit("outstation.device-run", 1, {"device": device, "settings": str(config), "process": os.getpid()})
    if json.loads(items.read_text())["link"]["serial"]:
        # MicroPython opens a tty as its controlling one where it has none; pulled out, that would end the device.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _become(items)


@device.command("build-agent")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("agent.cbor"),
    show_default=True,
    help="Write the archive here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def build_agent(folder: Path | None, out: Path, as_json: bool) -> None:
    """Compile the agent in FOLDER for a release, by default the one of this installation.

    Then: outstation release build --agent FILE. Devices fetch only the files that differ from those they run.
    """
    from office_ingest.govern.agent import encode_agent
    from tools.agent_files import CannotCompile, compile_agent

    try:
        agent = compile_agent(folder or firmware_folder() / "agent")
    except CannotCompile as error:
        raise DiagnosticError(
            Diagnostic("agent-source", str(error), str(folder or ""), fix=error.fix), USAGE
        ) from None
    raw = encode_agent(agent)
    out.write_bytes(raw)
    if as_json:
        document = {
            "file": str(out),
            "agent": agent.digest().hex(),
            "files": len(agent.bodies),
            "bytes": len(raw),
        }
        emit("outstation.device-build-agent", 1, document)
        return
    click.echo(
        f"{out}: agent {agent.digest().hex()[:16]}, {len(agent.bodies)} files, {len(raw):,} bytes as they travel"
    )
    click.echo(f"next: outstation release build --agent {out}")
