"""What a scraper reads of the office: by the parser of the format's own library, and by who may."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from office_ingest.show.metrics import metrics_of
from tests.office_ingest.test_people import check_problem, make_asked
from tests.support.device_model import DeviceModel
from tools.device_types import ROOT

PAGE = (ROOT / "docs" / "operating" / "metrics.md").read_text("utf-8")
FLASH_SCARCE = 2 << 2


def make_scraped(desk):
    """Return an office with a device each at two sites; of the one at `north` came two segments and a heartbeat."""
    made = make_asked(desk)
    device = DeviceModel(1)
    device.enrol(desk.keystore)
    desk.take(device.seal(0), device.seal(1), heartbeats=[device.heartbeat(health={12: FLASH_SCARCE})])
    return made


@pytest.fixture
def asked(desk):
    """An office that can be scraped."""
    made = make_scraped(desk)
    yield made
    made.worker.shutdown()


def read(answer):
    """Return (name, labels) -> value of everything that an answer says."""
    assert 200 == answer.status_code
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return values(answer.text)


def values(text):
    """Return (name, labels) -> value of a text."""
    families = text_string_to_metric_families(text)
    return {(one.name, *sorted(one.labels.values())): one.value for each in families for one in each.samples}


def test_a_scraper_reads_what_the_office_counts(asked):
    """Counters, findings by kind, levels and ages, each by site; levels that nobody is at are zeros."""
    said = read(asked.ask("/metrics", asked.token("viewer")[0]))

    assert said["outstation_office_segments_stored_total", "north"] == 2
    assert said["outstation_office_devices", "south"] == 1
    assert said["outstation_office_findings_open", "degraded", "north"] == 1
    assert said["outstation_office_findings_open", "silence", "south"] == 1
    assert said["outstation_office_devices_short", "flash", "north", "scarce"] == 1
    assert said["outstation_office_devices_short", "flash", "low", "north"] == 0
    assert said["outstation_office_heard_age_seconds", "newest", "north"] >= 0
    assert ("outstation_office_heard_age_seconds", "newest", "south") not in said


def test_what_was_refused_is_counted_where_it_belongs(asked):
    """A forged segment of a device at its site, one of a stranger at none; a fork at the site of its device."""
    desk, device = asked.desk, DeviceModel(1)
    forged = bytearray(device.seal(0))
    forged[-1] ^= 1
    stranger = DeviceModel(9).seal(0)
    other = DeviceModel(1).seal(1, [device.sample([1, 1])])
    desk.take(bytes(forged), stranger, other)
    said = read(asked.ask("/metrics", asked.token("viewer")[0]))

    assert said["outstation_office_quarantine_entries", "north"] == 1
    assert said["outstation_office_quarantine_entries", ""] == 1
    assert said["outstation_office_forks", "north"] == 1


def test_a_token_of_one_site_reads_that_site_alone(asked):
    """Nothing of another site, and nothing that belongs to none."""
    asked.desk.take(DeviceModel(9).seal(0))
    token = asked.token("viewer", ["south"])[0]
    said = read(asked.ask("/metrics", token))

    assert said["outstation_office_devices", "south"] == 1
    assert not [place for place in said if "north" in place or "" in place]


def test_a_finding_that_is_over_is_not_counted(asked):
    """Only what a person should still look at."""
    asked.desk.store.clear_finding(DeviceModel(1).device, "silence", "", 2)
    said = read(asked.ask("/metrics", asked.token("viewer")[0]))

    assert ("outstation_office_findings_open", "north", "silence") not in said
    assert said["outstation_office_findings_open", "degraded", "north"] == 1


def test_nobody_reads_metrics_without_a_token(asked):
    """They say where a site's devices are silent."""
    check_problem(asked.ask("/metrics"), 401)


def test_page_names_every_metric_of_the_office_and_no_other(asked):
    """Whoever adds one says what it is."""
    text = metrics_of(asked.desk.store.connection, 1).decode()
    named = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `outstation_office_")}
    made = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(text)
    }

    assert {name for name in named if "{" not in name} == made
