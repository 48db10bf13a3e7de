"""An office with a whole fleet in it, made in seconds: for the page's tests, its figures and its screenshots.

A few devices are real: the very agent recorded and sealed what they hold, and the office's own ingest took it, so that every decision
of theirs can be explained and decided again. The rest are registered, heard and counted, row by row through the office's store.

python -m tools.page_fleet FOLDER [DEVICES]
"""

import hashlib
import math
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from office_ingest.founding import found_office
from office_ingest.govern.admissions import Admissions
from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.rollout import roll_out
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.receive.usages import Usages
from office_ingest.storage.downward import Adoption, Downward, Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.admission import seal_announcement
from protocol.adoption import CONFIRMED, REFUSED, ROLLED_BACK, STAGED, TRIAL
from protocol.errors import VALIDITY
from protocol.keys import CRITICAL, ROUTINE, heartbeat_key, seal_ahead, seal_start
from protocol.limits import uplink_segments_max
from protocol.manifest import COHORT
from protocol.messages import Heartbeat, seal_heartbeat
from protocol.segment import parse_segment
from protocol.usage import BLE, UDP
from tools.bench.fleet import BUNDLE, SCHEMA, Row, SealedDevice, make_fleet
from tools.demo_rules import demo_bundle

LIVE_DEVICES = 4
_SITES = ("Alder Weir", "Birch Farm", "Cedar Mill", "Dale Works", "Elm Harbour", "Fern Hill")
_PLACES = ("pump", "tank", "valve", "inlet", "outlet", "boiler")
_SAMPLES = 900
_DAY_MS = 86_400_000
# Of a live device: its battery runs low.
_ALLOWED = 2_000_000
_HEALTH = {0: 41_000, 1: 212, 10: 36_400, 11: 610, 12: 1 << 4, 14: 287, 16: 9_120_344, 19: 84, 20: _ALLOWED}
# Of the same one: two weeks over UDP, a day when it fell over to BLE, and one with a release.
_DAYS_MOVED = 14
_FELL_OVER, _UPDATED = 9, 4
GATEWAY = "gateway-alder-weir"
TOKEN = "the token of this fleet's gateway"  # noqa: S105 - guards nothing: the office is made for a test


class Fleet(NamedTuple):
    """config: office.toml; live: the real devices; release: the number that is rolled out."""

    config: Path
    live: list[SealedDevice]
    release: int


def make_office(
    folder: Path, *, devices: int, now_ms: int, seed: int = 1, page_port: int = 0, is_empty: bool = False
) -> Fleet:
    """Make an office in a new folder and return what is in it. devices: how many, live ones included; now_ms: wall time.

    is_empty: nothing is registered. With the same seed and time the same devices have the same states.
    """
    config = found_office(folder, now_ms=now_ms, name="Riverside Water", port=0, page_port=page_port)
    if is_empty:
        return Fleet(config, [], 0)
    store, keystore = SqliteStore.open(folder / "office.db"), Keystore.open(folder / "keystore.db")
    try:
        # Nothing here needs to outlive a power cut, and an enrolment each would wait for the disk.
        store.connection.execute("PRAGMA synchronous = OFF")
        made = _Made(store, keystore, now_ms, random.Random(seed))  # noqa: S311 - which device has which state
        live = make_fleet(_rows(), seed, min(LIVE_DEVICES, devices), _SAMPLES, counts_inputs=True)
        made.register(live)
        release = made.release(folder / "release-key")
        made.bring(live)
        made.move(live)
        made.crowd(devices - len(live), release)
        made.newcomers()
    finally:
        store.close()
        keystore.close()
    return Fleet(config, live, release)


def _rows() -> list[Row]:
    """Return readings of a pipe and a room: flow that falls when water is used and once for long, a warm and a cool time of each day."""
    chance = random.Random(7)  # noqa: S311 - noise on a drawing
    rows: list[Row] = []
    for at in range(_SAMPLES):
        use = 900 * (math.sin(at / 23) > 0.75)
        leak = 1400 if 520 <= at < 640 else 0
        flow = 10_150 - use - leak + chance.randrange(-90, 90)
        warmth = 720 + round(55 * math.sin(at / 61)) + chance.randrange(-5, 5)
        rows.append([None if 300 <= at < 306 else flow, None if at % 211 == 17 else warmth])
    return rows


