"""The office's settings: `office.toml`. Relative paths are relative to the file."""

import os
import stat
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from office_ingest.energy import EnergySection
from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError
from protocol.passphrase import StoreSettings
from protocol.settings import read_settings

# none: may do nothing. A test compares them with permissions.ROLES.
Role = Literal["none", "viewer", "operator", "author", "approver", "auditor", "admin"]


class OfficeSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who this office is, and its files."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="name of this office")]
    database: Path | None = None
    keystore: Path | None = None


class ListenSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where gateways reach the office over HTTPS. Port 0: any free one."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8443
    certificate: Path | None = None
    key: Path | None = None


class GatewaysSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How gateways prove who they are. authorities: PEM of the company's own, beside this office's; bearer_tokens: those of before."""

    authority: Path | None = None
    authorities: Path | None = None
    bearer_tokens: bool = True
    certificate_days: Annotated[float, Meta(ge=0.01, le=825)] = 90.0
    invitation_minutes: Annotated[float, Meta(ge=1, le=1440)] = 30.0


class HeartbeatSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a device counts as silent: no heartbeat for two intervals and the grace."""

    interval_s: Annotated[float, Meta(ge=0.1, le=86400)] = 10.0
    grace_s: Annotated[float, Meta(ge=0, le=86400)] = 5.0


class PageSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where people see the office. On loopback nobody is asked who he is, unless trust_loopback is false; elsewhere by a token, over TLS.

    names: what browsers may call it besides host, for instance the name of this machine. Port 0: any free one.
    """

    enabled: bool = True
    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    trust_loopback: bool = True
    names: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()


class PeopleSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which role a user of this machine has on the command line. default: of whoever is not named in roles."""

    default: Role = "admin"
    roles: dict[Annotated[str, Meta(min_length=1, max_length=64)], Role] = {}


class RolloutSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many heartbeats may come from a device that says nothing of a release wanted there, until a person is told."""

    patience_heartbeats: Annotated[int, Meta(ge=2, le=1_000_000)] = 60


class ClockSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far this machine's wall clock may be wrong: devices are told."""

    error_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 100


class UsageSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many days of what devices moved the office keeps."""

    keep_days: Annotated[int, Meta(ge=1, le=3660)] = 92


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file office.toml."""

    office: OfficeSection
    listen: ListenSection = ListenSection()
    gateways: GatewaysSection = GatewaysSection()
    heartbeat: HeartbeatSection = HeartbeatSection()
    clock: ClockSection = ClockSection()
    rollout: RolloutSection = RolloutSection()
    store: StoreSettings = StoreSettings()
    page: PageSection = PageSection()
    people: PeopleSection = PeopleSection()
    usage: UsageSection = UsageSection()
    energy: EnergySection = EnergySection()


class Files(NamedTuple):
    """The files that office.toml names, or their defaults beside it."""

    database: Path
    keystore: Path
    certificate: Path
    key: Path
    authority: Path

    def stores(self) -> tuple[Path, Path, Path]:
        """Return the files that are databases."""
        return self.database, self.keystore, self.authority


class Configuration(NamedTuple):
    """All that the office is told."""

    settings: Settings
    files: Files


def read_office(path: Path) -> Configuration:
    """Return the settings and where its files are, none of them opened. Raises DiagnosticError with every mistake."""
    settings = read_settings(path, Settings)
    folder = path.parent
    files = Files(
        settings.office.database or folder / "office.db",
        settings.office.keystore or folder / "keystore.db",
        settings.listen.certificate or folder / "tls" / "office.pem",
        settings.listen.key or folder / "tls" / "office.key",
        settings.gateways.authority or folder / "authority.db",
    )
    return Configuration(settings, files)


def check_files(files: Files) -> None:
    """Check what `serve` needs, all at once. Raises DiagnosticError: missing (exit 2), open to others or closed to us (exit 4)."""
    missing = [
        Diagnostic(
            "file-unusable",
            f"{what} is not there",
            str(path),
            fix="outstation office init DIR makes all of them",
        )
        for what, path in zip(
            ("the database", "the keystore", "the certificate", "its key"), files[:4], strict=True
        )
        if not path.is_file()
    ]
    if missing:
        raise DiagnosticError(missing)
    exposed = [
        Diagnostic(
            "file-open-to-others",
            f"the file holds secrets and has mode {stat.S_IMODE(path.stat().st_mode):04o}, so others can reach it",
            str(path),
            fix=f"chmod 600 {path}",
        )
        for path in (files.keystore, files.key, files.authority)
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    exposed += [
        Diagnostic(
            "file-not-allowed",
            "this user may not write to it",
            str(path),
            fix="give this user the right, or run as the user that owns the office",
        )
        for path in (files.database, files.keystore, files.authority)
        if path.exists() and not os.access(path, os.R_OK | os.W_OK)
    ]
    if exposed:
        raise DiagnosticError(exposed, NOT_ALLOWED)
