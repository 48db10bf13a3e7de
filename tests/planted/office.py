"""Faults of the office, planted into the real code. Each name says what a broken office would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import hashlib
from contextlib import contextmanager

from office_ingest.prove import replay
from office_ingest.prove.replay import DeviceReplay
from office_ingest.prove.takeover import Takeover, Told
from office_ingest.receive import lanes
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.lane import Lane
from office_ingest.receive.lanes import Lanes
from office_ingest.storage.sqlite import SqliteStore
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


def believe_the_state_of_a_checkpoint(put):
    """Go on from a checkpoint's state without a look at what the run came to."""
    put(DeviceReplay, "_check_state", lambda self, *of: None)


def pass_over_commands(put):
    """Replay as if no command had moved a gate."""
    put(DeviceReplay, "_command", lambda self, event: None)


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
        keep_memory_after_a_failed_batch,
        stop_at_a_switch,
        take_any_checkpoints_bundle,
        take_any_bundle_at_boot,
        take_any_told_bundle,
        remember_what_was_told,
        believe_the_state_of_a_checkpoint,
        pass_over_commands,
    )
}
