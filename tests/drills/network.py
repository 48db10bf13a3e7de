"""Strangers around a site: they flood it, replay what they heard, forge addresses and talk nonsense, to the gateway and to the office.

One honest device goes on through all of it. Nothing of a stranger is stored, no answer to him is more than three times what he sent,
memory stays what it was, and the honest device is served.
"""

import asyncio
import random
import sqlite3
import time
from dataclasses import dataclass

from office_ingest.receive.keystore import Keystore
from protocol.diagnostic import DiagnosticError
from protocol.errors import ProtocolError
from protocol.limits import generation_segments
from tests.drills import callers, insider, strangers
from tests.drills.books import count, forged, read, traceback_lines
from tests.drills.field import Make, lay_out
from tests.drills.judgement import judge_books, judge_events
from tests.drills.rogue_gateway import number_of, renumbered
from tests.site.harness import stop_services, until, waiting
from tools.demo.ages import open_rows, quantile, read_log
from tools.drills.memory import mib, resident_kib
from tools.drills.plan import CI
from tools.drills.row import Row, Sign
from tools.site_proof import EXPECTED_FINDINGS, prove_site

AMPLIFICATION_MAX = 3
MEMORY_MAX_KIB = 16 * 1024
SEQUENCE_SPACE = 1 << 40
_YEAR_S = 365 * 86_400
# So many more than the limit lets pass that a gateway without one uses up numbers by the thousand, however slow the machine.
_REPLAYS_FIRST = 4000
# By then the gateway has made the leap of its start under the context that is replayed.
_LEAPT = 200
# The device whose link secret was stolen: it never runs.
STOLEN = "stolen"


@dataclass(frozen=True)
class Size:
    """How much of each is sent. listen_s: how long whoever asked listens; per_s: samples a second of the honest device."""

    flood: int
    peers: int
    replays: int
    malformed: int
    nonsense: int
    calls: int
    held_open: int
    listen_s: float = 5.0
    per_s: int = 8


SIZES = {
    CI: Size(100_000, 10_000, 100_000, 20_000, 300, 400, 100),
    "soak": Size(2_000_000, 10_000, 5_000_000, 500_000, 20_000, 20_000, 1000),
}
DRILLS = ("strangers", "flood", "peers", "replays", "malformed", "callers")


class Ground:
    """The site under fire, and what every drill on it needs."""

    def __init__(self, site, captured, size, seed, say, patience_s):
        self.site = site
        self.patience_s = patience_s
        self.captured = captured
        self.size = size
        self.chance = random.Random(seed)
        self.say = say
        self.books = site.office_folder / "office.db"
        self.honest = site.device_ids[0]
        # What the gateway had counted before the first drill; refused requests of the office's callers that it keeps.
        self.counted_before = {}
        self.quarantined = 0

    @property
    def port(self):
        """Of the gateway itself, past the relay."""
        return self.site.gateway_port

    def memory(self, service):
        """Return the resident memory of a process, KiB."""
        return resident_kib(service.process.pid)

    def receipted(self):
        """Return the sum of the receipted numbers of the honest device."""
        return read(
            self.books, "SELECT coalesce(sum(number), 0) FROM receipts WHERE device = ?", (self.honest,)
        )[0][0]

    async def still_served(self, row):
        """Wait until the honest device has a receipt for something that it sealed after now."""
        before = self.receipted()
        try:
            await until(
                lambda: self.receipted() > before + 1, "the honest device gets no receipt", self.patience_s
            )
        except AssertionError as error:
            row.faults.append(f"served: {error}")

    def counts(self):
        """Return what the gateway counted, as it saved it last."""
        return self._health().get("counts", {})

    async def counts_now(self):
        """Return what the gateway counted, saved after this call."""
        asked_ms = int(time.time() * 1000)
        await until(
            lambda: self._health().get("saved_ms", 0) > asked_ms,
            "the gateway saves no counters",
            self.patience_s,
        )
        return self.counts()

    def _health(self):
        from gateway.store_view import StoreView

        with StoreView(self.site.gateway_folder / "gateway.db") as view:
            return view.health()

    def reserved(self):
        """Return the highest sender sequence reserved in any context of the honest device, by context."""
        database = sqlite3.connect(f"file:{self.site.gateway_folder / 'gateway.db'}?mode=ro", uri=True)
        try:
            return dict(
                database.execute("SELECT context, reserved FROM sessions WHERE device = ?", (self.honest,))
            )
        finally:
            database.close()


