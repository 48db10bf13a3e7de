"""A small site of real processes for tests: office, gateway, two or three devices, relays between them, fast clocks.

Tests must not need a network, and the demonstration's recordings come from one: the devices replay a synthetic recording,
made by `write_synthetic`, in which both of the demonstration's rules change their mind again and again.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

from office_ingest.founding import found_office
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import make_key
from protocol.diagnostic import DiagnosticError
from tools.demo.layout import signing_key
from tools.demo.story import waiting_by_device
from tools.provision import DevicePlan, GatewayPlan, Office, provision_device, provision_gateway
from tools.relay import keep_all
from tools.site import Service, Site
from tools.site_proof import Proof, prove_site

ROOT = Path(__file__).resolve().parents[2]
SEED_VARIABLE = "OUTSTATION_SEED"
KILL_POINT = 71
STEP_SECONDS_MAX = 60.0
ROWS = 4000
SAMPLE_MS = 36_000
# Samples a second: SAMPLES_PER_S * 36 s of the device's clock in one of the wall's.
SAMPLES_PER_S = 40
JOURNAL_SECTORS = 10
SECTOR_BYTES = 4096
_SECTORS_BEFORE_RING = 4
_SLOTS_SECTORS = 32


def write_synthetic(path: Path, rows: int = ROWS) -> None:
    """Write a recording: flow leaks in 14 of 60 rows, temperature is too high in 12 of 40, some rows lack a value."""
    lines = []
    for row in range(rows):
        # Never equal for long: a channel that stands still counts as stuck, and no rule looks at it.
        ripple = row * 7 % 13
        flow = (8200 if row % 60 < 14 else 11000) + ripple
        temperature = (780 if row % 40 < 12 else 600) + ripple
        lines.append(f"{'' if row % 97 == 0 else flow},{'' if row % 89 == 0 else temperature}\n")
    path.write_text("".join(lines))


def chosen_seed(default: int) -> int:
    """Return the seed of this run: from the environment, or the test's own."""
    return int(os.environ.get(SEED_VARIABLE, default))


def repeat_command(seed: int, test: str) -> str:
    """Return the one command that repeats a seeded test."""
    return f"{SEED_VARIABLE}={seed} python -m pytest {test}"


def _make_key(office: Office, site: Site) -> None:
    now_ms = int(time.time() * 1000)
    public, _, envelope = make_key(signing_key(site), now_ms=now_ms, tree=5, one_time=3)
    Shelf(office.store).add_root(public, envelope, now_ms)


def _timing(samples_per_s: int, heartbeat_ms: int, ack_timeout_ms: int, drain_ms: int) -> tuple[str, ...]:
    return (
        f"sample_ms = {SAMPLE_MS}",
        f"clock_scale = {SAMPLE_MS * samples_per_s // 1000}",
        f"heartbeat_ms = {heartbeat_ms}",
        "exchange_idle_ms = 20",
        f"routine_seal_ms = {SAMPLE_MS * samples_per_s}",
        f"ack_timeout_ms = {ack_timeout_ms}",
        f"drain_ms = {drain_ms}",
    )


async def lay_out(
    folder: Path,
    devices: int = 3,
    *,
    keep=keep_all,
    samples_per_s: int = SAMPLES_PER_S,
    sectors: int = JOURNAL_SECTORS,
    ack_timeout_ms: int = 250,
    heartbeat_ms: int = 500,
    drain_ms: int = 30_000,
    sections: tuple[str, ...] = (),
    key: bool = False,
) -> Site:
    """Return a site whose relays are open and whose processes have not started.

    sections: further ones of each device.toml. key: make a small signing key in the office's folder, which the devices know.
    """
    site = Site(folder)
    site.link.keep = keep
    await site.open_relays()
    recording = folder / "recording.csv"
    write_synthetic(recording)
    config = found_office(
        site.office_folder,
        now_ms=int(time.time() * 1000),
        port=site.office_port,
        page_port=site.page_port,
        interval_s=2.0,
        grace_s=2.0,
    )
    timing = _timing(samples_per_s, heartbeat_ms, ack_timeout_ms, drain_ms)
    with Office(config) as office:
        if key:
            _make_key(office, site)
        host, port = site.uplink.address
        plan = GatewayPlan(
            "gateway", "test site", f"https://{host}:{port}", site.gateway_port, retry_max_s=0.5
        )
        provision_gateway(office, site.gateway_folder, plan)
        for index in range(devices):
            name = f"device-{index + 1}"
            host, port = site.link.address
            device_plan = DevicePlan(
                name=name,
                site="test site",
                host=host,
                port=port,
                journal_sectors=sectors,
                recording=recording,
                recording_offset=index * 171,
                more=timing,
                sections=sections,
            )
            device = provision_device(office, site.gateway_folder, folder / name, device_plan)
            site.add_device(device, folder / name).ready = "runs, boot"
    return site


