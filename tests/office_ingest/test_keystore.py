"""The keystore derives what the device derives, keeps little, and forgets what was erased."""

import sqlite3
import stat

import pytest

from office_ingest.errors import KeyUnknown, NotAnOfficeDatabase, StoreUnavailable
from office_ingest.receive.keystore import LANES_REMEMBERED, REMEMBERED_PER_LANE, Keystore
from protocol import keys
from protocol.errors import FAR_GENERATION, PERIOD, ProtocolError
from tests.support.device_model import DeviceModel


@pytest.fixture
def device():
    """A device model."""
    return DeviceModel()


@pytest.fixture
def keystore(tmp_path, device):
    """A keystore that knows the device."""
    made = Keystore.create(tmp_path / "keystore.db")
    device.enrol(made)
    yield made
    made.close()


def test_seal_keys_are_the_devices(keystore, device):
    """Any order of asking gives the keys of the schedule, for both lanes."""
    for lane, generation in (
        (0, 0),
        (0, 40),
        (0, 7),
        (1, 40),
        (0, 41),
        (0, 4095),
        (0, 4096),
        (0, 3),
        (1, 5000),
    ):
        assert device.seal_key(lane, generation) == keystore.seal_key(device.device, lane, generation)


def test_consecutive_generations_cost_one_step(keystore, device, monkeypatch):
    """Going on from the key before derives one key."""
    keystore.seal_key(device.device, 0, 4000)
    steps = []
    step = keys.seal_next
    monkeypatch.setattr(keys, "seal_next", lambda key: steps.append(key) or step(key))
    keystore.seal_key(device.device, 0, 4001)

    assert 1 == len(steps)


def test_every_4096th_key_is_kept(keystore, device):
    """What was derived on the way is found again after a restart, so that no key is ever far."""
    for generation in (3000, 6000, 9000):
        keystore.seal_key(device.device, 0, generation)
    kept = keystore._connection.execute(
        "SELECT generation FROM seal_keys WHERE lane = 0 ORDER BY 1"
    ).fetchall()

    assert [(0,), (4096,), (8192,)] == kept


def test_generation_beyond_reach_is_refused(keystore, device):
    """Nobody can make the office derive without end."""
    with pytest.raises(ProtocolError) as caught:
        keystore.seal_key(device.device, 0, 8193)
    assert FAR_GENERATION == caught.value.code


def test_memory_is_bounded(keystore, device):
    """Few derived keys are remembered for each lane, and for no more lanes than are planned."""
    for generation in range(3 * REMEMBERED_PER_LANE):
        keystore.seal_key(device.device, 0, generation)

    assert REMEMBERED_PER_LANE == len(keystore._near[device.device, 0])
    assert len(keystore._near) <= LANES_REMEMBERED


def test_view_keys_are_rows_and_only_the_newest_ratchet_stays(keystore, device):
    """Asking for a period keeps every key up to it, and no ratchet from which an erased one would follow."""
    ratchet = keys.view_start(device.view_root, keys.SITE)
    assert keys.view_key(keys.view_next(keys.view_next(ratchet))) == keystore.view_key(
        device.device, keys.SITE, 2
    )
    rows = keystore._connection.execute("SELECT period FROM view_keys WHERE class = 1 ORDER BY 1").fetchall()
    held = keystore._connection.execute("SELECT period, r FROM ratchets WHERE class = 1").fetchone()

    assert [(0,), (1,), (2,)] == rows
    assert (3, keys.view_next(keys.view_next(keys.view_next(ratchet)))) == held


def test_erased_period_is_gone_for_good(keystore, device, tmp_path):
    """After an erasure neither a row nor the file's bytes give the key; its neighbours stay."""
    gone = keystore.view_key(device.device, keys.OFFICE, 1)
    keystore.erase_period(device.device, keys.OFFICE, 1)

    assert keystore.view_key(device.device, keys.OFFICE, 1) is None
    assert keystore.view_key(device.device, keys.OFFICE, 0) is not None
    assert gone not in (tmp_path / "keystore.db").read_bytes()


def test_period_far_ahead_is_refused(keystore, device):
    """The ratchet is not moved by more periods than years of days."""
    with pytest.raises(ProtocolError) as caught:
        keystore.view_key(device.device, keys.OFFICE, 4097)
    assert PERIOD == caught.value.code


def test_roots_are_not_kept(keystore, device, tmp_path):
    """Who steals the file finds no root in it."""
    content = (tmp_path / "keystore.db").read_bytes()

    assert device.seal_root not in content
    assert device.view_root not in content
    assert device.downlink in content


def test_only_the_owner_may_read(keystore, tmp_path):
    """The file is made with mode 0600."""
    assert 0o600 == stat.S_IMODE((tmp_path / "keystore.db").stat().st_mode)


def test_read_only_changes_nothing(keystore, device, tmp_path):
    """An auditor derives what he needs and leaves the file as it was."""
    before = (tmp_path / "keystore.db").read_bytes()
    reader = Keystore.open(tmp_path / "keystore.db", read_only=True)
    assert device.seal_key(0, 5000) == reader.seal_key(device.device, 0, 5000)
    assert reader.view_key(device.device, keys.SITE, 3) is not None
    reader.close()

    assert before == (tmp_path / "keystore.db").read_bytes()


def test_unknown_device_has_no_keys(keystore):
    """A device that was never enrolled is said, not guessed."""
    for ask in (
        lambda: keystore.downlink(bytes(8)),
        lambda: keystore.seal_key(bytes(8), 0, 0),
        lambda: keystore.view_key(bytes(8), 1, 0),
    ):
        with pytest.raises(KeyUnknown):
            ask()


def test_device_is_enrolled_once(keystore, device):
    """A second enrolment cannot replace keys under which segments are held."""
    with pytest.raises(sqlite3.IntegrityError):
        device.enrol(keystore)


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to look at" * 50])
def test_other_files_are_refused(tmp_path, content):
    """Only a keystore is opened as one."""
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotAnOfficeDatabase):
        Keystore.open(path)


def test_commit_that_a_reader_keeps_waiting_leaves_the_keystore_usable(tmp_path, keystore):
    """After a write that gave up because somebody reads, the next one works: nothing is left half open."""
    keystore._connection.execute("PRAGMA busy_timeout = 20")
    reader = sqlite3.connect(tmp_path / "keystore.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM devices").fetchall()
    with pytest.raises(StoreUnavailable, match="locked"):
        DeviceModel(2).enrol(keystore)
    reader.execute("ROLLBACK")
    reader.close()
    DeviceModel(3).enrol(keystore)

    assert 2 == len(keystore.devices())