async def run(
    folder, size, seed, say, *, drills=DRILLS, prepare=lambda site: None, amounts=None, drain_ms=40_000
):
    """Return a row for each drill. prepare(site): may change how its processes start; amounts: another Size."""
    captured = strangers.Captured()
    amounts = amounts or SIZES[size]
    makes = [Make("honest", per_s=amounts.per_s, has_log=True, drain_ms=drain_ms), Make(STOLEN)]
    site = await lay_out(folder, makes, keep=captured)
    ground = Ground(site, captured, amounts, seed, say, drain_ms / 1000)
    rows = [Row(f"network {name}", _STORIES[name].__doc__.splitlines()[0], seed, size) for name in drills]
    prepare(site)
    try:
        await _story(ground, drills, rows)
    except (AssertionError, DiagnosticError) as error:
        rows[0].faults.append(f"story: {error}")
    finally:
        await site.close()
    _judge(ground, drills, rows)
    return rows


async def _story(ground, drills, rows):
    site = ground.site
    await asyncio.gather(site.office.start(), site.gateway.start())
    honest = site.devices[0]
    await honest.start()
    await until(
        lambda: ground.receipted() > 3 and len(ground.captured.requests) > 20,
        "the honest device does not get going",
    )
    ground.counted_before = ground.counts()
    for name, row in zip(drills, rows, strict=True):
        began, began_ms = time.monotonic(), int(time.time() * 1000)
        ground.say(row.about)
        pids = [site.gateway.process.pid, site.office.process.pid]
        await _STORIES[name](ground, row)
        row.figures["honest_segments_meanwhile"] = _served(ground, began_ms)
        await ground.still_served(row)
        row.figures["honest_p99_ms"] = _age(ground, began_ms)
        row.seconds = round(time.monotonic() - began, 1)
        is_same = name == "replays" or pids == [site.gateway.process.pid, site.office.process.pid]
        row.require(
            is_same and site.gateway.is_running and site.office.is_running, "alive", "a process ended"
        )
        if not site.gateway.is_running:
            raise site.gateway.failed("the gateway ended by itself")
    await site.devices[0].stop(2, 60.0)
    await until(lambda: not waiting(site), "the gateway's outbox is not empty", ground.patience_s)
    await stop_services(site)


def _served(ground, began_ms):
    query = "SELECT count(*) FROM segments WHERE device = ? AND committed_ms >= ?"
    return read(ground.books, query, (ground.honest, began_ms))[0][0]


def _age(ground, began_ms):
    """Return the 99th percentile of milliseconds from record to commit, of events recorded from a moment on."""
    log = read_log(ground.site.devices[0].folder / "record.log")
    query = "SELECT raw, committed_ms FROM segments WHERE device = ? AND committed_ms >= ?"
    keystore = Keystore.open(ground.site.office_folder / "keystore.db", read_only=True)
    try:
        rows = read(ground.books, query, (ground.honest, began_ms))
        segments = [segment for row in rows for segment in _opened(row, keystore)]
    finally:
        keystore.close()
    ages = [
        s.committed_ms - log[order] for s in segments for order in s.orders if log.get(order, 0) >= began_ms
    ]
    return quantile(sorted(ages), 99)


def _opened(row, keystore):
    try:
        return list(open_rows([row], keystore))
    except ProtocolError:
        # It has no age, and that it is held at all is for _judge to say.
        return []


async def ask_strangely(ground, row):
    """requests without keys, one from each socket; whatever comes back while they listen is counted"""
    datagrams = strangers.plain_requests()
    datagrams += [strangers.junk(ground.chance, ground.captured.requests) for _ in range(300)]
    found = await strangers.ask(ground.port, datagrams, ground.size.listen_s)
    # A captured request is authenticated, and its answer may be an Echo challenge: it counts here all the same.
    found += await strangers.ask(
        ground.port, [strangers.again(r, 9) for r in ground.captured.requests[:50]], ground.size.listen_s / 2
    )
    worst = max(traffic.ratio for traffic in found)
    row.done = {"requests": len(found), "answers": sum(traffic.answers for traffic in found)}
    row.figures["largest_answer_over_request"] = worst
    row.require(worst <= AMPLIFICATION_MAX, "amplification", f"an answer of {worst} times its request")


