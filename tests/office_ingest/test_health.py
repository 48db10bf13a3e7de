"""What a device said of itself last is shown by name, from sealed heartbeats alone."""

from office_ingest.device_table import device_lines
from office_ingest.health import COUNTERS, health_of, short_of
from office_ingest.overview import devices_overview
from tests.agent.desk import Desk
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk
from tools.device_types import ROOT


def _told(tmp_path, *healths):
    """Return (connection, device) of an office that took heartbeats with these maps."""
    desk, device = OfficeDesk(tmp_path), DeviceModel()
    desk.add(device)
    desk.take(heartbeats=[device.heartbeat(health=health) for health in healths])
    return desk.store.connection, device.device


def test_counters_are_those_of_the_newest_heartbeat_that_has_any(tmp_path):
    """An empty map changes nothing; one of an older device has fewer counters, and all its levels are enough."""
    connection, device = _told(tmp_path, {0: 5, 5: 1}, {0: 7, 12: 1 | 2 << 4}, {})
    health = health_of(connection, device)

    assert health["heap_free_bytes"] == 7
    assert health["levels"] == {"heap": "low", "flash": "enough", "battery": "scarce", "link": "enough"}
    assert short_of(health) == "heap is low, battery is scarce"


def test_counters_of_a_later_version_are_kept_under_their_number(tmp_path):
    """A newer device tells more than this office knows; none of it is dropped, and none hides the rest."""
    connection, device = _told(tmp_path, {0: 7, 77: -3})

    assert health_of(connection, device)["77"] == -3


def test_device_that_never_said_anything_has_no_health(tmp_path):
    """Not zeros: nothing."""
    connection, device = _told(tmp_path, {})

    assert health_of(connection, device) is None
    assert short_of(None) == ""


def test_devices_that_run_short_are_named_in_the_list(tmp_path):
    """A line of its own, and all counters in the rows behind --json."""
    connection, _ = _told(tmp_path, {12: 2 << 6})
    rows = devices_overview(connection)

    assert rows[0]["health"]["levels"]["link"] == "scarce"
    assert "  device: link is scarce" in device_lines(rows, 0)


def test_names_are_those_of_the_grammar_and_cover_what_the_agent_says():
    """wire.cddl names each counter; the office knows every one that today's agent sends."""
    grammar = (ROOT / "protocol" / "wire.cddl").read_text("utf-8")
    desk = Desk()
    desk.battery, desk.heap = 900, (50, 100)
    desk.run(1)
    said = [beat.health for beat in desk.gateway.heartbeats if beat.health]

    assert all(f"{name}: {key}," in grammar for key, name in enumerate(COUNTERS))
    assert max(key for health in said for key in health) < len(COUNTERS)
