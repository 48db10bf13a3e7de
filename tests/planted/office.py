"""Faults of the office, planted into the real code. Each name says what a broken office would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import hashlib
from contextlib import contextmanager

from office_ingest import app, core
from office_ingest.prove import downward, repair, replay, sealed
from office_ingest.prove.lives import Lives
from office_ingest.prove.repair import Repaired, _Repair
from office_ingest.prove.replay import DeviceReplay
from office_ingest.prove.sealed import Unread
from office_ingest.prove.takeover import Takeover, Told
from office_ingest.receive import heartbeats, lanes
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.lane import Lane
from office_ingest.receive.lanes import Lanes
from office_ingest.show import metrics
from office_ingest.storage import sqlite
from office_ingest.storage.damage import COUNTED_ANEW
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.watch import damage as watch_damage
from office_ingest.watch import levels
from office_ingest.watch.silence import SilenceWatch
from protocol import sqlite_file
from protocol.adoption import TRIAL
from protocol.keys import CRITICAL
from protocol.uplink import DUPLICATE
from rules.engine import D_AFTER, D_BEFORE
from rules.replay import StepReplay


def receipt_before_commit(put):
    """Answer while the transaction is still open."""

    @contextmanager
    def transaction(self):
        self.connection.execute("BEGIN IMMEDIATE")
        yield

    put(SqliteStore, "transaction", transaction)


def accept_unverified_duplicate(put):
    """Call bytes a duplicate because they were seen, verified or not."""
    judge = Ingest._segment

    def segment(self, raw, arrival, named):
        digest = hashlib.sha256(raw).digest()
        seen = self._store._one("SELECT 1 FROM quarantine WHERE digest = ?", digest)
        return DUPLICATE if seen else judge(self, raw, arrival, named)

    put(Ingest, "_segment", segment)


def forged_first_takes_place(put):
    """Store what comes first, and look at its seal never."""
    put(Ingest, "_verify", lambda self, segment: None)


def skip_generation_check(put):
    """Take any generation whose seal fits."""
    put(Lanes, "check_generation", lambda self, *of: None)


def receipt_over_gap(put):
    """Receipt the newest number held, whatever is missing below."""
    put(Lane, "receipt_number", lambda self: self.held.pairs[-1][1] - 1 if self.held.pairs else -1)


def ignore_tombstone_mismatch(put):
    """Believe every sealed tombstone."""
    put(lanes, "contradiction", lambda place, tombstone, near: None)


def lose_fork(put):
    """Drop the second of two segments instead of keeping it as evidence."""
    put(SqliteStore, "add_fork", lambda self, *of: None)


def replay_ignores_registers(put):
    """Compare only what was asked for, not the registers behind it."""
    differences = StepReplay.differences
    plain = replay._plain

    def without(value):
        value = plain(value)
        if isinstance(value, list) and len(value) == 10 and isinstance(value[D_BEFORE], list):
            value[D_BEFORE] = value[D_AFTER] = []
        return value

    put(replay, "_plain", without)
    put(
        StepReplay,
        "differences",
        lambda self, made: [one for one in differences(self, made) if one[0] not in ("before", "after")],
    )


def heartbeat_counter_not_checked(put):
    """Take an old heartbeat for a new one."""
    put(SqliteStore, "newest_heartbeat", lambda self, device: None)


def receipt_the_generation_of_any_epoch(put):
    """Name in every receipt the highest generation, of later epochs too."""
    made = Lanes.generation
    put(Lanes, "generation", lambda self, device, lane, until=None: made(self, device, lane))


def head_not_compared(put):
    """Overlook that a heartbeat names another digest than the held one."""
    from office_ingest.receive.heartbeats import Heartbeats

    put(Heartbeats, "check_head", lambda self, lane, arrival: None)


def keep_memory_after_a_failed_batch(put):
    """Go on with what memory knows, though the database took nothing of it."""
    put(Lanes, "forget", lambda self: None)


def stop_at_a_switch(put):
    """End a run where another bundle takes over, and wait for the next boot."""
    take_up = DeviceReplay._take_up

    def stop(self, held):
        before = self._engine
        take_up(self, held)
        if before is not None and self._engine_bundle != self._run_bundle:
            self._engine = None
        self._run_bundle = self._engine_bundle

    put(DeviceReplay, "_run_bundle", b"", False)
    put(DeviceReplay, "_take_up", stop)


def take_any_checkpoints_bundle(put):
    """Go on under whatever bundle a checkpoint names."""
    put(Takeover, "take", lambda self, reason, version, digest: "")


def take_any_bundle_at_boot(put):
    """Ask for no event where a boot's checkpoint names another bundle."""
    take = Takeover.take

    def believe(self, reason, version, digest):
        if reason == 0:
            self.deciding = digest
        return take(self, reason, version, digest)

    put(Takeover, "take", believe)


def take_any_told_bundle(put):
    """Once a switch is told, let any bundle take over."""
    put(Told, "fits", lambda self, version, digest: True)


def remember_what_was_told(put):
    """Let an event of long ago bring a bundle now."""
    sampled = Takeover.sampled

    def remember(self):
        told = self._told
        wrong = sampled(self)
        self._told = told
        return wrong

    put(Takeover, "sampled", remember)


