"""Gives gateways and devices their identity and keys: `outstation provision gateway|device`.

The office keeps what it must verify, in its keystore; a gateway gets its token and the link secrets; a device gets the first
keys of its chains, written into its flash image. No secret is printed or passed on a command line; roots are forgotten.
"""

import os
import secrets
import shutil
import sqlite3
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import click

from gateway.options import JSON, LISTEN_HOST, LISTEN_PORT, host, port
from office_ingest.permissions import PROVISION_DEVICES, PROVISION_GATEWAYS, needs
from protocol import keys
from protocol.cbor import dumps
from protocol.diagnostic import TRY_AGAIN, USAGE, Diagnostic, DiagnosticError
from protocol.report import emit
from tools.board.table import NAMES as BOARDS
from tools.claims import claims_command
from tools.device_policy import provisions_of
from tools.provision_cli import devices_command, labels_command, read_label_command
from tools.provision_options import FOLDER, OFFICE

_TOKEN_BYTES = 32
_KID_BYTES = 4
_JOURNAL_SECTORS = 32
# What a device that is a process calls its hardware.
UNIX = "unix"
_NAME_CHARACTERS_MAX = 64
_ROWS_BEFORE_LEAK = 20
# File in a folder that is being made: the identity of its device, in hex.
BEGUN = "begun"
# The demonstration's recordings have a row an hour; so fast that a person sees something happen.
_DEMO_TIMING = (
    "# One recorded hour is 36 s of device time, which runs 360 times as fast as the wall's: ten hours a second.",
    "sample_ms = 36_000",
    "clock_scale = 360",
)

# Channels of the demonstration's recordings, in SenML units: name, unit, scale, low, high, stuck_after.
DEMO_CHANNELS = [["flow", "l/s", -2, 0, 20000, 24], ["temperature", "Fahr", -1, -400, 1500, 24]]


def demo_schema() -> bytes:
    """Return the schema of the demonstration's two channels. Source: protocol/SPEC.md section 4.5."""
    return dumps([1, DEMO_CHANNELS])


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read. Raises DiagnosticError if there is one already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _in_the_way(path) from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _in_the_way(path: Path) -> DiagnosticError:
    found = Diagnostic(
        "provision-exists",
        "this is here already, and keys are never written over",
        str(path),
        fix="choose another folder, or remove this one if nobody needs its keys any more",
    )
    return DiagnosticError([found], USAGE)