async def flood(ground, row):
    """junk and replayed requests from 32 sockets, without waiting for answers"""
    count, chance, samples = ground.size.flood, ground.chance, ground.captured.requests
    memory = ground.memory(ground.site.gateway)
    datagrams = (
        strangers.junk(chance, samples) if n % 2 else strangers.again(chance.choice(samples), n & 0xFFFF)
        for n in range(count)
    )
    began = time.monotonic()
    traffic = await strangers.flood(ground.port, datagrams)
    row.done = {"datagrams": traffic.sent, "answers": traffic.answers}
    row.figures |= {
        "datagrams_per_s": int(traffic.sent / (time.monotonic() - began)),
        "answer_bytes_over_request_bytes": traffic.ratio,
    }
    _judge_memory(ground, row, memory)
    row.require(
        traffic.ratio <= AMPLIFICATION_MAX, "amplification", f"answers of {traffic.ratio} times what was sent"
    )


async def forge_addresses(ground, row):
    """requests from thousands of addresses, each plain, unknown or replayed"""
    count, chance = ground.size.peers, ground.chance
    memory = ground.memory(ground.site.gateway)
    hosts = strangers.spoofed(chance, count)
    answers = 0
    plain = strangers.plain_requests()
    for start in range(0, count, 250):
        some = hosts[start : start + 250]
        datagrams = [
            strangers.again(
                chance.choice(ground.captured.requests if n % 3 == 0 else plain), (start + n) & 0xFFFF
            )
            for n in range(len(some))
        ]
        answers += sum(traffic.answers for traffic in await strangers.ask(ground.port, datagrams, 0.1, some))
    row.done = {"addresses": count, "answers": answers}
    _judge_memory(ground, row, memory)


async def replay(ground, row):
    """requests of the honest device again and again, from the gateway's next start on"""
    samples = list(ground.captured.requests)
    # Whoever replays is first after the start: the device must get through from behind.
    ground.captured.is_cut = True
    await ground.site.gateway.kill()
    before = ground.reserved()
    await ground.site.gateway.start()
    memory, began, served = ground.memory(ground.site.gateway), time.monotonic(), ground.receipted()
    count = ground.size.replays

    def datagrams():
        # Until the honest device got through in between, or it is plain that it never will.
        for index in range(4 * count):
            if index == _LEAPT:
                before.update(ground.reserved())
            ground.captured.is_cut = ground.captured.is_cut and index < _REPLAYS_FIRST
            if index >= count and index % 500 == 0 and ground.receipted() > served + 1:
                return
            yield strangers.again(samples[index % len(samples)], index & 0xFFFF)

    traffic = await strangers.insist(ground.port, datagrams())
    seconds = time.monotonic() - began
    after = ground.reserved()
    burnt = sum(number - before.get(context, number) for context, number in after.items())
    row.done = {"replays": traffic.sent, "answers": traffic.answers}
    row.figures |= {
        "sequence_numbers_reserved": burnt,
        "share_of_the_sequence_a_year": f"{burnt / seconds * _YEAR_S / SEQUENCE_SPACE:.1e}",
        "replays_per_s": int(traffic.sent / seconds),
    }
    # Eight at once and one a second, one for each request that is newer than all before, in steps of 64, and those of the start.
    most = 8 + int(seconds) + len(samples) + 3 * 64
    row.require(burnt <= most, "sequence", f"{burnt} sequence numbers were used up, more than {most}")
    row.require(
        ground.receipted() > served + 1,
        "meanwhile",
        "the honest device got no receipt while the replays went on",
    )
    _judge_memory(ground, row, memory)


async def talk_nonsense(ground, row):
    """malformed CoAP, OSCORE and CBOR at the gateway, from strangers and from somebody with a device's link secret"""
    samples = ground.captured.requests
    before = await ground.counts_now()
    traffic = await strangers.flood(
        ground.port, (strangers.junk(ground.chance, samples) for _ in range(ground.size.malformed))
    )
    segments, beats = (
        [bytes(raw) for (raw,) in read(ground.books, f"SELECT raw FROM {table} LIMIT 20")]
        for table in ("segments", "heartbeats")
    )
    link = ground.site.devices[1].folder / "link.toml"
    claims = [("s", segments[0]), ("h", beats[0])]
    codes = await insider.talk_nonsense(
        ground.port, link, ground.size.nonsense, ground.chance, segments, claims
    )
    row.done = {"malformed datagrams": traffic.sent, "malformed under true keys": sum(codes.values())}
    row.figures["answers_under_true_keys"] = {
        str(code): number for code, number in sorted(codes.items(), key=str)
    }
    counted = await ground.counts_now()
    for name in ("malformed", "wrong_device"):
        _sign(row, counted[name] - before[name], name, "gateway's counters")
    row.require("2.04" not in codes, "accepted", f"nonsense was accepted {codes.get('2.04')} times")


