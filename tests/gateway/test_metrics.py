"""What a scraper reads of a gateway: from a real process and its store, by the parser of the format's own library."""

import asyncio
import os
import socket
import stat

from prometheus_client.parser import text_string_to_metric_families

from gateway import errors
from gateway.cli import read_status
from gateway.errors import GatewayError
from gateway.health import COUNTERS
from gateway.metrics import STATES, metrics_of
from tests.gateway.site import ROOT, DeviceDouble, GatewayProcess, segment, until
from tests.gateway.test_cli import outstation
from tools.ports import free_port

PAGE = (ROOT / "docs" / "operating" / "metrics.md").read_text("utf-8")


def values(text):
    """Return (name, labels) -> value of a text."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for each in families for one in each.samples}


def test_a_gateways_file_says_what_it_holds_and_what_waits(files, tmp_path):
    """A device sends two segments with a hole between; no office answers. The command writes a file that others may read, whatever the umask."""
    port = free_port(socket.SOCK_DGRAM)
    path = files(coap_port=port)
    gateway = GatewayProcess(path)

    async def send():
        device = DeviceDouble(port)
        for number in (0, 2):
            await device.send(segment(number))
        device.close()
        await until(lambda: read_status(path)["counts"].get("segments") == 2, "two segments")
        await until(lambda: read_status(path)["uplink"]["state"] == "unreachable", "no office")

    asyncio.run(send())
    out = tmp_path / "outstation.prom"
    before = os.umask(0o077)
    ended = outstation("metrics", "--config", path, "--out", out)
    os.umask(before)
    said = values(out.read_text())
    gateway.process.terminate()
    gateway.process.wait()
    after = values(outstation("metrics", "--config", path).stdout)

    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    assert said["outstation_gateway_segments_total",] == 2
    assert said["outstation_gateway_waiting", "segments"] == 2
    assert said["outstation_gateway_segments_missing",] == 1
    assert said["outstation_gateway_uplink_state", "unreachable"] == 1
    assert sum(said["outstation_gateway_uplink_state", state] for state in STATES) == 1
    assert said["outstation_gateway_running",] == 1
    assert after["outstation_gateway_running",] == 0


def test_every_state_of_the_uplink_has_a_value():
    """Those of its errors, and those in which nothing is wrong."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)
    ]

    assert {kind.state for kind in kinds if getattr(kind, "state", None)} < set(STATES)
    assert {"never ran", "starting", "idle", "sending"} < set(STATES)


def test_page_of_the_gateway_names_every_counter():
    """Whoever reads `status --json` finds what a count is of."""
    page = (ROOT / "docs" / "operating" / "gateway.md").read_text("utf-8")

    assert [] == [name for name in COUNTERS if f"`{name}`" not in page]


def test_page_names_every_metric_of_a_gateway_and_no_other():
    """Whoever adds a counter says what it is."""
    document = {
        "counts": {},
        "running": True,
        "said_ago_s": 0.5,
        "findings": [],
        "uplink": {"state": "idle"},
        "store": {"used_bytes": 1, "bytes_max": 2, "fault": ""},
        "devices": [],
        "waiting": {"segments": 0, "heartbeats": 0},
    }
    named = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `outstation_gateway_")}
    made = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(metrics_of(document).decode())
    }

    assert {name for name in named if "{" not in name} == made
