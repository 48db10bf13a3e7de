"""The gateway's settings: `gateway.toml` and, beside it, `links.toml` with the devices' link secrets.

Every mistake of both files is named at once. Paths are relative to the file that names them.
"""

import stat
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from gateway.identity import require_identity
from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError
from protocol.limits import uplink_segments_max
from protocol.links_file import LinksFile
from protocol.passphrase import StoreSettings
from protocol.settings import read_settings
from protocol.usage import LINK_NAMES
from protocol.window import parse_window

Name = Annotated[str, Meta(min_length=1, max_length=64)]


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who this gateway is, and its files."""

    site: Annotated[str, Meta(min_length=1, max_length=64, description="name of the site")]
    name: Annotated[str, Meta(min_length=1, max_length=64, description="name of this gateway")]
    database: Path | None = None
    links: Path | None = None


class ListenSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices reach the gateway over UDP. Port 0: any free one. newcomers: boards without keys may announce themselves, on any link."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 5683
    newcomers: bool = False


class SerialSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One serial port with a device at its far end: a device file, or socket://HOST:PORT of a terminal server."""

    port: Annotated[
        str,
        Meta(
            pattern=r"^(/.+|socket://[^/\s?#@]+:[0-9]{1,5})$",
            max_length=255,
            description="path of a serial port, or socket://HOST:PORT",
        ),
    ]
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 115200


class BleSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices that are reached over BLE. The section alone, empty, switches it on."""

    adapter: Annotated[str, Meta(pattern=r"^(hci[0-9]{1,2})?$", description="name of the adapter")] = ""
    connections: Annotated[int, Meta(ge=1, le=32)] = 4
    turn_s: Annotated[float, Meta(ge=5, le=3600)] = 20.0


class DiscoverySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices that look for their gateway find it. The section alone, empty, switches it on; dns_sd: by name and service too."""

    port: Annotated[int, Meta(ge=1, le=65535)] = 5683
    dns_sd: bool = False


Window = Annotated[
    str,
    Meta(
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="a window of the day, UTC, as 01:00-04:00",
    ),
]


class BulkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which kinds of links are dear, and in which window of the day, UTC, what can wait goes over them. Without: at any time."""

    udp: Window | None = None
    serial: Window | None = None
    ble: Window | None = None

    def __post_init__(self) -> None:
        for kind in LINK_NAMES:
            text = getattr(self, kind)
            if text is not None and text[:5] == text[6:]:
                raise ValueError(f'{kind} = "{text}" ends where it begins; leave it out for any time')

    def window(self, link: int) -> tuple[int, int] | None:
        """Return the two minutes of the window of a kind of link, None where it is not dear."""
        text: str | None = getattr(self, LINK_NAMES[link])
        return None if text is None else parse_window(text)


class UplinkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway reaches the office. usage_s: between two times that it is told what devices moved; witness_s: which leaves signed."""

    url: Annotated[str, Meta(pattern=r"^https://[^/\s?#@]+/?$", description="address of the office")]
    ca: Path | None = None
    token: Path | None = None
    identity: Path | None = None
    batch_segments: Annotated[int, Meta(ge=1, le=uplink_segments_max)] = 256
    retry_min_s: Annotated[float, Meta(ge=0.05, le=3600)] = 0.5
    retry_max_s: Annotated[float, Meta(ge=0.05, le=86400)] = 60.0
    timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0
    usage_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    witness_s: Annotated[float, Meta(ge=1, le=240)] = 60.0

    def __post_init__(self) -> None:
        if self.retry_min_s > self.retry_max_s:
            raise ValueError(f"retry_min_s is {self.retry_min_s}, above retry_max_s ({self.retry_max_s})")


