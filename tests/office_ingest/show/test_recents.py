"""What a device's page keeps of readings and lanes is what the office's files give when they are read anew, and lives no longer than its keys."""

import gc
import hashlib
import random

import pytest

from office_ingest.receive.body import open_events
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.show import recents
from office_ingest.show.bodies import Bodies, Body, Keys
from office_ingest.show.chart import draw
from office_ingest.show.histogram import draw_inputs
from office_ingest.show.readings import Held, device_channels, recent_of
from office_ingest.storage.sqlite import SqliteStore
from protocol.event import BOOT, DECISION, TIME_MARK
from protocol.keys import CLEAR, CRITICAL, LANE_NAMES, OFFICE, ROUTINE, SITE
from protocol.segment import parse_segment
from tests.office_ingest.show.conftest import wall_ms
from tests.support.device_model import DeviceModel
from tools.bench.fleet import BUNDLE
from tools.page_fleet import GATEWAY

_NEWEST = {CRITICAL: 160, ROUTINE: 12}
_BUNDLES = ((1, hashlib.sha256(BUNDLE).digest()), (2, bytes(32)))


class Desk:
    """The files of a page's office, opened for writing, and two devices of a test's own."""

    def __init__(self, page, seed=0):
        self.page = page
        self.chance = random.Random(seed)
        folder = page.fleet.config.parent
        self.store, self.keystore = (
            SqliteStore.open(folder / "office.db"),
            Keystore.open(folder / "keystore.db"),
        )
        self.models = [DeviceModel(81), DeviceModel(82)]
        self.late = []
        for at, model in enumerate(self.models):
            model.bundle = _BUNDLES[0]
            Registry(self.store).add_device(model.device, name=f"own-{at}", site="Alder Weir", now_ms=1)
            model.enrol(self.keystore)

    def take(self, *raws, heartbeats=()):
        """Let the office take segments and heartbeats, as an uplink would."""
        ingest = Ingest(self.store, self.keystore, wall_ms=wall_ms, takings=Takings(self.store, patience=60))
        ingest.take(GATEWAY, list(raws), list(heartbeats))

    def view(self, device):
        """Return what the page's thread gives of a device with what it keeps: readings, charts, lanes."""

        def look(room):
            drawn = room.devices.recents.look(room.connection, room.keystore, device)
            return *drawn, room.devices.chains.look(room.connection, device)

        return self.page.room._worker.submit(look, self.page.room).result()

    def afresh(self, device):
        """Return the same, with nothing kept: every segment opened and counted."""
        held = [self._held(device, lane) for lane in (CRITICAL, ROUTINE)]
        recent = recent_of(*held, device_channels(self.store.connection, device))
        return recent, draw(recent), draw_inputs(recent), self._lanes(device)

    def _held(self, device, lane):
        rows = self.store.connection.execute(
            "SELECT raw FROM segments WHERE device = ? AND lane = ? ORDER BY epoch DESC, number DESC LIMIT ?",
            (device, lane, _NEWEST[lane]),
        ).fetchall()
        sealed = [one for (raw,) in rows if (one := parse_segment(raw)).header.view_class != CLEAR]
        found = []
        for segment in sealed:
            key = self.keystore.view_key(device, segment.header.view_class, segment.header.period)
            if key is not None:
                boot, events = open_events(segment, key)
                found.append(Body(None, [(boot, event) for event in events]))
        return Held(found, len(sealed) - len(found))

    def _lanes(self, device):
        rows = self.store.connection.execute(
            "SELECT s.lane, s.epoch, count(*), max(s.number), sum(s.count), (SELECT number FROM receipts r WHERE"
            " r.device = s.device AND r.lane = s.lane AND r.epoch = s.epoch), (SELECT number FROM heads h WHERE"
            " h.device = s.device AND h.lane = s.lane AND h.epoch = s.epoch)"
            " FROM segments s WHERE s.device = ? GROUP BY s.lane, s.epoch ORDER BY s.epoch DESC, s.lane",
            (device,),
        )
        names = ("lane", "epoch", "segments", "newest", "events", "receipted", "head")
        return [dict(zip(names, (LANE_NAMES[row[0]], *row[1:]), strict=True)) for row in rows]

    def change(self):
        """Change one thing that a device's page shows."""
        model = self.chance.choice(self.models)
        self.chance.choice(
            (
                *(self._sample, self._decide, self._decide, self._keep_back, self._catch_up, self._beat),
                *(self._turn_period, self._erase, self._restart, self._prune, self._renew),
            )
        )(model)

    def _sample(self, model):
        count = self.chance.randrange(1, 20)
        self.take(model.seal(ROUTINE, [model.sample([self.chance.randrange(99), 3]) for _ in range(count)]))

    def _decide(self, model):
        acts = [[200, self.chance.randrange(99), self.chance.randrange(2), 0]]
        fields = (1, 5, 2, model.bundle[1], model.tick_ms // 100, [], [], 255, 3, [], [], acts)
        marks = [model.row(TIME_MARK, 1_700_000_000_000 + model.tick_ms, 40)]
        self.take(model.seal(CRITICAL, [model.row(DECISION, *fields), *marks[: self.chance.randrange(2)]]))

    def _keep_back(self, model):
        self.late.append(model.seal(self.chance.choice((CRITICAL, ROUTINE))))

    def _catch_up(self, _model):
        self.take(*self.late)
        self.late = []

    def _beat(self, model):
        model.bundle = self.chance.choice(_BUNDLES)
        self.take(heartbeats=[model.heartbeat()])

    def _turn_period(self, model):
        model.period += 1

    def _erase(self, model):
        self.keystore.erase_period(
            model.device, self.chance.choice((SITE, OFFICE)), self.chance.randrange(model.period + 1)
        )
        model.period += 1

    def _restart(self, model):
        self.take(model.seal(CRITICAL, [model.restart(model.tick_ms // 100)]))

    def _prune(self, model):
        lane = model.lanes[ROUTINE]
        if lane.kept_from < lane.number:
            self.take(model.tombstone(ROUTINE, lane.kept_from, lane.number - 1))

    def _renew(self, model):
        model.new_epoch()
        self.take(model.seal(CRITICAL, [model.row(BOOT, 0, model.tick_ms // 100)]))

    def close(self):
        """Close both files."""
        self.store.close()
        self.keystore.close()


@pytest.fixture
def desk(own_page):
    """An office that a test may change."""
    made = Desk(own_page)
    yield made
    made.close()


@pytest.mark.parametrize("kept", [recents._KEPT_MAX, 1])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_of_a_device_is_what_is_read_anew(desk, monkeypatch, seed, kept):
    """After any changes, late segments, tombstones, new epochs and erased keys among them: readings, charts and lanes. kept: devices."""
    monkeypatch.setattr(recents, "_KEPT_MAX", kept)
    desk.chance = random.Random(seed)
    seen = set()
    for _ in range(120):
        desk.change()
        if desk.chance.random() < 0.4:
            device = desk.chance.choice(desk.models).device
            assert desk.afresh(device) == desk.view(device)
            seen.add(len(desk.view(device)[0].samples))

    assert len(seen) > 3, "the changes changed nothing that is shown"


def test_a_second_look_makes_nothing_again(desk):
    """Heartbeats alone change no reading: what was shown is the very same object."""
    model = desk.models[0]
    raw = model.seal(ROUTINE, [model.sample([at, 3]) for at in range(9)])
    desk.take(raw, heartbeats=[model.heartbeat()])
    before = desk.view(model.device)
    desk.take(heartbeats=[model.heartbeat()])

    assert before[0] is desk.view(model.device)[0]


def test_a_new_segment_is_the_only_one_that_is_opened(desk, monkeypatch):
    """Of a device that goes on recording only what came since is opened."""
    model, opened = desk.models[0], []
    for _ in range(4):
        desk.take(model.seal(ROUTINE))
    desk.view(model.device)
    monkeypatch.setattr(
        "office_ingest.show.bodies.open_events",
        lambda segment, key: opened.append(segment.header.number) or open_events(segment, key),
    )
    desk.take(model.seal(ROUTINE))
    desk.view(model.device)

    assert [4] == opened


def test_bodies_stay_within_their_bound(desk):
    """However many are opened, no more events are kept than was said; the one that was used last stays."""
    model = desk.models[0]
    raws = [model.seal(ROUTINE, [model.sample([at, 3]) for at in range(9)]) for _ in range(12)]
    desk.take(*raws)
    few, keys = Bodies(events_max=30), Keys(desk.keystore)
    for raw in raws:
        few.body(keys, model.device, raw)

    assert few._events == sum(1 + len(body.events) for body in few._kept.values()) <= 30
    assert few.body(keys, model.device, raws[-1]) is few.body(keys, model.device, raws[-1])


SECRET = 713_577


def _secret(desk, period):
    """Let a device record a reading, shown on its page, in one period and others in the next."""
    model = desk.models[0]
    model.period = period
    desk.take(model.seal(ROUTINE, [model.sample([SECRET, at]) for at in range(3)]))
    model.period = period + 1
    desk.take(model.seal(ROUTINE, [model.sample([at, 3]) for at in range(3)]), heartbeats=[model.heartbeat()])
    return model.device


def _readings_in_memory():
    """Return how many lists of values anywhere in this process hold the reading."""
    gc.collect()
    return sum(1 for one in gc.get_objects() if type(one) is list and len(one) == 2 and one[0] == SECRET)


def test_an_erased_key_takes_what_was_shown_with_it(desk):
    """The page that showed the readings a moment ago, before the key of their period was erased, shows the other period's alone."""
    device = _secret(desk, 2)
    path = f"/devices/{device.hex()}"
    before = desk.page.get(path).text
    desk.keystore.erase_period(device, SITE, 2)
    after = desk.page.get(path).text

    assert ("7135.77" in before, "7135.77" in after) == (True, False)
    assert "<svg" in after


def test_an_erased_key_leaves_no_reading_in_memory(desk):
    """Within a look of the page, whoever looks: no list of values of the erased period is left in the process, and the watcher is told."""
    device = _secret(desk, 2)
    path = f"/devices/{device.hex()}"
    desk.page.get(path)
    desk.page.look()
    del desk.models[0].lanes[ROUTINE].segments[:]
    before = _readings_in_memory()
    desk.keystore.erase_period(device, SITE, 2)
    has_changed = desk.page.look()

    assert has_changed, "who watches the device's page would go on seeing the readings"
    assert (before > 0, 0) == (True, _readings_in_memory())
