"""A device whose flash was put back goes on from an older state: the auditor says that, once, and goes on with it."""

import pytest

from office_ingest.prove.verify import verify_database
from protocol.keys import CRITICAL, ROUTINE
from tests.support.deciding_device import BUNDLE, READINGS, DecidingDevice, newer

RESTORED, UNREADABLE = 1, 3
SECOND = newer(2)
IMAGE_AT, FIRST_STOP, SECOND_STOP = 16, 40, 32


@pytest.fixture
def device(desk):
    """A registered device that has booted, at an office that holds its bundle and that of a release."""
    return make_device(desk)


def make_device(desk, seed=1):
    """Return that device."""
    made = DecidingDevice(seed)
    desk.add(made)
    for body in (BUNDLE, SECOND):
        desk.registry.add_bundle(body)
    made.start()
    return made


def _live(device, first, stop, **options):
    for values in READINGS[first:stop]:
        device.take(values, **options)
    device.flush()


def _lives(device, *, reboots=False):
    """Live, be put back and live again in the same epoch; return (until then, first life, second life), each by lane."""
    _live(device, 0, IMAGE_AT)
    image, before = device.image(), _sealed(device)
    if reboots:
        device.reboot()
    device.adopt(SECOND, 1)
    _live(device, IMAGE_AT, FIRST_STOP)
    first = _sealed(device)
    device.put_back(image)
    _live(device, IMAGE_AT, SECOND_STOP)
    second = _sealed(device)
    return before, _less(first, before), _less(second, before)


def _sealed(device):
    return [[segment.raw for segment in lane.segments] for lane in device.lanes]


def _less(lives, before):
    return [life[len(known) :] for life, known in zip(lives, before, strict=True)]


def _take(desk, *lives):
    for life in lives:
        for lane in life:
            desk.take(*lane)


def _walk(desk):
    return verify_database(desk.store.connection, desk.keystore)


def _said(report):
    return [(finding.table, finding.what) for finding in report.findings]


def _one_that_says_so(report):
    """Assert that one thing is found, and that it says that a flash was put back."""
    assert [("events", True)] == [(table, "restored or cloned" in what) for table, what in _said(report)]
    counts = report.counts
    assert counts["decisions"] == counts["decisions_replayed_equal"] > 0


@pytest.mark.parametrize("carried", [0, 3])
@pytest.mark.parametrize("reason", [RESTORED, UNREADABLE])
def test_new_epoch_of_a_device_that_was_put_back_begins_anew_and_is_replayed_whole(
    desk, device, reason, carried
):
    """Older rules and registers decide again, orders are used again: one finding, and the run goes on from the epoch's first checkpoint.

    carried: samples that were not sealed when the epoch began, and are sealed in it.
    """
    before, first, _ = _lives(device)
    for values in READINGS[SECOND_STOP : SECOND_STOP + carried]:
        device.take(values)
    device.begin_epoch(reason)
    _live(device, SECOND_STOP + carried, len(READINGS))
    _take(desk, before, first, _sealed(device))
    report = _walk(desk)

    _one_that_says_so(report)
    samples = FIRST_STOP + len(READINGS) - SECOND_STOP
    assert (samples, samples - carried) == (report.counts["samples"], report.counts["samples_run_replayed"])


def test_new_epoch_whose_orders_go_on_is_no_finding(desk, device):
    """A device that could not read its flash begins an epoch with orders that were never used: nothing is wrong with that."""
    _live(device, 0, IMAGE_AT)
    before = _sealed(device)
    device.begin_epoch(UNREADABLE)
    _live(device, IMAGE_AT, FIRST_STOP)
    _take(desk, before, _sealed(device))
    report = _walk(desk)

    assert [] == _said(report)
    assert 1.0 == report.counts["run_replay_coverage"]


def test_decision_left_out_in_the_new_epoch_is_still_found(desk, device):
    """What was put back is no excuse for what comes after."""
    before, first, _ = _lives(device)
    device.begin_epoch(RESTORED)
    _live(device, 0, len(READINGS), keep=lambda decision: None)
    _take(desk, before, first, _sealed(device))

    assert any("run replay decides otherwise" in what for _, what in _said(_walk(desk)))


@pytest.mark.parametrize("reboots", [False, True])
@pytest.mark.parametrize("lane", [CRITICAL, ROUTINE])
def test_two_lives_in_one_epoch_are_one_finding(desk, device, lane, reboots):
    """One lane holds what was sealed before the flash was put back, the other what was sealed after: no run over both means a thing."""
    before, first, second = _lives(device, reboots=reboots)
    mixed = [first[at] if at == lane else second[at] for at in (CRITICAL, ROUTINE)]
    _take(desk, before, mixed)

    _one_that_says_so(_walk(desk))


def test_what_was_wrong_before_two_lives_is_still_found(desk, device):
    """A decision that was left out before the image was made stands beside the finding of two lives."""
    left_out = []

    def keep(decision):
        return decision if left_out else left_out.append(decision)

    _live(device, 0, IMAGE_AT // 2, keep=keep)
    device.checkpoint()
    image, before = device.image(), _sealed(device)
    _live(device, IMAGE_AT, FIRST_STOP)
    first = _less(_sealed(device), before)
    device.put_back(image)
    _live(device, IMAGE_AT, SECOND_STOP)
    second = _less(_sealed(device), before)
    _take(desk, before, [first[CRITICAL], second[ROUTINE]])
    said = _said(_walk(desk))

    assert ["decisions", "events"] == sorted(table for table, _ in said)
    assert any("run replay decides otherwise" in what for _, what in said)


def test_row_of_a_body_that_was_erased_is_left_alone_though_orders_went_back(desk, device):
    """An adoption whose body nobody reads again lies at an order above those that the new epoch begins with: no row is blamed."""
    image = device.image()
    _live(device, 0, IMAGE_AT)
    device.adopt(SECOND, 1)
    first = _sealed(device)
    device.put_back(image)
    device.period = 1
    device.begin_epoch(RESTORED)
    _live(device, IMAGE_AT, FIRST_STOP)
    _take(desk, first, _sealed(device))
    for view_class in set(device.view_class):
        desk.keystore.erase_period(device.device, view_class, 0)
    report = _walk(desk)

    assert 2 == len(desk.rows("adoptions"))
    assert [] == _said(report)