def _new_folder(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise _in_the_way(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


class Office:
    """An office's stores as provisioning writes them. Use with `with`; the service may run meanwhile."""

    def __init__(self, config: Path):
        from office_ingest.config import check_files, read_office
        from office_ingest.errors import in_words
        from office_ingest.receive.keystore import Keystore
        from office_ingest.receive.registry import Registry
        from office_ingest.storage.sqlite import SqliteStore

        self.config = config
        files = read_office(config).files
        check_files(files)
        self.ca = files.certificate.parent / "ca.pem"
        with in_words():
            self.keystore = Keystore.open(files.keystore)
            self.store = SqliteStore.open(files.database)
        self.registry = Registry(self.store)

    def __enter__(self) -> Self:
        return self

    def roots(self) -> list[str]:
        """Return the public keys that a new device is to take releases of, in hex, the eldest first. Raises DiagnosticError: too many."""
        from office_ingest.govern.roots import newcomer_roots
        from office_ingest.govern.shelf import Shelf

        return [public.hex() for public in newcomer_roots(Shelf(self.store))]

    def add_device(self, device: bytes, plan: "DevicePlan", schema: bytes, bundle: bytes) -> None:
        """Register a device and which releases are meant for it, in one transaction."""
        from office_ingest.storage.downward import Traits

        digests = sha256(schema).digest()[:8], sha256(bundle).digest()
        traits = Traits(plan.kind, plan.cohort, plan.hardware, *digests)
        if plan.hardware == UNIX:
            self._know_unix()
        self.registry.add_device_of(device, traits, name=plan.name, site=plan.site, now_ms=_now_ms())

    def _know_unix(self) -> None:
        """Register the agent of this installation: what a device that is a process runs as its image."""
        from office_ingest.govern.attestation import register_image
        from office_ingest.storage.attested import AttestedStore, Image
        from tools.unix_image import unix_image

        digest = unix_image()
        if digest not in {image.digest for image in AttestedStore(self.store).images()}:
            register_image(self.store, Image(digest, UNIX, True, "provision", _now_ms()))

    def __exit__(self, *exc: object) -> None:
        self.keystore.close()
        self.store.close()


@dataclass(frozen=True)
class GatewayPlan:
    """What a new gateway is told; uplink: https address of the office as the gateway reaches it."""

    name: str
    site: str
    uplink: str
    port: int = 5683
    host: str = "127.0.0.1"
    retry_max_s: float = 60.0


def provision_gateway(office: Office, folder: Path, plan: GatewayPlan) -> None:
    """Make a gateway's folder: gateway.toml, its token, the office's certificate authority, an empty links.toml.

    Raises DiagnosticError, before anything is written, for a name that cannot be used or is another gateway's.
    """
    found = name_mistakes(gateway=plan.name, site=plan.site)
    if office.registry.has_gateway(plan.name):
        found.append(_taken("gateway", plan.name))
    if found:
        raise DiagnosticError(found)
    _new_folder(folder)
    token = secrets.token_hex(_TOKEN_BYTES)
    write_secret(folder / "token", f"{token}\n".encode())
    write_secret(
        folder / "links.toml",
        b"# Link secrets of this site's devices; written by `outstation provision device`.\n",
    )
    shutil.copyfile(office.ca, folder / "office-ca.pem")
    (folder / "gateway.toml").write_text(_gateway_toml(plan))
    office.registry.add_gateway(plan.name, name=plan.name, site=plan.site, token=token, now_ms=_now_ms())


def name_mistakes(**names: str) -> list[Diagnostic]:
    """Return what is wrong with names of things, given by what each is of."""
    return [
        Diagnostic(
            "provision-name",
            f"the {what} cannot be called {name!r}",
            fix=f"take 1 to {_NAME_CHARACTERS_MAX} characters that can be printed",
        )
        for what, name in names.items()
        if not (0 < len(name) <= _NAME_CHARACTERS_MAX and name.isprintable() and name.strip() == name)
    ]


def _taken(what: str, name: str) -> Diagnostic:
    return Diagnostic(
        "provision-name-taken",
        f"the office knows a {what} called {name} already",
        fix="choose another name; outstation office devices shows the devices",
    )


def _gateway_toml(plan: GatewayPlan) -> str:
    return f"""# A gateway of Outstation. Every key: docs/operating/gateway.md
[gateway]
site = {_quoted(plan.site)}
name = {_quoted(plan.name)}

[listen]
host = {_quoted(plan.host)}
port = {plan.port}

[uplink]
url = {_quoted(plan.uplink)}
retry_max_s = {plan.retry_max_s}
"""


def _quoted(text: str) -> str:
    """Return a TOML basic string."""
    escaped = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 0x20 or c == "\x7f" else f"\\{c}" if c in '"\\' else c for c in text
    )
    return f'"{escaped}"'


@dataclass(frozen=True)
class DevicePlan:
    """What a new device is told, and the office of it. host, port: of its gateway as the device reaches it.

    hardware: "unix" for one on this machine, else its board: both ends refuse a release for another.
    policy: the file of its first rules and its channels, None: the demonstration's; without a recording then, for a board's sensors.
    more: further lines of device.toml's top table; sections: lines after its [link]; both for tests and demonstrations.
    """

    name: str
    site: str
    host: str = "127.0.0.1"
    port: int = 5683
    journal_sectors: int = _JOURNAL_SECTORS
    recording: Path | None = None
    recording_offset: int = 0
    kind: str = "sensor"
    cohort: str = ""
    hardware: str = UNIX
    more: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    policy: Path | None = None


def provision_device(office: Office, gateway_folder: Path | None, folder: Path, plan: DevicePlan) -> bytes:
    """Make a device's folder, tell office and gateway of it, and return its identity (8 bytes).

    gateway_folder: of a gateway with a token, or none: gateways with a certificate are told the link by the office.

    The folder gets device.toml, a flash image with its first keys, the plan's schema and rules, its link secret, and the
    keys of those who may sign releases, as far as the office knows any.
    Raises DiagnosticError, with every mistake and before anything is written.
    """
    provisions = provisions_of(plan.policy)
    _check_device(office, gateway_folder, plan, provisions.channels)
    office.roots()
    _new_folder(folder)
    device = secrets.token_bytes(8)
    # For whoever finds the folder half made: see tools/batch.py.
    (folder / BEGUN).write_text(device.hex())
    secret = secrets.token_bytes(16)
    schema, bundle = provisions.schema, provisions.bundle
    (folder / "schema.cbor").write_bytes(schema)
    (folder / "bundle.cbor").write_bytes(bundle)
    if plan.recording is not None:
        shutil.copyfile(plan.recording, folder / "recording.csv")
    elif plan.policy is not None:
        (folder / "recording.csv").write_text(provisions.blank_recording())
    _write_keys(office, folder, device, plan)
    kid = _new_link(office, device, secret)
    write_secret(folder / "link.toml", f'kid = "{kid.hex()}"\nsecret = "{secret.hex()}"\n'.encode())
    write_roots(office, folder)
    (folder / "device.toml").write_text(_device_toml(plan, device, provisions.timing))
    office.registry.add_schema(schema)
    office.registry.add_bundle(bundle)
    office.add_device(device, plan, schema, bundle)
    finish_device(gateway_folder, folder, device, plan.name)
    return device


def _new_link(office: Office, device: bytes, secret: bytes) -> bytes:
    """Let the office tell gateways a device's link, and return its kid: one that no other device has, for gateways find devices by it."""
    taken = {kid for _, kid, _ in office.keystore.links()}
    kid = secrets.token_bytes(_KID_BYTES)
    while kid in taken:
        kid = secrets.token_bytes(_KID_BYTES)
    office.keystore.add_link(device, kid, secret, _now_ms())
    return kid


def finish_device(gateway_folder: Path | None, folder: Path, device: bytes, name: str) -> None:
    """Tell the gateway in a folder of a device that the office has registered, once. None: the office tells the site's gateways."""
    links = gateway_folder / "links.toml" if gateway_folder else None
    if links is not None and device.hex() not in links.read_text():
        link = tomllib.loads((folder / "link.toml").read_text())
        entry = f'\n[[device]] # {name}\nid = "{device.hex()}"\nkid = "{link["kid"]}"\nsecret = "{link["secret"]}"\n'
        with links.open("a") as file:
            file.write(entry)
            file.flush()
            os.fsync(file.fileno())
    (folder / BEGUN).unlink(missing_ok=True)


def write_roots(office: Office, folder: Path) -> int:
    """Write the public keys whose signatures count into a device's folder; return how many. The device reads them at its next start."""
    lines = office.roots()
    draft = folder / "roots.new"
    draft.write_text("".join(f"{line}\n" for line in lines))
    draft.replace(folder / "roots")
    return len(lines)


def _check_device(office: Office, gateway_folder: Path | None, plan: DevicePlan, channels: int) -> None:
    named = {"cohort": plan.cohort} if plan.cohort else {}
    found = name_mistakes(device=plan.name, site=plan.site, kind=plan.kind, **named)
    if office.registry.has_device_called(plan.name):
        found.append(_taken("device", plan.name))
    if gateway_folder is not None and not (gateway_folder / "links.toml").is_file():
        message = "there is no links.toml in this folder, so it is not a gateway's"
        fix = "make the gateway first: outstation provision gateway"
        found.append(Diagnostic("provision-no-gateway", message, str(gateway_folder), fix=fix))
    if plan.recording is not None:
        found += recording_mistakes(plan.recording, channels)
    if found:
        raise DiagnosticError(found)


def recording_mistakes(path: Path, columns: int = len(DEMO_CHANNELS)) -> list[Diagnostic]:
    """Return what is wrong with the first row that the agent could not read."""
    fix = f"write {columns} whole numbers a row, separated by a comma; empty where there is no reading"
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return [Diagnostic("recording-wrong", "the recording is not text", str(path), fix=fix)]
    for number, line in enumerate(lines, 1):
        cells = line.split(",")
        if len(cells) != columns or not all(_is_reading(cell) for cell in cells):
            message = f"this row is not {columns} whole numbers"
            return [Diagnostic("recording-wrong", message, str(path), number, 1, line, len(line), fix=fix)]
    if not lines:
        return [Diagnostic("recording-wrong", "the recording has no rows", str(path), fix=fix)]
    return []


def _is_reading(cell: str) -> bool:
    text = cell.strip()
    digits = text.removeprefix("-")
    return not text or (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) < 1 << 31)


