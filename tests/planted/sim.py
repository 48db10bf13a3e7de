"""Faults planted into a whole simulated site: over journal, custody, receipts, keys, counters, adoption, ingest and watch.

FAULTS: name -> Fault. plant(put): put is pytest's monkeypatch.setattr. promise: the checker that must catch it, by its name in
tests/sim. kinds: faults of the plan that bring it out; shape(world): what else of the site must be so.
"""

from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

from agent import adopter, app, bodies, fetch, incumbent, prune, recovery, session
from agent.acknowledgements import Acknowledgements
from agent.actuators import Actuators
from agent.adopter import Adopter
from agent.app import Agent
from agent.cell import Cell
from agent.clock import Clock
from agent.commander import Commander
from agent.journal import Journal
from agent.keystore import Keystore as DeviceKeystore
from agent.recorder import Decider, Recorder
from agent.resources import Levels
from agent.steward import Steward
from agent.trial import Trial
from gateway import store_answer
from gateway.store import Batch, Store
from office_ingest.errors import StoreUnavailable
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.lane import Lane
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.watch.silence import SilenceWatch
from protocol.event import ACTION
from protocol.oscore import ReplayWindow
from rules.engine import D_AFTER
from tests.planted import sim_usage
from tests.sim.plan import Step


class Fault(NamedTuple):
    """One way in which a site could be broken."""

    plant: Callable[[Any], None]
    promise: str
    kinds: tuple[str, ...] = ()
    shape: Callable[[Any], None] | None = None
    days: float = 1.0


def _attacked(world):
    """Somebody on the air repeats what he heard, all day."""
    world.plan.insert(0, Step(3600.0, "weather", (0.05, 0.1, 0.5, 0.3)))


def _in_wrong_hands(*kinds):
    def shape(world):
        world.plan.insert(0, Step(3600.0, "hostile", (0, kinds, 80_000)))

    return shape


def _cut_off(world):
    """A small ring, and nobody who takes what comes for a day and a half."""
    for device in world.devices:
        device.make_flash(4)
    world.plan.insert(0, Step(3600.0, "part gateway", (0, 165_000)))


def _put_back(world):
    """A small ring, and an office put back from a copy that is almost two days old."""
    for device in world.devices:
        device.make_flash(4)
    world.plan.insert(0, Step(3600.0, "restore office", (150_000,)))


def _offered_other_rules(world):
    """A release is rolled out while the gateway gives other rules in its place."""
    world.plan[:0] = [Step(3600.0, "hostile", (0, ("other rules",), 80_000)), Step(7200.0, "roll out", (1,))]


def _slow_and_behind(world):
    """Nobody takes what comes for most of a day; then the line is slow."""
    for device in world.devices:
        device.make_flash(40)
    world.plan[:0] = [
        Step(3600.0, "part gateway", (0, 70_000)),
        Step(73_000.0, "weather", (0.02, 0.0, 60, 0.0)),
    ]


def _rolls_out(number):
    def shape(world):
        world.plan.insert(0, Step(7200.0, "roll out", (number,)))

    return shape


def prune_without_tombstone(put):
    """Journal: erase what was not receipted, and seal no tombstone over it."""
    put(prune, "_write_tombstone", lambda journal, lane, victim: None)


def forget_the_last_segment(put):
    """Journal: take up after a boot below what was sealed last."""
    made = recovery._recover_lane

    def recover(journal, lane, found):
        made(journal, lane, found)
        held = journal.ring.of(lane, journal.epoch)
        if held and found[held[-1]].before_last is not None:
            state = journal.lanes[lane]
            state.next_number -= 1
            journal.ring.sectors[held[-1]].last -= 1

    put(recovery, "_recover_lane", recover)


def hold_custody_in_memory(put):
    """Custody: give it for what was never written."""

    async def add(self, segment, *, lost=(), is_wanted=False):
        header = segment.header
        self.lane(header.device, header.lane, header.epoch).held.add(header.number, header.number + 1)
        return "stored"

    put(Store, "add_segment", add)


def routine_first(put):
    """Custody: forward in the order of arrival, whatever the lane."""
    made = Store.next_batch

    async def batch(self, segments_max, heartbeats_max):
        found = await made(self, segments_max, heartbeats_max)
        return Batch(sorted(found.segments, reverse=True), found.heartbeats)

    put(Store, "next_batch", batch)


def fill_the_disk(put):
    """Custody: take whatever comes, however little room there is."""
    put(Store, "_take_room", lambda self, size, *, reserve: None)


