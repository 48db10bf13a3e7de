"""What a device seals is its own word: a page shows it, whatever it is, and goes on."""

import hashlib

import pytest

from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.storage.sqlite import SqliteStore
from protocol import keys
from protocol.event import ACTION, ADOPTION, BOOT, DECISION, REFUSAL, TIME_MARK
from tests.office_ingest.show.conftest import wall_ms
from tests.support.device_model import DeviceModel
from tools.bench.fleet import BUNDLE
from tools.page_fleet import GATEWAY

# What an integer of the database still holds, and no calendar, chart or list of words does.
_FAR = 1 << 60


class Liar:
    """A device with true keys, enrolled at the page's office, that says what it likes."""

    def __init__(self, page):
        self.page = page
        self.model = DeviceModel(77)
        self.model.bundle = (1, hashlib.sha256(BUNDLE).digest())

    def bring(self, events_by_lane):
        """Enrol, seal and bring events as an uplink would, with a heartbeat; nothing of it may be refused."""
        folder = self.page.fleet.config.parent
        store, keystore = SqliteStore.open(folder / "office.db"), Keystore.open(folder / "keystore.db")
        try:
            Registry(store).add_device(self.model.device, name="liar", site="Alder Weir", now_ms=1)
            self.model.enrol(keystore)
            raw = [self.model.seal(lane, events) for lane, events in events_by_lane.items()]
            ingest = Ingest(store, keystore, wall_ms=wall_ms, takings=Takings(store, patience=60))
            answer = ingest.take(GATEWAY, raw, [self.model.heartbeat()])
            assert len(answer.receipts) == len(raw)
        finally:
            store.close()
            keystore.close()
        self.page.look()

    def statuses(self, *orders):
        """Return the statuses of its page, with its readings drawn, and of the page of each of its decisions."""
        own = f"/devices/{self.model.device.hex()}"
        assert "<svg" in self.page.get(own).text
        return [
            self.page.get(path).status_code for path in ("/", own, *(f"{own}/{order}" for order in orders))
        ]


@pytest.fixture
def liar(own_page):
    """A device that may bring anything."""
    return Liar(own_page)


def _two_samples(liar):
    return [liar.model.sample([1, 2]), liar.model.sample([3, 4])]


def _decided(liar, tick, verdict, value=_FAR):
    acts = [[200, value, verdict, _FAR]]
    return liar.model.row(DECISION, 9, _FAR, 2, liar.model.bundle[1], tick, [], [], 255, 3, [], [], acts)


def test_time_beyond_every_calendar(liar):
    """The newest reading's wall time is the mark's."""
    marks = [liar.model.row(BOOT, 0, _FAR), liar.model.row(TIME_MARK, _FAR, _FAR)]
    liar.bring({keys.CRITICAL: marks, keys.ROUTINE: _two_samples(liar)})

    assert [200, 200] == liar.statuses()


@pytest.mark.parametrize("width", [1, 3, 8])
def test_more_or_fewer_channels_than_its_schema_has(liar, width):
    """The schema is the office's, the width of a sample the device's."""
    samples = [liar.model.sample([at] * width) for at in range(4)]
    liar.bring({keys.ROUTINE: samples})

    assert [200, 200] == liar.statuses()


def test_values_beyond_every_range(liar):
    """A chart's axis spans what came."""
    liar.bring({keys.ROUTINE: [liar.model.sample([sign * _FAR, -sign * _FAR]) for sign in (1, -1, 1)]})

    assert [200, 200] == liar.statuses()


@pytest.mark.parametrize("verdict", [99, _FAR])
def test_verdicts_rules_and_gates_that_nobody_knows(liar, verdict):
    """A list of words is asked for a word that it does not have."""
    events = [
        liar.model.row(BOOT, 0, 0),
        _decided(liar, _FAR, verdict),
        _decided(liar, 0, verdict, value=-_FAR),
        liar.model.row(ACTION, _FAR, 77, _FAR, 2),
        liar.model.row(REFUSAL, _FAR, 77, -_FAR, verdict),
        liar.model.row(ADOPTION, 2, 4_000_000_000, bytes(32), 4_000_000_000),
    ]
    liar.bring({keys.CRITICAL: events, keys.ROUTINE: _two_samples(liar)})

    assert [200, 200, 200, 200] == liar.statuses(1, 2)