def _write_keys(office: Office, folder: Path, device: bytes, plan: DevicePlan) -> None:
    """Enrol the device and put its first keys into a new flash image; the roots end with this function."""
    from tools.shim import install

    install()
    from agent.flash import FileFlash, create_image
    from agent.keystore import Keystore as DeviceKeystore
    from agent.layout import window_sectors

    seal_root, view_root, downlink = (secrets.token_bytes(32) for _ in range(3))
    office.keystore.enrol(device, seal_root, view_root, downlink)
    image = folder / "flash.bin"
    sectors = window_sectors(plan.journal_sectors)
    write_secret(image, b"")
    create_image(str(image), sectors)
    flash = FileFlash(str(image), sectors)
    DeviceKeystore(flash).provision(
        tuple(keys.seal_start(seal_root, lane) for lane in keys.LANES),
        tuple(keys.view_start(view_root, view_class) for view_class in (keys.SITE, keys.OFFICE)),
        downlink,
    )
    flash.close()


def _device_toml(plan: DevicePlan, device: bytes, timing: tuple[str, ...]) -> str:
    lines = [
        "# A device of Outstation on this machine. Every key: docs/operating/device.md",
        f"# {plan.name} at {plan.site}",
        f'device = "{device.hex()}"',
        f"flash_sectors = {plan.journal_sectors}",
        f"recording_offset = {plan.recording_offset}",
        f"kind = {_quoted(plan.kind)}",
        f"cohort = {_quoted(plan.cohort)}",
        f"hardware = {_quoted(plan.hardware)}",
        *timing,
        *plan.more,
        "",
        "[link]",
        f"host = {_quoted(plan.host)}",
        f"port = {plan.port}",
        *plan.sections,
    ]
    return "\n".join(lines) + "\n"