def _small_store(world):
    for gateway in world.gateways:
        gateway.bytes_max = 1


def free_nothing(put):
    """Custody: keep what is receipted, too."""
    put(store_answer, "release", lambda connection: 0)


def receipt_what_failed(put):
    """Receipts: answer as if a batch were durable that the disk did not take."""
    made = Ingest.take

    def take(self, gateway, segments, heartbeats):
        try:
            return made(self, gateway, segments, heartbeats)
        except StoreUnavailable:
            self._store.transaction, kept = _not_durable(self._store), self._store.transaction
            try:
                return made(self, gateway, segments, heartbeats)
            finally:
                self._store.transaction = kept
                self._lanes.forget()

    put(Ingest, "take", take)


def _not_durable(store):
    @contextmanager
    def transaction():
        store.connection.disk.fault, kept = None, store.connection.disk.fault
        store.connection.execute("BEGIN")
        try:
            yield
        finally:
            store._undo()
            store.connection.disk.fault = kept

    return transaction


def receipt_over_gaps(put):
    """Receipts: promise everything up to the highest number that is held."""
    put(Lane, "receipt_number", lambda self: self.held.pairs[-1][1] - 1 if self.held.pairs else -1)


def take_custody_for_receipt(put):
    """Receipts: take a gateway's custody for the office's receipt."""
    made = Acknowledgements.note_custody

    def note(self, lane, epoch, watermark):
        made(self, lane, epoch, watermark)
        self.lanes[lane].receipt = max(self.lanes[lane].receipt, self.lanes[lane].custody - 1)

    put(Acknowledgements, "note_custody", note)


def keep_the_seal_key(put):
    """Keys: seal for ever with the first key."""
    put(DeviceKeystore, "advance_seal", lambda self, lane: None)


def start_at_zero(put):
    """Counters: number requests from zero at each boot, under the keys of the boot before."""
    put(session, "fresh_context", lambda boot, random_bytes: b"8 bytes!")


def forget_the_boot(put):
    """Counters: count boots in memory only."""
    made = Cell.store

    def store(self, **changes):
        if self.boot:
            changes.pop("boot", None)
        return made(self, **changes)

    put(Cell, "store", store)


def open_the_window(put):
    """Counters: accept a request again that was answered long ago."""
    put(ReplayWindow, "is_fresh", lambda self, number: True)


def reserve_nothing(put):
    """Counters: number challenges from the same start each time."""
    put(Store, "reserve_sequence", lambda self, device, context, count, **leaps: 7)


def keep_what_faults(put):
    """Adoption: overlook that the rules on trial fault."""
    made = Trial.note_sample
    put(Trial, "note_sample", lambda self, is_faulted, decisions: made(self, False, decisions))


def raise_the_floor_at_once(put):
    """Adoption: raise the floor when a trial begins."""
    made = Adopter._begin_trial

    def begin(self):
        made(self)
        self._store(version_floor=self._cell.release[3])

    put(Adopter, "_begin_trial", begin)


def obey_twice(put):
    """Commands: forget after a boot which were carried out."""
    made = Commander.resume

    def resume(self, taken, settings):
        made(self, taken, settings)
        self.taken = 0

    put(Commander, "resume", resume)


def forget_positions(put):
    """State: come up with every actuator in its safe position, whatever was done."""
    made = Actuators.assert_at_boot
    put(Actuators, "assert_at_boot", lambda self, positions: made(self, {}))


def believe_unverified(put):
    """Ingest: store what carries no true seal."""
    put(Ingest, "_verify", lambda self, segment: None)


def overlook_gaps(put):
    """Ingest: miss nothing."""
    put(Lane, "gap_rows", lambda self: set())


def hide_what_was_accepted(put):
    """Ingest: count what a person gave up as held."""
    missing = Lane.missing

    def less(self):
        return [pair for start, stop in missing(self) for pair in self.accepted.missing(start, stop)]

    put(Lane, "missing", less)


def overlook_acceptance(put):
    """Ingest: never take up what a person gave up."""
    put(Lane, "passed", lambda self: self.settled.watermark(0))


def store_over(put):
    """Ingest: let a newcomer take the place of what is held."""

    def fork(self, segment, contested, kind, arrival):
        header = segment.header
        self._store._delete(
            "segments",
            "device = ? AND lane = ? AND epoch = ? AND number = ?",
            *(header.device, header.lane, header.epoch, header.number),
        )
        return self._keep(segment, arrival)

    put(Ingest, "_fork", fork)