class StoreSection(StoreSettings, frozen=True, forbid_unknown_fields=True):
    """How much the store may hold; above it custody is refused."""

    bytes_max: Annotated[int, Meta(ge=1 << 20)] = 1 << 30


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file gateway.toml."""

    gateway: GatewaySection
    uplink: UplinkSection
    listen: ListenSection = ListenSection()
    store: StoreSection = StoreSection()
    serial: Annotated[list[SerialSection], Meta(max_length=64)] = []
    ble: BleSection | None = None
    discovery: DiscoverySection | None = None
    bulk: BulkSection = BulkSection()


class Link(NamedTuple):
    """What the gateway shares with one device: identity (8 bytes), OSCORE sender ID (1..7), master secret (16)."""

    device: bytes
    kid: bytes
    secret: bytes


class Files(NamedTuple):
    """The files that gateway.toml names, or their defaults beside it."""

    database: Path
    links: Path
    ca: Path
    token: Path
    identity: Path


class Configuration(NamedTuple):
    """All that the gateway is told: settings, files, devices and its token for the office, empty where it shows a certificate."""

    settings: Settings
    files: Files
    links: list[Link]
    token: str


def read_configuration(path: Path) -> Configuration:
    """Return all that the gateway is told. Raises DiagnosticError with every mistake of all files together."""
    settings, files = read_gateway(path)
    mistakes: list[Diagnostic] = []
    links: list[Link] = []
    token = ""
    try:
        links = read_links(files.links)
    except DiagnosticError as error:
        mistakes += error.diagnostics
    try:
        if files.identity.exists():
            refuse_if_open_to_others(files.identity)
            require_identity(files.identity, settings.gateway.name)
        else:
            token = _read_token(files.token)
    except DiagnosticError as error:
        mistakes += error.diagnostics
    if not files.ca.is_file():
        mistakes.append(_missing(files.ca, "the office's certificate authority"))
    if mistakes:
        raise DiagnosticError(mistakes)
    return Configuration(settings, files, links, token)


def read_gateway(path: Path) -> tuple[Settings, Files]:
    """Return gateway.toml and its files, no secret read. Raises DiagnosticError with every mistake in it."""
    settings = read_settings(path, Settings)
    twice = _doubles(path, "serial", "port", [entry.port for entry in settings.serial], "name each port once")
    if twice:
        raise DiagnosticError(twice)
    folder = path.parent
    files = Files(
        settings.gateway.database or folder / "gateway.db",
        settings.gateway.links or folder / "links.toml",
        settings.uplink.ca or folder / "office-ca.pem",
        settings.uplink.token or folder / "token",
        settings.uplink.identity or folder / "identity.pem",
    )
    return settings, files


def read_links(path: Path) -> list[Link]:
    """Return the devices of links.toml. Raises DiagnosticError: unreadable, readable by others, wrong, or twice the same."""
    refuse_if_open_to_others(path)
    entries = read_settings(path, LinksFile, has_secrets=True).device
    fix = "each device has its own; provision it again"
    mistakes = _doubles(path, "device", "id", [entry.id for entry in entries], fix)
    mistakes += _doubles(path, "device", "kid", [entry.kid for entry in entries], fix)
    if mistakes:
        raise DiagnosticError(mistakes)
    return [
        Link(bytes.fromhex(entry.id), bytes.fromhex(entry.kid), bytes.fromhex(entry.secret))
        for entry in entries
    ]


def refuse_if_open_to_others(path: Path) -> None:
    """Raise DiagnosticError (exit 4) if anybody but the owner may read a file that holds a secret."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # Whoever reads it says what is wrong with it.
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DiagnosticError(
            Diagnostic(
                "file-open-to-others",
                f"the file holds a secret and has mode {stat.S_IMODE(mode):04o}, so others can reach it",
                str(path),
                fix=f"chmod 600 {path}",
            ),
            NOT_ALLOWED,
        )


def _doubles(path: Path, table: str, key: str, values: list[str], fix: str) -> list[Diagnostic]:
    seen: set[str] = set()
    twice = []
    for index, value in enumerate(values):
        if value in seen:
            message = f"{table}[{index + 1}].{key} is {value}, which an entry above has too"
            twice.append(Diagnostic("settings-refused", message, str(path), fix=fix))
        seen.add(value)
    return twice


def _read_token(path: Path) -> str:
    refuse_if_open_to_others(path)
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise DiagnosticError(_missing(path, "the token for the office", str(error))) from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise DiagnosticError(
            Diagnostic(
                "settings-refused", "the token file holds no token: one line of printable ASCII", str(path)
            )
        )
    return token


def _missing(path: Path, what: str, reason: str = "no such file") -> Diagnostic:
    return Diagnostic(
        "file-unusable",
        f"{what} cannot be read: {reason}",
        str(path),
        fix="check the path, or provision the gateway again",
    )