async def start_all(site: Site) -> None:
    """Start office, gateway and devices; return when all are ready."""
    await site.office.start()
    await site.gateway.start()
    await asyncio.gather(*(device.start() for device in site.devices))


async def stop_all(site: Site) -> None:
    """Let the devices seal and drain, the gateway empty its outbox, and everything end in order with exit code 0."""
    await stop_devices(site)
    await until(lambda: not waiting(site), "the gateway's outbox is not empty")
    await stop_services(site)


async def stop_devices(site: Site) -> None:
    """Let the devices seal and drain, at most as long as their settings say."""
    codes = await asyncio.gather(
        *(device.stop(signal.SIGINT, STEP_SECONDS_MAX + 10) for device in site.devices)
    )
    for device, code in zip(site.devices, codes, strict=True):
        if code != 0:
            raise device.failed(f"{device.name} ended with exit code {code}")


def waiting(site: Site) -> int:
    """Return how many segments the gateway holds that the office has not receipted."""
    return sum(waiting_by_device(site.gateway_folder / "gateway.db").values())


async def stop_services(site: Site) -> None:
    """End gateway and office in order."""
    for service in (site.gateway, site.office):
        code = await service.stop()
        if code != 0:
            raise service.failed(f"{service.name} ended with exit code {code}")


async def until(is_so, otherwise: str, seconds: float = STEP_SECONDS_MAX) -> None:
    """Wait until is_so() holds; AssertionError with a sentence if it does not in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{otherwise} after {seconds:.0f} s"
        await asyncio.sleep(0.05)


def arm_device(folder: Path, point: str | None, count: int = 1) -> None:
    """Let a device's next boot end at a point; None: at none."""
    config = folder / "device.toml"
    before, _, _ = config.read_text().partition("\n[points]\n")
    config.write_text(before if point is None else f"{before}\n[points]\n{point} = {count}\n")


def proved(site: Site, said: str = "") -> Proof:
    """Return the proof of a stopped site. Raises AssertionError with every fault, and with what is said besides."""
    proof = prove_site(site)
    figures = proof.figures
    assert proof.is_clean, "\n".join([*proof.faults, str(figures), said])
    assert (figures["lost"], figures["duplicated"]) == (0, 0), said
    assert figures["events_recorded"] == figures["events_at_office"] > 0, said
    return proof


def set_pace(folder: Path, samples_per_s: int) -> None:
    """Let a device sample at another pace from its next boot on."""
    config = folder / "device.toml"
    lines = config.read_text().splitlines()
    scale = f"clock_scale = {SAMPLE_MS * samples_per_s // 1000}"
    config.write_text("\n".join(scale if line.startswith("clock_scale") else line for line in lines) + "\n")


def free_sectors(folder: Path) -> int:
    """Return how many sectors of a device's ring are blank; a ring that was written to its end has two or less."""
    content = (folder / "flash.bin").read_bytes()
    content = content[_SECTORS_BEFORE_RING * SECTOR_BYTES : -_SLOTS_SECTORS * SECTOR_BYTES]
    sectors = [content[at : at + SECTOR_BYTES] for at in range(0, len(content), SECTOR_BYTES)]
    return sum(sector == b"\xff" * SECTOR_BYTES for sector in sectors)


async def end_at_point(service: Service, point: str, count: int, folder: Path | None = None) -> None:
    """Start a process that ends at a named point, and wait until it has. folder: of a device, whose settings arm it.

    Raises AssertionError if it ends otherwise, or never comes there.
    """
    if folder is not None:
        arm_device(folder, point, count)
    try:
        await service.start(None if folder is not None else {"OUTSTATION_POINT": f"{point}:{count}"})
    except DiagnosticError:
        # It may come to its point before it says that it is ready.
        assert service.process is not None and service.process.returncode == KILL_POINT, point
    try:
        code = await asyncio.wait_for(service.ended(), STEP_SECONDS_MAX)
    except TimeoutError:
        raise AssertionError(
            f"{service.name} did not come to {point} for the {count}. time within {STEP_SECONDS_MAX:.0f} s"
        ) from None
    assert code == KILL_POINT, service.failed(f"{service.name} ended with {code} instead of at {point}")
    if folder is not None:
        arm_device(folder, None)
