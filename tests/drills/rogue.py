"""A gateway in the wrong hands, a lie for each device; then an honest one with an empty store takes its place.

Each lie is noticed by the office (quarantine, a gap at the numbers in question, a finding) within two heartbeats that arrive, or it
does no harm. In the end all that a device holds is at the office, and nothing that it did not seal.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

from protocol.diagnostic import DiagnosticError
from tests.drills.books import count, forged, read
from tests.drills.field import Make, lay_out, plant
from tests.drills.judgement import judge_verify
from tests.drills.rogue_gateway import CONTROL
from tests.site.harness import stop_devices, stop_services, until, waiting
from tools.drills.plan import CI
from tools.drills.row import Row, Sign
from tools.flashimage import read_image
from tools.site_proof import prove_site

# kind of lie -> what the office must notice it by; None: it does no harm, and there is nothing to notice
KINDS = {
    CONTROL: None,
    "alter": "quarantine",
    "drop": "gap",
    "insert": "quarantine",
    "reorder": None,
    "fork": "quarantine",
    "forge_first": "quarantine",
    "forge_heartbeats": "quarantine",
    "truncate": "gap",
    "silence": "finding silence",
    "replay": None,
    "withhold_receipts": None,
    "false_custody": "gap",
    "false_custody_full_ring": "gap",
    "forge_receipts": "gap",
}
# Their rings are written from end to end while nobody has a receipt for them.
FULL_RINGS = ("false_custody_full_ring", "forge_receipts")
HEARTBEATS_MAX = 2
# So many heartbeats of the honest device after a lie nobody waits any more for the office to notice it.
HEARTBEATS_WAITED = 10
SECONDS = {CI: (8.0, 25.0), "soak": (300.0, 320.0)}


@dataclass
class Watch:
    """What was done to a device and what the office noticed of it; wall milliseconds."""

    kind: str
    acts: int = 0
    first_ms: int = 0
    numbers: set = field(default_factory=set)
    sign_ms: int = 0


class Watcher:
    """Looks at the rogue's lies and at the office's books while both go on."""

    def __init__(self, site, kinds, acts):
        self.books = site.office_folder / "office.db"
        self._acts = acts
        self._read = 0
        self.watches = {device: Watch(kind) for device, kind in zip(site.device_ids, kinds, strict=True)}

    def look(self):
        """Look once."""
        if self._acts.exists():
            text = self._acts.read_text()
            for line in text[self._read : text.rfind("\n") + 1].splitlines():
                self._take(*json.loads(line))
            self._read = text.rfind("\n") + 1
        for device, watch in self.watches.items():
            if watch.acts and not watch.sign_ms and self._noticed(device, watch):
                watch.sign_ms = int(time.time() * 1000)

    def _take(self, when_ms, device, numbers):
        watch = self.watches[bytes.fromhex(device)]
        watch.acts += 1
        watch.first_ms = watch.first_ms or when_ms
        watch.numbers |= set(numbers)

    def _noticed(self, device, watch):
        by = KINDS[watch.kind]
        if by == "quarantine":
            return count(self.books, "quarantine", device, is_live=True) > 0
        if by == "gap":
            gaps = self._read_live(
                "SELECT start, stop FROM gaps WHERE device = ? AND state != 'filled'", device
            )
            return any(start <= number < stop for start, stop in gaps for number in watch.numbers)
        if by is not None:
            query = "SELECT 1 FROM findings WHERE device = ? AND kind = ?"
            return bool(self._read_live(query, device, by.split()[1]))
        return False

    def _read_live(self, query, *arguments):
        return read(self.books, query, arguments, is_live=True)

    def is_all_noticed(self):
        """Say whether every lie was told, and noticed if it can be, or too late in any case."""
        return all(
            watch.kind == CONTROL
            or (watch.acts and (watch.sign_ms or KINDS[watch.kind] is None or self._is_too_late(watch)))
            for watch in self.watches.values()
        )

    def _is_too_late(self, watch):
        query = "SELECT count(*) FROM heartbeats WHERE device = ? AND received_ms > ?"
        honest = next((device for device, other in self.watches.items() if other.kind == CONTROL), None)
        came = self._read_live(query, honest, watch.first_ms)
        return bool(came) and came[0][0] > HEARTBEATS_WAITED

    def heartbeats(self, device, watch):
        """Return how many heartbeats of a device came to the office after the first lie and before the sign."""
        query = "SELECT count(*) FROM heartbeats WHERE device = ? AND received_ms > ? AND received_ms < ?"
        return read(self.books, query, (device, watch.first_ms, watch.sign_ms))[0][0]

    async def keep_looking(self):
        """Look again and again; ends by being cancelled."""
        while True:
            self.look()
            await asyncio.sleep(0.1)


def are_rings_full(site):
    """Say whether each device whose ring is to be full has given up the first that it sealed."""
    rings = [read_image(device.folder / "flash.bin") for device in site.devices if device.name in FULL_RINGS]
    return all(any(lane.segments[0].header.number > 0 for lane in ring.lanes) for ring in rings)


def make(kind, drain_ms):
    """Return how the device that is lied about in this way is made."""
    if kind in FULL_RINGS:
        return Make(kind, per_s=60, sectors=5, drain_ms=drain_ms)
    return Make(kind, per_s=4, drain_ms=drain_ms)


async def run(
    folder, size, seed, say, *, kinds=tuple(KINDS), prepare=lambda site: None, drain_ms=40_000, seconds=None
):
    """Return a row for each kind of lie. prepare(site): may change how its processes start, before any does."""
    site = await lay_out(folder, [make(kind, drain_ms) for kind in kinds])
    watcher = Watcher(site, kinds, folder / "acts")
    rows = [Row(f"rogue {kind}", "", seed, size) for kind in kinds]
    honest = list(site.gateway.command)
    planned = {
        "devices": {d.hex(): kind for d, kind in zip(site.device_ids, kinds, strict=True)},
        "acts": str(folder / "acts"),
    }
    (folder / "plan.json").write_text(json.dumps(planned))
    plant(site.gateway, "tests.drills.rogue_gateway", str(folder / "plan.json"))
    prepare(site)
    try:
        await _story(site, watcher, honest, seconds or SECONDS[size], drain_ms / 1000, say)
    except (AssertionError, DiagnosticError) as error:
        rows[0].faults.append(f"story: {error}")
    finally:
        await site.close()
    _judge(site, watcher, rows)
    return rows


async def _story(site, watcher, honest, seconds, patience_s, say):
    looking = asyncio.create_task(watcher.keep_looking())
    try:
        await asyncio.gather(site.office.start(), site.gateway.start())
        await asyncio.gather(*(device.start() for device in site.devices))
        say(f"a rogue gateway lies about {len(site.devices)} devices, each in its own way")
        began = time.monotonic()
        await asyncio.sleep(seconds[0])
        while time.monotonic() - began < seconds[1]:
            if watcher.is_all_noticed() and are_rings_full(site):
                break
            await asyncio.sleep(0.2)
    finally:
        looking.cancel()
    say("an honest gateway with an empty store takes its place")
    await site.gateway.kill()
    for path in site.gateway_folder.glob("gateway.db*"):
        path.unlink()
    site.gateway.command = honest
    await site.gateway.start()
    await asyncio.sleep(1.0)
    began = time.monotonic()
    await stop_devices(site)
    # What a device waits for, the gateway does not wait for once more.
    left_s = max(1.0, patience_s - (time.monotonic() - began))
    await until(lambda: not waiting(site), "the gateway's outbox is not empty", left_s)
    await stop_services(site)


def _judge(site, watcher, rows):
    proof = prove_site(site)
    made_up = forged(site.office_folder)
    for (device, watch), row in zip(watcher.watches.items(), rows, strict=True):
        lanes = [lane for lane in proof.lanes if lane.name == watch.kind]
        row.done = {"lies": watch.acts, "segments of the device": sum(lane.segments for lane in lanes)}
        row.forged = sum(place.startswith(device.hex()) for place in made_up)
        row.require(
            row.forged == 0, "forged", f"{row.forged} segments are held that their device did not seal"
        )
        _judge_sign(row, watcher, device, watch)
        _judge_loss(row, site, device, lanes)
    judge_verify(rows[0], site)


def _judge_sign(row, watcher, device, watch):
    by = KINDS[watch.kind]
    if watch.kind == CONTROL:
        noticed = count(watcher.books, "quarantine", device)
        row.require(noticed == 0, "control", "the honest device's segments are in quarantine")
        return
    row.require(watch.acts > 0, "lies", "the rogue never came to lie")
    if by is None:
        return
    row.require(watch.sign_ms > 0, "noticed", f"the office has no {by} of it")
    if watch.sign_ms:
        heartbeats = watcher.heartbeats(device, watch)
        row.signs.append(Sign(by, "office", heartbeats))
        is_in_time = heartbeats <= HEARTBEATS_MAX or by.startswith("finding silence")
        row.require(is_in_time, "in time", f"{heartbeats} heartbeats arrived before the office had its {by}")


def _judge_loss(row, site, device, lanes):
    """Count what is missing at the office and no tombstone of the device says is gone."""
    books = site.office_folder / "office.db"
    gaps = read(books, "SELECT state, sum(stop - start) FROM gaps WHERE device = ? GROUP BY state", (device,))
    states = dict(gaps)
    declared = states.get("lost", 0)
    missing = sum(max(0, lane.recorded - lane.held) for lane in lanes)
    if declared:
        row.figures = {"segments_given_up_with_a_tombstone": declared, "events_in_them": missing}
    row.doubled = sum(max(0, lane.held - lane.recorded) for lane in lanes)
    row.lost = 0 if declared and not states.get("open", 0) else missing
    row.require(bool(lanes), "recorded", "the device recorded nothing")
    row.require(
        row.lost == 0, "freed", f"{row.lost} events are neither at the office nor covered by a tombstone"
    )
    row.require(
        not states.get("open", 0),
        "gaps",
        f"{states.get('open', 0)} segments are still missing, without a word",
    )
    row.require(row.doubled == 0, "doubled", f"{row.doubled} events more at the office than on flash")
    row.require(
        not declared or row.name.removeprefix("rogue ") in FULL_RINGS,
        "kept",
        f"{declared} segments were given up",
    )
