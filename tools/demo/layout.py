"""Lays out the folders of a demonstration: office, gateway, devices with their recordings, keys and plans."""

import time
from pathlib import Path

from gateway.identity import new_key, replace_file, request_pem, take_certificate
from office_ingest.founding import found_office
from office_ingest.govern.gateway_cli import opened
from tools.demo.plan import Plan
from tools.demo.releases import KIND_OF_DEVICE, make_demo_key
from tools.provision import DevicePlan, GatewayPlan, Office, provision_device, provision_gateway
from tools.site import Site

PLANT = "demo plant"
# One recorded hour is 36 s of the device's clock, which runs 3,600 times as fast as the wall's: 100 hours a second.
SAMPLE_MS = 36_000
CLOCK_SCALE = 3_600
TIMING = (
    f"sample_ms = {SAMPLE_MS}",
    f"clock_scale = {CLOCK_SCALE}",
    "heartbeat_ms = 1000",
    "exchange_idle_ms = 20",
    "routine_seal_ms = 8_640_000",  # two seconds of the wall: a segment is usually full before
    'record_log = "record.log"',
)
# A site that stays: ten samples a second, and nothing measured.
LIVE_TIMING = (
    f"sample_ms = {SAMPLE_MS}",
    "clock_scale = 360",
    "heartbeat_ms = 1000",
    "routine_seal_ms = 720_000",
)
# A trial of a person's device takes ten seconds and eight samples; these devices take a thousand samples in that time.
_TRIAL = ("", "[trial]", "min_samples = 60", "min_ms = 1000", "limit_ms = 10_000")


def device_name(index: int) -> str:
    """Return the name of a device by its index."""
    return f"device-{index + 1}"


def lay_out(site: Site, plan: Plan, recording: Path, *, timing: tuple[str, ...] = TIMING) -> None:
    """Make every folder of a site whose relays are open. timing: of the devices, lines of device.toml."""
    uplink_host, uplink_port = site.uplink.address
    config = found_office(
        site.office_folder,
        now_ms=int(time.time() * 1000),
        name="demo office",
        port=site.office_port,
        page_port=site.page_port,
        interval_s=2.0,
        grace_s=2.0,
    )
    uplink = f"https://{uplink_host}:{uplink_port}"
    with Office(config) as office:
        make_demo_key(office.store, signing_key(site), int(time.time() * 1000))
        gateway = GatewayPlan("demo-gateway", PLANT, uplink, site.gateway_port, retry_max_s=1.0)
        provision_gateway(office, site.gateway_folder, gateway)
        _certify(config, site.gateway_folder, gateway)
        for index in range(len(plan.offsets)):
            folder = site.folder / device_name(index)
            device = provision_device(
                office, site.gateway_folder, folder, _device_plan(site, plan, index, recording, timing)
            )
            site.add_device(device, folder)


def _certify(config: Path, folder: Path, plan: GatewayPlan) -> None:
    """Enrol the gateway as `outstation gateway enrol` does, less the two calls: the office does not serve yet."""
    with opened(config) as office:
        code = office.enrolment.invite(plan.name, plan.site, "demo", minutes=5)
        key = new_key()
        issued = office.enrolment.enrol(code.secret, request_pem(key))
    authorities = issued.authorities.encode()
    identity = take_certificate(key, issued.certificate.encode(), authorities, plan.name)
    replace_file(folder / "office-ca.pem", authorities, 0o644)
    replace_file(folder / "identity.pem", identity.pem())
    (folder / "token").unlink()


def signing_key(site: Site) -> Path:
    """Return where the demonstration's office keeps the key that signs its releases."""
    return site.office_folder / "signing-key"


def _device_plan(site: Site, plan: Plan, index: int, recording: Path, timing: tuple[str, ...]) -> DevicePlan:
    host, port = site.link.address
    return DevicePlan(
        name=device_name(index),
        site=PLANT,
        host=host,
        port=port,
        journal_sectors=plan.journal_sectors,
        recording=recording,
        recording_offset=plan.offsets[index],
        kind=KIND_OF_DEVICE,
        more=timing,
        sections=_TRIAL + (_power_cut(plan) if index == plan.victim and timing is TIMING else ()),
    )


def _power_cut(plan: Plan) -> tuple[str, ...]:
    after_ms = int(plan.victim_s * 1000)
    return ("", "[fault]", f"after_ms = {after_ms}", "programs_only = true", 'mode = "torn"')


def remove_fault(folder: Path) -> None:
    """Take the power cut out of a device's settings, so that it starts again unharmed."""
    config = folder / "device.toml"
    before, _, _ = config.read_text().partition("\n[fault]\n")
    config.write_text(f"{before}\n")
