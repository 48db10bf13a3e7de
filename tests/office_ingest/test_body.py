"""Bodies that a device sealed and that are not what they should be: never stored, always told."""

import pytest

from protocol import errors, keys
from protocol.cbor import dumps
from protocol.segment import seal_segment
from protocol.uplink import QUARANTINED, STORED
from tests.support.device_model import DeviceModel, ctr


@pytest.fixture
def device(desk):
    """A registered device."""
    made = DeviceModel()
    desk.add(made)
    return made


def test_body_that_does_not_open_is_quarantined_and_told(desk, device):
    """A sealed segment whose words nobody can read is not stored, and a person is told."""
    device.view_root = bytes(32)

    assert [QUARANTINED + errors.BODY] == desk.take(device.seal(0)).outcomes
    assert [("body", "critical epoch 0 number 0")] == desk.findings()


_PLAIN = "8501000040%s"


@pytest.mark.parametrize(
    "rows",
    [
        "9f84000a0affff",  # an array of indefinite length
        "818400000ac0a10001",  # a tag
        "818400000aa100f93c00",  # a float
        "818400000aa200010002",  # a key twice
        "818400000aa201010001",  # keys out of order
        "818400000aa1001801",  # a head longer than needed
        "818400000aa1616101",  # a key that is text
        "8184000018ffc249010000000000000000",  # a bignum, in an event of a kind that nobody knows
        "818400000aa1000100",  # bytes after the end
    ],
)
def test_body_outside_the_strict_encoding_is_quarantined(desk, device, rows):
    """What the device's own encoder never writes is not stored, though the seal holds and other decoders would read it."""
    good = _sealed_plaintext(device, bytes.fromhex(_PLAIN % "818400000aa10001"))
    bad = _sealed_plaintext(device, bytes.fromhex(_PLAIN % rows))

    assert [QUARANTINED + errors.BODY] == desk.take(bad).outcomes
    assert [("body", "routine epoch 0 number 0")] == desk.findings()
    assert [STORED] == desk.take(good).outcomes


_ADOPTION = [1, 7, bytes(32), 0]


@pytest.mark.parametrize(
    "plain",
    [
        [0, 0, 0, b"", [[0, 0, 11, *_ADOPTION[:3], 1 << 63]]],
        [0, 0, 0, b"", [[0, 1 << 63, 11, *_ADOPTION]]],
        [0, 1 << 62, 0, b"", [[0, 1 << 62, 11, *_ADOPTION]]],
    ],
    ids=["detail", "tick", "base and tick together"],
)
def test_number_that_no_database_holds_is_refused_alone(desk, device, plain):
    """One device's own keys must not be enough to keep a whole batch from being stored, for good."""
    bad = _sealed_plaintext(device, dumps(plain))
    other = DeviceModel(2)
    desk.add(other, name="other")

    assert [QUARANTINED + errors.BODY, STORED] == desk.take(bad, other.seal(0)).outcomes


def test_orders_beyond_the_last_one_are_refused_alone(desk, device):
    """The order of a row is order_base and a difference: their sum has the limit too."""
    rows = [[0, 0, 11, *_ADOPTION], [1 << 62, 0, 11, *_ADOPTION]]
    bad = _sealed_plaintext(device, dumps([0, 0, 1 << 62, b"", rows]), count=2)

    assert [QUARANTINED + errors.BODY] == desk.take(bad).outcomes


def _sealed_plaintext(device, plaintext, count=1):
    header = device.header(1, count, keys.SITE)
    body_key, iv_key = device.view_keys(keys.SITE, 0)
    return seal_segment(header, plaintext, keys.tag_key(device.seal_key(1, 0)), body_key, iv_key, ctr)


def test_count_that_differs_from_the_body_is_quarantined(desk, device):
    """The header's count is compared with the events inside."""
    raw = device.seal_only(0, [device.sample([1, 1])], count=2)

    assert [QUARANTINED + errors.BODY] == desk.take(raw).outcomes