def _now_ms() -> int:
    return int(time.time() * 1000)


@click.group()
def provision() -> None:
    """Give a device or a gateway its identity and keys."""


@provision.command("gateway")
@needs(PROVISION_GATEWAYS, office="office_config")
@OFFICE
@click.option("--name", required=True, help="Name of the gateway.")
@click.option("--site", required=True, help="Name of the site.")
@click.option(
    "--uplink", required=True, help="Address of the office as the gateway reaches it, https://host:port."
)
@LISTEN_HOST
@LISTEN_PORT
@JSON
@click.argument("folder", type=FOLDER)
def provision_gateway_command(
    office_config: Path, name: str, site: str, uplink: str, host: str, port: int, as_json: bool, folder: Path
) -> None:
    """Make the FOLDER of a new gateway.

    It gets settings, a token, and the office's certificate authority; the office learns of it.
    """
    _check_uplink(uplink)
    with opened(office_config) as office:
        provision_gateway(
            office, folder, GatewayPlan(name=name, site=site, uplink=uplink, host=host, port=port)
        )
    settings = folder / "gateway.toml"
    if as_json:
        emit("outstation.provision-gateway", 1, {"gateway": name, "site": site, "settings": str(settings)})
    else:
        click.echo(f"gateway {name} is ready; next: outstation gateway run --config {settings}")


@contextmanager
def opened(config: Path) -> Iterator[Office]:
    """Give an office's stores; say it in a sentence if they do not take what is written."""
    from office_ingest.errors import StoreUnavailable

    try:
        with Office(config) as office:
            yield office
    except (StoreUnavailable, sqlite3.OperationalError) as error:
        fix = "see that its disk has room and nothing else holds it, remove the folder that was begun, and run it again"
        said = Diagnostic(
            "provision-office", f"the office's files did not take it: {error}", str(config), fix=fix
        )
        raise DiagnosticError(said, TRY_AGAIN) from None


def _check_uplink(uplink: str) -> None:
    host_and_port = uplink.removeprefix("https://").rstrip("/")
    if host_and_port == uplink or not host_and_port or set(host_and_port) & set("/?#@ "):
        fix = "write it as https://office.example:8443"
        raise DiagnosticError(
            Diagnostic("usage-wrong", f"--uplink {uplink} is not an https address", fix=fix)
        )