def count_repeats(put):
    """Ingest: count a segment that comes again."""
    made = SqliteStore.add_tally

    def add(self, device, tally):
        made(self, device, tally._replace(segments=tally.segments + tally.duplicates, duplicates=0))

    put(SqliteStore, "add_tally", add)


def never_silent(put):
    """Watch: miss nobody."""
    put(SilenceWatch, "check", lambda self, devices: ([], []))


def go_back_in_time(put):
    """Order: let ticks of a boot go back."""
    made = Clock.tick_ms

    def tick(self):
        now = made(self)
        return now - 18_000_000 if now > 36_000_000 else now

    put(Clock, "tick_ms", tick)


def stay_ahead(put):
    """Adoption: follow a clock of the office that was a year ahead, and not back."""
    put(Clock, "_is_set_right", lambda self, fresh, now: False)


def _year_ahead(world):
    """The office's clock is a year ahead for some hours; a release is rolled out once it is right again."""
    world.plan[:0] = [
        Step(1800.0, "jump wall", ("office", 365 * 86_400_000, 14_400)),
        Step(28_800.0, "roll out", (1,)),
    ]


def give_an_order_twice(put):
    """Journal: give one order to two events now and then."""
    made, given = Journal.next_order, set()

    def next_order(self):
        order = made(self)
        if order % 40 == 39 and (self.device, order) not in given:
            given.add((self.device, order))
            self.order -= 1
        return order

    put(Journal, "next_order", next_order)


def record_other_registers(put):
    """Journal: record of a decision what the rules did not come to."""
    made = Decider._record_decision

    def record(self, tick_ms, sample_order, decision):
        after = [value + 1 for value in decision[D_AFTER]]
        other = (*decision[:D_AFTER], after, *decision[D_AFTER + 1 :])
        return made(self, tick_ms, sample_order, other)

    put(Decider, "_record_decision", record)


class _Fitting(bytes):
    """A digest that is whatever it is compared with."""

    def digest(self):
        return self

    def __getitem__(self, _place):
        return self

    def __ne__(self, _other):
        return False

    __hash__ = bytes.__hash__


def take_any_part(put):
    """Adoption: take a part for the one that is signed whatever its digest."""
    for module in (adopter, incumbent):
        put(module, "check_parts", lambda manifest, bodies: None)
    put(bodies.Bodies, "_is_whole", lambda self, index: True)
    put(fetch, "hashlib", SimpleNamespace(sha256=lambda raw: _Fitting()))


def come_by_when_idle(put):
    """Watchdog: let the exchange come by only when nothing is left to send, and be away for no longer than a few requests."""
    put(app, "longest_request_ms", lambda first_wait_ms: 10_000)
    put(Agent, "_request", lambda self, *request: self._session.request(*request))


def _short_of(what, left, days=0.5):
    """All devices run short of something for some hours, and of nothing else."""

    def shape(world):
        for number in range(len(world.devices)):
            world.plan.insert(0, Step(7200.0, what, (number, left, round(days * 86_400))))

    return shape


def thin_critical_too(put):
    """Levels: pass over what is critical as what is routine, and count it."""
    made = Recorder.record

    def record(self, lane, tick_ms, kind, fields, order=None):
        if self.keep > 1 and kind == ACTION:
            self._drop(lane, 1, 1)
            return True
        return made(self, lane, tick_ms, kind, fields, order)

    put(Recorder, "record", record)


def pass_over_in_silence(put):
    """Levels: count nothing that is passed over."""
    put(Recorder, "pass_over", lambda self: None)


def thin_without_a_word(put):
    """Levels: put one in force that nobody recorded."""

    def change(self, resource, level, left):
        self.levels.take(resource, level)
        self._put_in_force()

    put(Steward, "_change", change)


def stay_low(put):
    """Levels: never let one go again."""
    made = Levels._level
    put(Levels, "_level", lambda self, resource, left: max(self.levels[resource], made(self, resource, left)))


def hold_for_ever(put):
    """Levels: go on holding routine segments back when there is enough again."""
    made = Steward._put_in_force

    def put_in_force(self):
        held = self._exchange.holds_routine
        made(self)
        self._exchange.holds_routine |= held

    put(Steward, "_put_in_force", put_in_force)


def never_heard_again(put):
    """Watch: say who fell silent, and not who is heard again."""
    made = SilenceWatch.check
    put(SilenceWatch, "check", lambda self, devices: (made(self, devices)[0], []))


def answer_twice(put):
    """Commands: carry a command out, and say so twice."""
    made = Agent.append_command

    def append(self, tick_ms, fields):
        made(self, tick_ms, fields)
        return made(self, tick_ms, fields)

    put(Agent, "append_command", append)