def take_a_believed_trial_for_what_was_before(put):
    """Take the rules that decide when a trial is told for those before it, though they may be its own."""
    tell = Takeover.tell

    def told(self, step, number, manifest, detail):
        is_new = number != self._on_trial
        tell(self, step, number, manifest, detail)
        if step == TRIAL and is_new:
            self._before = self.deciding

    put(Takeover, "tell", told)


def believe_the_state_of_a_checkpoint(put):
    """Go on from a checkpoint's state without a look at what the run came to."""
    put(DeviceReplay, "_check_state", lambda self, *of: None)


def pass_over_commands(put):
    """Replay as if no command had moved a gate."""
    put(DeviceReplay, "_command", lambda self, event: None)


def go_on_over_an_epoch(put):
    """Replay a new epoch from the state in which the old one ended."""
    put(DeviceReplay, "begin_anew", lambda self: None)


def know_losses_by_critical_events_alone(put):
    """Take a routine event within the orders of critical ones that are missing for a sign that nothing is."""
    put(
        sealed,
        "mark_losses",
        lambda events: (
            one._replace(is_after_loss=one.is_after_loss and one.lane == CRITICAL) for one in events
        ),
    )


def leave_out_what_goes_back(put):
    """Replay no event of an order that was used before."""
    honest = sealed.by_epoch

    def by_epoch(lanes):
        last = -1
        for opened in honest(lanes):
            if opened.order > last:
                last = opened.order
                yield opened

    put(sealed, "by_epoch", by_epoch)


def overlook_orders_used_again(put):
    """Know nothing of the orders of earlier epochs."""
    put(Lives, "_ceiling", property(lambda self: -1, lambda self, order: None), False)


def blame_a_run_over_two_lives(put):
    """Take what is held of one epoch for one life, whatever it is."""
    put(Lives, "_mix", lambda self, opened, start: None)


def notice_two_lives_where_they_meet(put):
    """Drop what a run finds only from where two lives are noticed, not from where the second may have begun."""
    mix = Lives._mix

    def late(self, opened, start):
        mix(self, opened, start)
        self._mixed_from = opened.order

    put(Lives, "_mix", late)


def excuse_an_epoch_by_two_lives(put):
    """Where two lives are mixed, believe every run of that epoch."""
    mix = Lives._mix

    def excuse(self, opened, start):
        mix(self, opened, start)
        self._mixed_from = -1

    put(Lives, "_mix", excuse)


def order_heartbeats_by_boot(put):
    """Hear a device again only once it has booted as often as before its flash was put back."""

    def newest(self, device):
        sql = "SELECT max(epoch), max(boot), max(counter) FROM heartbeats WHERE device = ?"
        row = self._one(sql, device)
        return None if row[0] is None else row

    put(SqliteStore, "newest_heartbeat", newest)


def hear_an_older_epoch(put):
    """Compare a heartbeat with those of its own life alone."""
    honest = SqliteStore.newest_heartbeat

    def newest(self, device):
        eldest = self._one(
            "SELECT epoch, boot, counter FROM heartbeats WHERE device = ? ORDER BY epoch, boot DESC, counter DESC",
            device,
        )
        return eldest or honest(self, device)

    put(SqliteStore, "newest_heartbeat", newest)


def know_heartbeats_by_boot_and_counter(put):
    """Compare a heartbeat with that of the same boot and counter of another epoch."""

    def digest(self, device, epoch, boot, counter):
        sql = "SELECT digest FROM heartbeats WHERE device = ? AND boot = ? AND counter = ? ORDER BY epoch"
        row = self._one(sql, device, boot, counter)
        return row[0] if row else None

    put(SqliteStore, "heartbeat_digest", digest)


def show_the_heartbeat_of_another_epoch(put):
    """Keep as evidence what the former life said at that boot and counter."""

    def raw(self, device, epoch, boot, counter):
        sql = "SELECT raw FROM heartbeats WHERE device = ? AND boot = ? AND counter = ? ORDER BY epoch"
        row = self._one(sql, device, boot, counter)
        return row[0] if row else None

    put(SqliteStore, "heartbeat_raw", raw)


def forget_the_newest_epochs_heartbeats(put):
    """Keep those of the highest boots."""
    put(sqlite, "NEWEST_HEARTBEAT", "boot DESC, counter DESC")


def compare_reports_with_the_highest_boot(put):
    """Take the heartbeat of the highest boot for the newest."""
    put(downward, "NEWEST_HEARTBEAT", "boot DESC, counter DESC")


def forget_heartbeats_at_a_schema_step(put):
    """Begin the new table empty."""

    class Emptied:
        def __init__(self, path):
            self.name = path.name
            self._path = path

        def read_text(self):
            text = self._path.read_text()
            return "\n".join(line for line in text.split("\n") if "INSERT INTO" not in line)

    steps = sqlite._steps
    put(sqlite, "_steps", lambda: [Emptied(path) for path in steps()])


