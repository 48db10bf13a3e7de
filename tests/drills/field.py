"""The field on which a drill is held: a site of real processes whose devices may differ from each other.

Devices are started as MicroPython itself, without the command in front of it: dozens of them start in a second or two.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from office_ingest.founding import found_office
from tests.site.harness import ROOT, write_synthetic
from tools.device import device_command, write_device
from tools.provision import DevicePlan, GatewayPlan, Office, provision_device, provision_gateway
from tools.relay import keep_all
from tools.site import Service, Site
from tools.upy import micropython_environment

SITE = "drill site"
HEARTBEAT_S = 1.0


@dataclass(frozen=True)
class Make:
    """How a device is made. per_s: samples a second of the wall; sample_ms: of the device's own clock, between two.

    seal_s: of the wall, until routine events are sealed at the latest; has_log: keeps a record log beside the journal.
    """

    name: str
    per_s: int = 4
    sample_ms: int = 36_000
    seal_s: float = 1
    sectors: int = 64
    heartbeat_ms: int = int(HEARTBEAT_S * 1000)
    ack_timeout_ms: int = 250
    drain_ms: int = 40_000
    has_log: bool = False

    @property
    def clock_scale(self) -> int:
        """How many times faster the device's clock runs than the wall's."""
        return max(1, self.sample_ms * self.per_s // 1000)

    def lines(self) -> tuple[str, ...]:
        """Return its lines of device.toml."""
        return (
            f"sample_ms = {self.sample_ms}",
            f"clock_scale = {self.clock_scale}",
            f"heartbeat_ms = {self.heartbeat_ms}",
            "exchange_idle_ms = 20",
            f"routine_seal_ms = {int(self.seal_s * 1000 * self.clock_scale)}",
            f"ack_timeout_ms = {self.ack_timeout_ms}",
            f"drain_ms = {self.drain_ms}",
            *(('record_log = "record.log"',) if self.has_log else ()),
        )


class Device(Service):
    """A device's process. program: what MicroPython runs in place of the device's own, for planted faults."""

    def __init__(self, folder: Path, log: Path):
        super().__init__(folder.name, [], log, "runs, boot")
        self.folder = folder
        self.program: Path | None = None

    async def start(self, env=None) -> None:
        """Start it from device.toml as it is now."""
        words = device_command(write_device(self.folder / "device.toml"))
        if self.program is not None:
            at = next(index for index, word in enumerate(words) if word.endswith("unix_main.py"))
            words[at] = str(self.program)
        self.command = ["env", f"MICROPYPATH={micropython_environment()['MICROPYPATH']}", *words]
        await super().start(env)

    def change(self, key: str, value: object) -> None:
        """Give one setting of device.toml another value from the next start on."""
        config = self.folder / "device.toml"
        lines = [
            f"{key} = {value}" if line.startswith(f"{key} = ") else line
            for line in config.read_text().splitlines()
        ]
        config.write_text("\n".join(lines) + "\n")

    def arm(self, section: str, **keys: object) -> None:
        """Write one section at the end of device.toml, in place of any that was armed before; without keys none."""
        config = self.folder / "device.toml"
        before, _, _ = config.read_text().partition("\n# armed\n")
        text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
        config.write_text(f"{before}\n# armed\n[{section}]\n{text}\n" if keys else before)


async def lay_out(folder: Path, makes: list[Make], *, keep=keep_all, write_recording=write_synthetic) -> Site:
    """Return a site with open relays, whose processes have not started. keep: of the link's relay."""
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(folder)
    site.link.keep = keep
    await site.open_relays()
    recording = folder / "recording.csv"
    write_recording(recording)
    config = found_office(
        site.office_folder,
        now_ms=int(time.time() * 1000),
        port=site.office_port,
        page_port=site.page_port,
        interval_s=2 * HEARTBEAT_S,
        grace_s=1.0,
    )
    with Office(config) as office:
        host, port = site.uplink.address
        plan = GatewayPlan("gateway", SITE, f"https://{host}:{port}", site.gateway_port, retry_max_s=0.5)
        provision_gateway(office, site.gateway_folder, plan)
        for index, make in enumerate(makes):
            _add(site, office, make, recording, index)
    return site


def _add(site: Site, office: Office, make: Make, recording: Path, index: int) -> None:
    host, port = site.link.address
    plan = DevicePlan(
        name=make.name,
        site=SITE,
        host=host,
        port=port,
        journal_sectors=make.sectors,
        recording=recording,
        recording_offset=index * 171,
        more=make.lines(),
    )
    folder = site.folder / make.name
    site.device_ids.append(provision_device(office, site.gateway_folder, folder, plan))
    site.devices.append(Device(folder, site.logs / f"{make.name}.log"))


async def stop_devices(site: Site, seconds: float) -> None:
    """Let the devices seal and drain, at most so long; DiagnosticError if one does not end in order."""
    codes = await asyncio.gather(*(device.stop(signal.SIGINT, seconds) for device in site.devices))
    for device, code in zip(site.devices, codes, strict=True):
        if code != 0:
            raise device.failed(f"{device.name} ended with exit code {code}")


def plant(service: Service, module: str, *words: str) -> None:
    """Let a gateway or office start as another module of ours, which puts something over its code first."""
    at = service.command.index("-m")
    # Without -P: our tests are found from the checkout's folder.
    service.command = [
        "env",
        f"PYTHONPATH={ROOT}:{ROOT / 'firmware'}",
        sys.executable,
        "-m",
        module,
        *words,
        *service.command[at + 2 :],
    ]


def verify(site: Site) -> tuple[int, dict]:
    """Return exit code and document of `outstation verify` of the site's books, with its keystore."""
    keystore = str(site.office_folder / "keystore.db")
    return verify_file(site.office_folder / "office.db", "--keystore", keystore)


def verify_file(database: Path, *more: str) -> tuple[int, dict]:
    """Return exit code and document of `outstation verify`, run as an auditor does. more: options."""
    words = [
        sys.executable,
        "-P",
        "-m",
        "tools.cli",
        "verify",
        str(database),
        "--json",
    ]
    ran = subprocess.run(
        [*words, *more],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return ran.returncode, json.loads(ran.stdout)