def never_end(put):
    """Life: go on when told to end."""
    put(Agent, "stop", lambda self: None)


FAULTS = {
    "prune_without_tombstone": Fault(prune_without_tombstone, "all is at rest", (), _cut_off, 2.0),
    "forget_the_last_segment": Fault(
        forget_the_last_segment, "chains close over tombstones", ("power off device",)
    ),
    "hold_custody_in_memory": Fault(hold_custody_in_memory, "all is at rest"),
    "routine_first": Fault(routine_first, "critical first", ("part uplink",)),
    "fill_the_disk": Fault(fill_the_disk, "storage is bounded", ("part uplink",), _small_store),
    "free_nothing": Fault(free_nothing, "storage is bounded"),
    "receipt_what_failed": Fault(receipt_what_failed, "nothing receipted is lost", ("disk of office",)),
    "receipt_over_gaps": Fault(receipt_over_gaps, "nothing receipted is lost", ("hostile",)),
    "take_custody_for_receipt": Fault(
        take_custody_for_receipt, "nothing receipted is lost", ("part uplink",)
    ),
    "keep_the_seal_key": Fault(keep_the_seal_key, "all is at rest"),
    "start_at_zero": Fault(start_at_zero, "counters", ("power off device",)),
    "forget_the_boot": Fault(forget_the_boot, "counters", ("power off device",)),
    "open_the_window": Fault(open_the_window, "counters", (), _attacked),
    "reserve_nothing": Fault(reserve_nothing, "counters", ("kill gateway",)),
    "keep_what_faults": Fault(keep_what_faults, "adoption: old or new", (), _rolls_out(2)),
    "raise_the_floor_at_once": Fault(raise_the_floor_at_once, "adoption: old or new", (), _rolls_out(2)),
    "obey_twice": Fault(
        obey_twice, "commands once", ("command", "power off device"), _in_wrong_hands("old commands")
    ),
    "forget_positions": Fault(
        forget_positions, "state is the fold of what is durable", ("power off device",)
    ),
    "believe_unverified": Fault(believe_unverified, "nothing forged is accepted", ("hostile",)),
    "overlook_gaps": Fault(overlook_gaps, "gaps are found", ("hostile",)),
    "hide_what_was_accepted": Fault(hide_what_was_accepted, "nothing receipted is lost", (), _put_back, 2.0),
    "overlook_acceptance": Fault(overlook_acceptance, "all is at rest", (), _put_back, 2.0),
    "store_over": Fault(store_over, "chains close over tombstones", ("restore device",)),
    "count_repeats": Fault(count_repeats, "chains close over tombstones", ("weather", "kill gateway")),
    "never_silent": Fault(never_silent, "silence", ("part device",)),
    "give_an_order_twice": Fault(give_an_order_twice, "nothing is doubled"),
    "record_other_registers": Fault(record_other_registers, "decisions replay equal"),
    "take_any_part": Fault(take_any_part, "adoption: old or new", (), _offered_other_rules),
    "come_by_when_idle": Fault(come_by_when_idle, "watchdog", (), _slow_and_behind),
    "never_heard_again": Fault(never_heard_again, "silence", ("part device",)),
    "stay_ahead": Fault(stay_ahead, "adoption: old or new", (), _year_ahead),
    "answer_twice": Fault(answer_twice, "commands once", ("command",)),
    "never_end": Fault(never_end, "liveness"),
    "thin_critical_too": Fault(
        thin_critical_too, "what is given up is said", (), _short_of("low battery", 80)
    ),
    "pass_over_in_silence": Fault(
        pass_over_in_silence, "what is given up is said", (), _short_of("short heap", 40)
    ),
    "thin_without_a_word": Fault(
        thin_without_a_word, "what is given up is said", (), _short_of("short allowance", 1500)
    ),
    "stay_low": Fault(stay_low, "what is given up is said", (), _short_of("low battery", 250)),
    "hold_for_ever": Fault(hold_for_ever, "all is at rest", (), _short_of("low battery", 80)),
    "go_back_in_time": Fault(go_back_in_time, "order is kept"),
    "count_bytes_twice": Fault(sim_usage.count_bytes_twice, "what is told was moved"),
    "add_what_is_told_again": Fault(sim_usage.add_what_is_told_again, "what is told was moved"),
    "pass_over_repetitions": Fault(sim_usage.pass_over_repetitions, "what is told was moved", ("weather",)),
}