def take_orders_for_rising_over_epochs(put):
    """Look for a body that cannot be read by its orders alone."""

    def may_hold(self, order, epoch=None):
        return any(low[1] < order < high[1] for low, high in self._spans)

    put(Unread, "may_hold", may_hold)


def open_beside_a_cut_repair(put):
    """Read and write a database whose repaired file waits for its place."""
    put(sqlite, "is_half_repaired", lambda path: False)


def serve_before_a_cut_repair_is_carried_on(put):
    """Take what comes into the damaged file, which goes when somebody repairs again."""

    class Carrying:
        def __getattr__(self, name):
            return getattr(sqlite_file, name)

        def finish(self, path, now_ms):
            return None

    put(app, "sqlite_file", Carrying())
    put(sqlite, "is_half_repaired", lambda path: False)


def repair_in_steps(put):
    """Commit the rows that are gone before anything says that they are missing."""
    heads = _Repair._heads

    def commit_first(self):
        for table in COUNTED_ANEW:
            self._store.recount(table)
        self._rows.execute("COMMIT")
        self._rows.execute("BEGIN IMMEDIATE")
        heads(self)

    put(_Repair, "_heads", commit_first)
    put(repair, "add_findings", lambda store, damages, now_ms: None)


def forget_a_repair_that_was_cut_off(put):
    """Take a database whose rows agree for one whose repair has come to its end."""
    run = _Repair.run
    put(_Repair, "run", lambda self, damages: run(self, damages) if damages else Repaired([], 0, [], []))


def repair_without_a_mark(put):
    """Leave nothing open while receipts are still due."""
    put(repair, "add_findings", lambda store, damages, now_ms: None)


def advise_a_repair_for_ever(put):
    """Send a person to a repair that cannot mend it."""
    put(watch_damage, "is_mended", lambda damage: True)


def forget_that_levels_end(put):
    """Keep a finding of a level open when the device has enough again."""
    put(SqliteStore, "clear_finding", lambda self, *place: None)


def take_silence_for_enough(put):
    """Take a heartbeat without health for one that says that there is enough of everything."""
    real = levels.judge_levels
    put(
        heartbeats,
        "judge_levels",
        lambda store, device, health, now_ms: real(store, device, health or {0: 0}, now_ms),
    )


def forget_the_pace_at_a_restart(put):
    """Give every device the usual time until it says again that it needs more."""
    put(core, "pace_of", lambda connection, device: None)


def believe_the_pace_for_ever(put):
    """Go by what a device said once of its distance, however often it is heard."""
    put(core, "heartbeat_seen_ms", lambda connection, device: None)


def believe_an_earlier_boot(put):
    """Go by what a device said last, in whichever boot."""
    put(
        SilenceWatch, "paced", lambda self, device, pace: pace.apart_ms and self._paces.update({device: pace})
    )


def count_every_site(put):
    """Show a token of one site what other sites have."""
    real = metrics._Look.__init__
    put(
        metrics._Look,
        "__init__",
        lambda self, connection, now_ms, _sites: real(self, connection, now_ms, None),
    )


def count_what_is_over(put):
    """Count findings that are over as open."""
    put(
        metrics,
        "_GAUGES",
        tuple(
            said._replace(sql=said.sql.replace("state = 'open'", "state <> ''")) for said in metrics._GAUGES
        ),
    )


FAULTS = {
    plant.__name__: plant
    for plant in (
        receipt_before_commit,
        accept_unverified_duplicate,
        forged_first_takes_place,
        skip_generation_check,
        receipt_over_gap,
        ignore_tombstone_mismatch,
        lose_fork,
        replay_ignores_registers,
        heartbeat_counter_not_checked,
        head_not_compared,
        receipt_the_generation_of_any_epoch,
        keep_memory_after_a_failed_batch,
        stop_at_a_switch,
        take_any_checkpoints_bundle,
        take_any_bundle_at_boot,
        take_any_told_bundle,
        remember_what_was_told,
        take_a_believed_trial_for_what_was_before,
        believe_the_state_of_a_checkpoint,
        pass_over_commands,
        go_on_over_an_epoch,
        know_losses_by_critical_events_alone,
        leave_out_what_goes_back,
        overlook_orders_used_again,
        blame_a_run_over_two_lives,
        notice_two_lives_where_they_meet,
        excuse_an_epoch_by_two_lives,
        take_orders_for_rising_over_epochs,
        order_heartbeats_by_boot,
        hear_an_older_epoch,
        know_heartbeats_by_boot_and_counter,
        show_the_heartbeat_of_another_epoch,
        forget_the_newest_epochs_heartbeats,
        compare_reports_with_the_highest_boot,
        forget_heartbeats_at_a_schema_step,
        open_beside_a_cut_repair,
        serve_before_a_cut_repair_is_carried_on,
        repair_in_steps,
        forget_a_repair_that_was_cut_off,
        repair_without_a_mark,
        advise_a_repair_for_ever,
        forget_that_levels_end,
        take_silence_for_enough,
        forget_the_pace_at_a_restart,
        *(believe_the_pace_for_ever, believe_an_earlier_boot),
        count_every_site,
        count_what_is_over,
    )
}
