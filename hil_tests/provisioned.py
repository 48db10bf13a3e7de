"""Folders of an office, a gateway and one device, as `outstation provision` makes them, for boards to start from."""

import socket
import time
from pathlib import Path

from office_ingest.founding import found_office
from office_ingest.govern.attestation import register_image
from office_ingest.govern.opening import open_store
from office_ingest.storage import attested
from tests.site.harness import write_synthetic
from tools.image.build import Image
from tools.ports import free_port
from tools.provision import UNIX, DevicePlan, GatewayPlan, Office, provision_device, provision_gateway

SECTORS = 16
# One recorded hour a tenth of a second, so that a board fills segments while a person waits.
TIMING = (
    "sample_ms = 36_000",
    *("clock_scale = 360", "heartbeat_ms = 500", "exchange_idle_ms = 20"),
    *("routine_seal_ms = 1_000_000", "ack_timeout_ms = 1000"),
)


def lay_out_folder(folder: Path, hardware: str = "mps2_an385", policy: Path | None = None) -> None:
    """Make folder/office, folder/gateway and folder/device; ports are free ones of this moment.

    policy: of the device's channels and rules, for sensors instead of a recording; None: the demonstration's.
    """
    config = found_office(
        folder / "office",
        now_ms=int(time.time() * 1000),
        port=free_port(socket.SOCK_STREAM),
        page_port=free_port(socket.SOCK_STREAM),
        interval_s=2.0,
        grace_s=2.0,
    )
    recording = folder / "recording.csv"
    write_synthetic(recording)
    with Office(config) as office:
        port = free_port(socket.SOCK_DGRAM)
        plan = GatewayPlan("gateway", "test site", "https://127.0.0.1:1", port)
        provision_gateway(office, folder / "gateway", plan)
        device = DevicePlan(
            "device",
            "test site",
            journal_sectors=SECTORS,
            recording=None if policy else recording,
            hardware=hardware,
            more=TIMING[1:] if policy else TIMING,
            port=port,
            policy=policy,
        )
        provision_device(office, folder / "gateway", folder / "device", device)


def know_image(office_folder: Path, image: Image) -> None:
    """Register the board's image for devices that run on the board and, with the same flash, as a process on the desk."""
    with open_store(office_folder / "office.toml") as store:
        digest = bytes.fromhex(image.sha256)
        register_image(
            store, attested.Image(digest, UNIX, image.development, "test", int(time.time() * 1000))
        )


def use_port(gateway_folder: Path, port: Path | str) -> None:
    """Let a gateway serve a serial port too."""
    config = gateway_folder / "gateway.toml"
    config.write_text(f'{config.read_text()}\n[[serial]]\nport = "{port}"\n')