class _Made:
    """The office that is being filled."""

    def __init__(self, store: SqliteStore, keystore: Keystore, now_ms: int, chance: random.Random):
        self.store = store
        self.keystore = keystore
        self.now_ms = now_ms
        self.chance = chance
        self.down = Downward(store)
        self.next_rules = demo_bundle(version=2, schema=hashlib.sha256(SCHEMA).digest()[:8])
        self.next_digest = hashlib.sha256(self.next_rules).digest()
        self.digest = hashlib.sha256(BUNDLE).digest()
        self._manifest = b""

    def register(self, live: list[SealedDevice]) -> None:
        """Make the sites, their gateways and the live devices known."""
        registry = Registry(self.store)
        for at, site in enumerate(_SITES):
            name = f"gateway-{site.lower().replace(' ', '-')}"
            token = TOKEN if name == GATEWAY else f"token of gateway {at:012}"
            registry.add_gateway(name, name=name, site=site, token=token, now_ms=self.now_ms - 30 * _DAY_MS)
        registry.add_schema(SCHEMA)
        registry.add_bundle(BUNDLE)
        for at, one in enumerate(live):
            registry.add_device(
                one.device, name=f"{_PLACES[at]}-0001", site=_SITES[0], now_ms=self.now_ms - 30 * _DAY_MS
            )
            self.keystore.enrol(one.device, one.seal_root, one.view_root, one.downlink)
            with self.store.transaction():
                self.down.put_traits(one.device, self._traits("first"))

    def _traits(self, cohort: str) -> Traits:
        return Traits("pump-node", cohort, "unix", hashlib.sha256(SCHEMA).digest()[:8], self.digest)

    def release(self, key: Path) -> int:
        """Build, sign and roll out a release for the cohort "first"; return its number."""
        shelf = Shelf(self.store)
        public, _, successor = make_key(key, now_ms=self.now_ms, tree=5, one_time=3)
        shelf.add_root(public, successor, self.now_ms)
        source = b"what a person wrote"
        request = Request((COHORT, "first"), ["unix"], self.next_rules, source, "M. Keller", days=30)
        made_ms = self.now_ms - 3_600_000
        number = build_release(shelf, request, made_ms).number
        held = shelf.get(number)
        assert held is not None
        while held.state != "signed":
            with OpenSigner(key) as signer:
                held = sign_release(shelf, number, signer, made_ms + 60_000)
            if held.state == "half signed":
                key = key.with_name("release-key-2")
                public, _, successor = make_key(key, now_ms=self.now_ms, tree=5, one_time=3)
                shelf.add_root(public, successor, self.now_ms)
        self._manifest = held.digest
        roll_out(self.store, number, "M. Keller", made_ms + 120_000)
        return number

    def bring(self, live: list[SealedDevice]) -> None:
        """Let the office take what the live devices sealed, and a heartbeat of each."""
        clock = iter(range(self.now_ms - 600_000, self.now_ms, 2))
        ingest = Ingest(
            self.store, self.keystore, wall_ms=lambda: next(clock), takings=Takings(self.store, patience=60)
        )
        segments = [raw for one in live for raw in one.all()]
        for at in range(0, len(segments), uplink_segments_max):
            ingest.take(GATEWAY, segments[at : at + uplink_segments_max], [])
        ingest.take(GATEWAY, [], [heartbeat(one, 1, (1, self.digest)) for one in live])

    def move(self, live: list[SealedDevice]) -> None:
        """Let their gateway tell what the live devices moved in two weeks."""
        today = self.now_ms // _DAY_MS
        rows = []
        for one in live:
            for back in range(_DAYS_MOVED):
                sent = self.chance.randrange(780_000, 940_000)
                received = 310_000 + (96_000 if back == _UPDATED else 0)
                counts = (sent, received, 9_120, 9_130)
                rows.append(
                    (one.device, today - back, UDP, *(count // (1 + 2 * (back == 0)) for count in counts))
                )
                if back == _FELL_OVER:
                    rows.append((one.device, today - back, BLE, 260_000, 88_000, 2_740, 2_744))
        Usages(self.store, keep_days=92, wall_ms=lambda: self.now_ms).take(GATEWAY, rows)

    # the crowd

    def crowd(self, count: int, release: int) -> None:
        """Register, hear and count that many devices; some of them are in trouble."""
        with self.store.transaction():
            for at in range(count):
                self._one(at, release)

    def newcomers(self) -> None:
        """Let two boards wait, one of them heard by two gateways, and one claim be out that nobody heard."""
        admissions = Admissions(self.store, self.keystore)
        hour_ms = 3_600_000
        for hardware, heard in (
            ("unix", ((GATEWAY, 5 * hour_ms), ("gateway-birch-farm", 2 * hour_ms), (GATEWAY, 4_000))),
            ("rpi_pico_w", ((GATEWAY, 70_000), (GATEWAY, 9_000))),
            ("rpi_pico_w", ()),
        ):
            board, secret = admissions.make_claim(hardware, self.now_ms - _DAY_MS)
            for gateway, ago_ms in heard:
                announced = [seal_announcement(board, hardware, secret)]
                admissions.hear(gateway, announced, self.now_ms - ago_ms)

    def _one(self, at: int, release: int) -> None:
        device = hashlib.sha256(b"crowd %d" % at).digest()[:8]
        site = _SITES[at % len(_SITES)]
        name = f"{_PLACES[at // len(_SITES) % len(_PLACES)]}-{at // 36 + 2:04}"
        self.store.put_device(device, name, site, self.now_ms - 20 * _DAY_MS)
        gateway = f"gateway-{site.lower().replace(' ', '-')}"
        is_first = at % 10 < 3
        self.down.put_traits(device, self._traits("first" if is_first else "rest"))
        if at % 89 == 88:
            return  # registered and never heard
        is_next = is_first and at % 4 != 3
        bundle = (2, self.next_digest) if is_next else (1, self.digest)
        heard_ms = self.now_ms - self.chance.randrange(1000, 9000)
        if at % 53 == 52:
            heard_ms -= 5_400_000
            self._finding(device, "silence", "", "no heartbeat for 25 s", heard_ms + 25_000)
        segments = self.chance.randrange(2_000, 90_000)
        said = _Said(device, at, bundle, segments)
        raw = said.heartbeat()
        digest = hashlib.sha256(raw).digest()
        self.store.put(
            "heartbeats", device, 3, said.counter, said.generation, 0, digest, raw, gateway, heard_ms
        )
        self.store.put("reports", device, 3, said.counter, *bundle, heard_ms)
        events, decisions = segments * 14, segments // 9
        self.store.put("tallies", device, segments, events, decisions, at % 7)
        for lane, number, head in (
            (CRITICAL, segments // 4, said.heads[0]),
            (ROUTINE, segments * 3 // 4, said.heads[1]),
        ):
            self.store.put("heads", device, lane, 0, 0, number, head, 3, said.counter)
        self._trouble(at, device, gateway)
        if is_first:
            self._adoption(at, device, release, is_next=is_next)

    def _finding(self, device: bytes, kind: str, place: str, text: str, at_ms: int) -> None:
        self.store.put("findings", device, kind, place, text, "open", at_ms, at_ms, 1)

    def _trouble(self, at: int, device: bytes, gateway: str) -> None:
        at_ms = self.now_ms - 7_200_000
        if at % 71 == 70:
            self.store.put("gaps", device, ROUTINE, 0, "open", 400, 400 + at % 17 + 1, 0, at_ms)
        if at % 307 == 306:
            self.store.put("gaps", device, CRITICAL, 0, "lost", 90, 94, 0, at_ms)
        if at % 601 == 30:
            raw = b"another segment for number 210 of device %d" % at
            digest = hashlib.sha256(raw).digest()
            self.store.put("forks", digest, device, CRITICAL, 0, 210, 210, "place", raw, gateway, at_ms)
            text = "another segment is held for its place"
            self._finding(device, "fork", "critical epoch 0 number 210", text, at_ms)
        if at % 401 == 40:
            raw = b"not a segment of device %d" % at
            digest = hashlib.sha256(raw).digest()
            self.store.put("quarantine", digest, device, 3, "the seal does not hold", raw, gateway, at_ms, 1)

    def _adoption(self, at: int, device: bytes, release: int, *, is_next: bool) -> None:
        steps = [(STAGED, 812), (TRIAL, 0), (CONFIRMED, 0)]
        if not is_next:
            steps = [
                [(STAGED, 812)],
                [(STAGED, 812), (TRIAL, 0)],
                [(STAGED, 812), (TRIAL, 0), (ROLLED_BACK, at % 5)],
                [(REFUSED, VALIDITY)],
                [],
            ][at // 10 % 5]
        for place, (step, detail) in enumerate(steps):
            tick_ms = 400_000 + 30_000 * place
            received_ms = self.now_ms - 1_800_000 + 40_000 * place
            event = Adoption(0, 9000 + place, 3, tick_ms, release, step, self._manifest, detail, received_ms)
            self.down.add_adoption(device, event)
            if step == ROLLED_BACK:
                self._finding(
                    device, "rolled-back", f"release {release}", "it rolled the release back", received_ms
                )


class _Said:
    """What a crowd device says: a sealed heartbeat from keys of its own, which no keystore holds."""

    def __init__(self, device: bytes, at: int, bundle: tuple[int, bytes], segments: int):
        self.device = device
        self.bundle = bundle
        self.segments = segments
        self.counter = 2_000 + at % 5_000
        self.generation = segments // 4 // 32
        self.heads = [hashlib.sha256(b"head %d %d" % (lane, at)).digest() for lane in (CRITICAL, ROUTINE)]
        self._key = heartbeat_key(seal_start(hashlib.sha256(b"seal %d" % at).digest(), CRITICAL))

    def heartbeat(self) -> bytes:
        fields: dict[str, Any] = {
            "device": self.device,
            "generation": self.generation,
            "boot": 3,
            "counter": self.counter,
            "tick_ms": self.counter * 10_000,
            "epoch": 0,
            "critical": (0, self.segments // 4, self.heads[0]),
            "routine": (0, self.segments * 3 // 4, self.heads[1]),
            "bundle": self.bundle,
            "health": {0: 41_000, 3: self.counter % 19},
        }
        return seal_heartbeat(Heartbeat(**fields), self._key)


def heartbeat(
    one: SealedDevice,
    counter: int,
    bundle: tuple[int, bytes],
    *,
    boot: int = 1,
    tick_ms: int = _SAMPLES * 36_000,
) -> bytes:
    """Return the heartbeat of a live device with the heads of all that it sealed. counter: above every one before."""
    heads = []
    for lane in (CRITICAL, ROUTINE):
        last = parse_segment(one.lanes[lane][-1])
        heads.append((0, last.header.number, last.digest))
    generation = parse_segment(one.lanes[CRITICAL][-1]).header.generation
    key = seal_ahead(seal_start(one.seal_root, CRITICAL), generation)
    said = Heartbeat(one.device, generation, boot, counter, tick_ms, 0, heads[0], heads[1], bundle, _HEALTH)
    return seal_heartbeat(said, heartbeat_key(key))


def beat(
    fleet: Fleet,
    wall_ms: Callable[[], int],
    counter: int,
    *,
    runs: tuple[int, bytes] | None = None,
    devices: int = 1,
) -> None:
    """Let the first devices be heard once more, as an uplink would: into the database of an office that may be running."""
    folder = fleet.config.parent
    store, keystore = SqliteStore.open(folder / "office.db"), Keystore.open(folder / "keystore.db")
    try:
        ingest = Ingest(store, keystore, wall_ms=wall_ms, takings=Takings(store, patience=60))
        bundle = runs or (1, hashlib.sha256(BUNDLE).digest())
        ingest.take(GATEWAY, [], [heartbeat(one, counter, bundle) for one in fleet.live[:devices]])
    finally:
        store.close()
        keystore.close()


def main(arguments: list[str]) -> int:
    """Make an office in a folder and say how to look at it."""
    folder, count = Path(arguments[0]), int(arguments[1]) if arguments[1:] else 10_000
    started = time.monotonic()
    os.umask(0o077)
    fleet = make_office(folder, devices=count, now_ms=time.time_ns() // 1_000_000)
    print(
        f"{count} devices in {time.monotonic() - started:.1f} s; next: outstation office serve --config {fleet.config}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
