"""Which view keys a gateway is given: single ones of class site, of its own devices, where somebody granted it."""

import pytest

from office_ingest.govern.views import AGAIN_MS, put_grant, withdraw_grant
from protocol import keys
from protocol.uplink import encode_uplink_answer, parse_uplink_answer
from tests.support.device_model import DeviceModel


def key_of(device, view_class, period):
    """Return vk(period) as the device has it."""
    ratchet = keys.view_start(device.view_root, view_class)
    for _ in range(period):
        ratchet = keys.view_next(ratchet)
    return keys.view_key(ratchet)


def add_device(desk):
    """Return a device of the gateway's site that is in its fifth period."""
    made = DeviceModel(1)
    desk.add(made)
    made.period = 5
    desk.take(made.seal(1), heartbeats=[made.heartbeat()])
    return made


@pytest.fixture
def device(desk):
    """A device of the gateway's site that is in its fifth period."""
    return add_device(desk)


def said(desk, *devices):
    """Return device -> (first period, keys) of the answer to a heartbeat of each, as it crosses the uplink."""
    answer = desk.take(heartbeats=[device.heartbeat() for device in devices])
    read = parse_uplink_answer(encode_uplink_answer(answer))
    return {device: (first, keys) for device, first, keys in read.views}


def test_nothing_is_given_that_nobody_granted(desk, device):
    """A gateway reads nothing by itself."""
    desk.now_ms += AGAIN_MS

    assert {} == said(desk, device)


@pytest.mark.proves("S47")
def test_a_granted_gateway_gets_single_keys_of_class_site(desk, device):
    """Those of the periods that were granted, some ahead; never one of class office, never a ratchet."""
    put_grant(desk.store, "gw-1", 2, 1, "a", desk.now_ms)
    first, given = said(desk, device)[device.device]

    assert (3, [key_of(device, keys.SITE, period) for period in (3, 4, 5, 6)]) == (first, given)
    ratchets = {keys.view_start(device.view_root, each) for each in (keys.SITE, keys.OFFICE)}
    for _ in range(9):
        assert not ratchets & set(given)
        ratchets = {keys.view_next(one) for one in ratchets}
    assert not {key_of(device, keys.OFFICE, period) for period in range(9)} & set(given)


def test_a_gateway_gets_no_key_of_another_sites_device(desk, device):
    """What it carries for a stranger it does not read."""
    other = DeviceModel(2)
    other.enrol(desk.keystore)
    desk.registry.add_device(other.device, name="other", site="another", now_ms=1)
    put_grant(desk.store, "gw-1", 2, 1, "a", desk.now_ms)

    assert {device.device} == set(said(desk, device, other))


def test_a_revoked_device_is_read_no_more(desk, device):
    """Nothing is said of it."""
    put_grant(desk.store, "gw-1", 2, 1, "a", desk.now_ms)
    with desk.store.transaction():
        desk.store.revoke_device(device.device, "a", "stolen", 1)

    assert {} == said(desk, device)


def test_an_erased_period_is_named_without_its_key(desk, device):
    """What was erased in the office goes at the gateway too."""
    put_grant(desk.store, "gw-1", 2, 0, "a", desk.now_ms)
    desk.keystore.erase_period(device.device, keys.SITE, 4)

    assert (3, [key_of(device, keys.SITE, 3), None, key_of(device, keys.SITE, 5)]) == said(desk, device)[
        device.device
    ]


def test_a_withdrawn_grant_leaves_nothing(desk, device):
    """The gateway is told that it may read no period, at once and again."""
    put_grant(desk.store, "gw-1", 2, 1, "a", desk.now_ms)
    said(desk, device)
    withdraw_grant(desk.store, "gw-1", "a", desk.now_ms)
    now = said(desk, device)
    desk.now_ms += AGAIN_MS

    assert {device.device: (0, [])} == now == said(desk, device)


def test_it_is_said_when_it_changed_and_once_a_minute(desk, device):
    """Keys do not cross the uplink with every heartbeat; a new period is told at once, a gateway that lost its store soon."""
    put_grant(desk.store, "gw-1", 0, 0, "a", desk.now_ms)
    assert device.device in said(desk, device)
    assert {} == said(desk, device)
    desk.now_ms += AGAIN_MS
    assert device.device in said(desk, device)
    device.period = 6
    desk.take(device.seal(1))

    assert (6, [key_of(device, keys.SITE, 6)]) == said(desk, device)[device.device]


def test_a_grant_that_its_disk_changed_grants_nothing(desk, device):
    """A row that does not have its digest is as if it were withdrawn."""
    put_grant(desk.store, "gw-1", 0, 0, "a", desk.now_ms)
    desk.store.connection.execute("UPDATE view_grants SET past = 20")

    assert {device.device: (0, [])} == said(desk, device)