@provision.command("device")
@needs(PROVISION_DEVICES, office="office_config")
@OFFICE
@click.option(
    "--gateway",
    "gateway_folder",
    type=FOLDER,
    help="Folder of a gateway that has a token; left out, the office tells the site's gateways the link.",
)
@click.option("--name", required=True, help="Name of the device.")
@click.option("--site", required=True, help="Name of the site.")
@host("The gateway's address as the device reaches it.")
@port("The gateway's UDP port.")
@click.option(
    "--sectors",
    type=click.IntRange(4, 65536),
    default=_JOURNAL_SECTORS,
    show_default=True,
    help="Flash sectors of 4 KiB for the journal.",
)
@click.option(
    "--recording",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV of integers, a column a channel; the demonstration's recordings if left out.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Its channels and first rules; the demonstration's if left out. A board's sensors need no recording then.",
)
@click.option("--kind", default="sensor", show_default=True, help="Kind of device that releases can name.")
@click.option("--cohort", default="", help="Cohort of the device; none if left out.")
@click.option(
    "--hardware",
    type=click.Choice((UNIX, *BOARDS)),
    default=UNIX,
    show_default=True,
    help="Board that the device is to be; unix is a process on a machine like this one.",
)
@JSON
@click.argument("folder", type=FOLDER)
def provision_device_command(
    office_config: Path,
    gateway_folder: Path | None,
    name: str,
    site: str,
    host: str,
    port: int,
    sectors: int,
    recording: Path | None,
    policy: Path | None,
    kind: str,
    cohort: str,
    hardware: str,
    as_json: bool,
    folder: Path,
) -> None:
    """Make the FOLDER of a new device.

    It gets settings, first keys in a flash image, rules; the office learns of it, and tells the gateways of the site that show a certificate
    within a minute. A gateway that has a token needs --gateway; one that runs already learns of the device when it gets SIGHUP.
    """
    played = replayed(recording) if policy is None else nullcontext((recording, 0, ()))
    with opened(office_config) as office, played as (file, offset, more):
        plan = DevicePlan(
            name, site, host, port, sectors, file, offset, kind, cohort, hardware, more, policy=policy
        )
        device = provision_device(office, gateway_folder, folder, plan)
    settings = folder / "device.toml"
    if as_json:
        body = {"device": device, "name": name, "site": site, "settings": str(settings)}
        emit("outstation.provision-device", 1, body)
    else:
        run = "run" if hardware == UNIX else f"provision {hardware}"
        click.echo(
            f"device {name} is ready ({device.hex()}); next: outstation device {run} --config {settings}"
        )


@provision.command("roots")
@needs(PROVISION_DEVICES, office="office_config")
@OFFICE
@JSON
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def provision_roots_command(office_config: Path, as_json: bool, folder: Path) -> None:
    """Write the release roots that the office knows into the FOLDER of a device.

    A device believes nobody else's signature. It takes them at its next start.
    """
    with opened(office_config) as office:
        _require_device(folder)
        count = write_roots(office, folder)
    if as_json:
        emit("outstation.provision-roots", 1, {"folder": str(folder), "roots": count})
    else:
        click.echo(
            f"{count} release roots are in {folder / 'roots'}; the device takes them at its next start"
        )


def _require_device(folder: Path) -> None:
    if not (folder / "device.toml").is_file():
        message = "there is no device.toml in this folder, so it is not a device's"
        fix = "name the folder that outstation provision device made"
        raise DiagnosticError(Diagnostic("provision-no-device", message, str(folder), fix=fix), USAGE)


def _before_first_leak(recording: Path) -> int:
    """Return the row at which to start, so that somebody who watches soon sees a decision."""
    from tools.recordings import LEAK_BELOW, leak_starts

    return max(0, leak_starts(recording, LEAK_BELOW)[0] - _ROWS_BEFORE_LEAK)


@contextmanager
def replayed(named: Path | None) -> Iterator[tuple[Path, int, tuple[str, ...]]]:
    """Give (recording, its first row, lines of device.toml): the named one, or the demonstration's, fetched before any folder is made."""
    if named is not None:
        yield named, 0, ()
        return
    from tools.recordings import write_recording

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording.csv"
        write_recording(file)
        yield file, _before_first_leak(file), _DEMO_TIMING


provision.add_command(devices_command)
provision.add_command(labels_command)
provision.add_command(claims_command)
provision.add_command(read_label_command)