async def call_the_office(ground, row):
    """broken HTTP, bodies that are none, a segment that no device sealed, and connections that go no further, at the office"""
    token = (ground.site.gateway_folder / "token").read_text().strip()
    ca = ground.site.gateway_folder / "office-ca.pem"
    raw = read(ground.books, "SELECT raw FROM segments LIMIT 1")[0][0]
    memory, before = ground.memory(ground.site.office), count(ground.books, "quarantine")
    held = await callers.hold_open(ground.site.office_port, ca, ground.size.held_open)
    requests = [callers.nonsense(ground.chance, token, bytes(raw)) for _ in range(ground.size.calls)]
    requests.append(callers.forgery(token, _forged_segment(ground)))
    statuses = await callers.call(ground.site.office_port, ca, requests)
    await ground.still_served(row)
    for writer in held:
        writer.transport.abort()
    row.done = {"requests": len(requests), "connections held open": len(held)}
    row.figures |= {
        "statuses": dict(sorted(statuses.items())),
        "office_memory_mib": mib(ground.memory(ground.site.office) - memory),
    }
    ground.quarantined = count(ground.books, "quarantine") - before
    _sign(row, ground.quarantined, "in quarantine", "office")
    broken = {status: number for status, number in statuses.items() if status.startswith("5")}
    row.require(not broken, "answers", f"the office answered {broken}")


def _forged_segment(ground):
    """Return a segment of the honest device for a number that it has not come to: only the seal can tell."""
    query = "SELECT raw FROM segments WHERE device = ? ORDER BY number DESC LIMIT 1"
    raw = bytes(read(ground.books, query, (ground.honest,))[0][0])
    # The last of its generation: another generation would be refused before anybody looks at the seal.
    return renumbered(
        raw, number_of(raw) // generation_segments * generation_segments + generation_segments - 1
    )


_STORIES = {
    "strangers": ask_strangely,
    "flood": flood,
    "peers": forge_addresses,
    "replays": replay,
    "malformed": talk_nonsense,
    "callers": call_the_office,
}


def _sign(row, number, what, by):
    """Require that something was counted in this drill, and take it for a sign only if it was."""
    row.require(number > 0, "counted", f"the {by} says nothing of it: {number} {what}")
    if number > 0:
        row.signs.append(Sign(f"{number:,} {what}", by))


def _judge_memory(ground, row, before):
    grown = ground.memory(ground.site.gateway) - before
    row.figures["gateway_memory_mib"] = mib(grown)
    row.require(grown <= MEMORY_MAX_KIB, "memory", f"the gateway grew by {mib(grown)} MiB")


def _proof(ground, drills):
    """Return the proof of the site, without what the drills themselves gave cause for."""
    expected = (*EXPECTED_FINDINGS, "quarantine-full") if "callers" in drills else EXPECTED_FINDINGS
    proof = prove_site(ground.site, expected=expected)
    own = (
        f"{STOLEN}: the flash image holds no segment of this device",
        f"{ground.quarantined} rows in quarantine",
    )
    proof.faults = [fault for fault in proof.faults if fault not in own]
    return proof


def _judge(ground, drills, rows):
    site = ground.site
    proof = _proof(ground, drills)
    made_up = len(forged(site.office_folder))
    judge_books(rows[0], site, proof)
    for row in rows[1:]:
        judge_events(row, proof)
    for row in rows:
        row.forged = made_up
        row.require(made_up == 0, "forged", f"{made_up} segments are held that no device sealed")
    if drills != ("callers",):
        unknown = ground.counts().get("unauthenticated", 0) - ground.counted_before.get("unauthenticated", 0)
        _sign(rows[0], unknown, "unauthenticated in all drills", "gateway's counters")
    for service in (site.gateway, site.office):
        found = traceback_lines(service.log)
        rows[-1].require(found == 0, "log", f"the log of the {service.name} shows {found} exceptions")
