"""Silence is noticed by a clock that never goes back, once for each device, and ends with the next heartbeat."""

from contextlib import contextmanager

import pytest

from office_ingest.errors import StoreUnavailable
from office_ingest.health import Pace
from office_ingest.watch.silence import SilenceWatch, record_silence
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk

DEVICES = [b"device-1", b"device-2"]


class _Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def _watch():
    clock = _Clock()
    watch = SilenceWatch(interval_s=10, grace_s=5, monotonic=clock)
    assert ([], []) == watch.check(DEVICES)
    return watch, clock


def test_device_that_spaces_its_heartbeats_is_given_that_much_longer():
    """Scarce of battery it says so, sealed; when it says otherwise, the usual limit holds. Nobody is believed without bound."""
    watch, clock = _watch()
    watch.heard(DEVICES[0])
    watch.paced(DEVICES[0], Pace((0, 1), 60_000))
    watch.paced(DEVICES[0], Pace((0, 1), 0))
    clock.now += 125
    assert ([DEVICES[1]], []) == watch.check(DEVICES)
    clock.now += 0.1

    assert ([DEVICES[0]], []) == watch.check(DEVICES)
    watch.paced(DEVICES[0], Pace((0, 1), 10_000))
    assert watch.limit_of(DEVICES[0]) == watch.limit_s
    watch.paced(DEVICES[0], Pace((0, 1), 1 << 60))
    assert watch.limit_s < watch.limit_of(DEVICES[0]) < 13 * 3600
    watch.paced(DEVICES[0], Pace((0, 2), 0))
    assert watch.limit_of(DEVICES[0]) == watch.limit_s


def test_office_takes_the_distance_from_sealed_heartbeats_alone(tmp_path):
    """Each tells the watch in which boot it was said and what; one with an empty map, or of an older device, says nothing."""
    said = []
    desk, device = OfficeDesk(tmp_path), DeviceModel()
    desk.add(device)
    desk.ingest._heartbeats._paced = lambda of, pace: said.append((of, pace))
    desk.take(
        heartbeats=[device.heartbeat(), device.heartbeat(health={}), device.heartbeat(health={13: 60_000})]
    )

    life = (device.epoch, device.boot)
    assert said == [(device.device, Pace(life, apart_ms)) for apart_ms in (0, 0, 60_000)]


def test_device_is_silent_after_two_intervals_and_the_grace():
    """At the limit a device still counts as heard; beyond it, it does not, and is told once."""
    watch, clock = _watch()
    watch.heard(DEVICES[0])
    clock.now += 25
    assert ([], []) == watch.check(DEVICES)
    clock.now += 0.1
    watch.heard(DEVICES[1])

    assert ([DEVICES[0]], []) == watch.check(DEVICES)
    assert ([], []) == watch.check(DEVICES)


def test_next_heartbeat_ends_silence():
    """A device that speaks again is told once."""
    watch, clock = _watch()
    clock.now += 30
    watch.check(DEVICES)
    watch.heard(DEVICES[0])

    assert ([], [DEVICES[0]]) == watch.check(DEVICES)
    assert ([], []) == watch.check(DEVICES)


def test_silence_found_before_a_restart_ends_with_the_next_heartbeat():
    """Who was silent when the office stopped stays so, untold, until it is heard; then that is told."""
    clock = _Clock()
    watch = SilenceWatch(interval_s=10, grace_s=5, monotonic=clock, silent=DEVICES[:1])
    clock.now += 1
    assert ([], []) == watch.check(DEVICES)
    watch.heard(DEVICES[0])

    assert ([], [DEVICES[0]]) == watch.check(DEVICES)


def test_new_device_gets_its_time():
    """A device counts as heard when it is first seen in the register."""
    watch, clock = _watch()
    clock.now += 1000
    watch.heard(DEVICES[0])
    watch.heard(DEVICES[1])

    assert ([], []) == watch.check([*DEVICES, b"device-3"])


@pytest.fixture
def fallen(tmp_path):
    """An office whose one device fell silent since the last check: (desk, device, watch)."""
    desk = OfficeDesk(tmp_path)
    device = DeviceModel(1)
    desk.add(device)
    now = [0.0]
    watch = SilenceWatch(interval_s=10, grace_s=5, monotonic=lambda: now[0])
    record_silence(watch, desk.store, 1)
    now[0] = 30.0
    yield desk, device, watch
    desk.close()


def test_silence_that_could_not_be_recorded_is_recorded_by_the_next_check(fallen):
    """A full disk at that moment must not cost the finding."""
    desk, _, watch = fallen
    desk.store.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable):
        record_silence(watch, desk.store, 2)
    desk.store.connection.execute("PRAGMA query_only = OFF")
    record_silence(watch, desk.store, 3)

    assert [("silence", "")] == desk.findings()


def test_silence_that_a_failing_disk_kept_all_the_same_ends_with_the_next_heartbeat(fallen, monkeypatch):
    """The commit failed and was kept; the device is heard before the next check."""
    desk, device, watch = fallen
    honest = desk.store.transaction

    @contextmanager
    def kept_and_failed():
        with honest():
            yield
        raise StoreUnavailable("the sync failed")

    monkeypatch.setattr(desk.store, "transaction", kept_and_failed)
    with pytest.raises(StoreUnavailable):
        record_silence(watch, desk.store, 2)
    monkeypatch.undo()
    watch.heard(device.device)
    record_silence(watch, desk.store, 3)

    assert [] == desk.findings()
    desk.close()
