"""Faults of the agent, planted into the real code. Each name says what a broken agent would do.

A fault is (plant(set), check): set is monkeypatch.setattr, check the name of the test in tests/agent that must fail.
"""

from agent import app, recovery, run, session
from agent.app import Agent
from agent.backlog import Backlog
from agent.clock import Clock
from agent.exchange import Exchange
from agent.fold import Fold
from agent.recorder import Decider, Recorder
from agent.ring import Ring
from agent.run import Run
from agent.session import Session
from protocol.keys import CRITICAL


def _act_before_the_decision_is_durable(patch):
    take = Decider.take

    def hasty(self, tick_ms, values, qualities):
        seal = self._recorder.seal
        self._recorder.seal = lambda lane: True
        try:
            take(self, tick_ms, values, qualities)
        finally:
            self._recorder.seal = seal

    patch(Decider, "take", hasty)


def _forget_the_action_event(patch):
    follow = Decider._follow
    patch(
        Decider,
        "_follow",
        lambda self, order, kind, fields: follow(self, order, kind, fields) if kind != 5 else 0,
    )


def _let_the_rule_tick_start_at_zero(patch):
    patch(Fold, "_pass_now", lambda self, now: None)


def _ignore_samples_in_the_rule_tick(patch):
    patch(app, "newest_event", lambda journal, lane: None)


def _forget_the_epoch_before(patch):
    kept = recovery._kept
    patch(
        recovery,
        "_kept",
        lambda journal, lane, epoch: kept(journal, lane, epoch) if epoch == journal.epoch else (0, 0),
    )


def _forget_decisions_after_the_checkpoint(patch):
    patch(Fold, "_take_decision", lambda self, boot, order, tick_ms, fields: None)


def _forget_pending_actions(patch):
    record_boot = Agent._record_boot
    patch(Agent, "_record_boot", lambda self, pending: record_boot(self, []))


def _forget_what_waits_at_a_checkpoint(patch):
    take = Fold._take_part

    def forgetful(self, boot, tick_ms, fields):
        take(self, boot, tick_ms, fields)
        self.pending = []

    patch(Fold, "_take_part", forgetful)


def _seal_each_decision_by_itself(patch):
    append = Recorder.append

    def hasty(self, lane, tick_ms, kind, fields, order):
        if append(self, lane, tick_ms, kind, fields, order):
            self._seal(lane, self._journal.seal_full)
        return False

    patch(Recorder, "append", hasty)


def _seal_before_the_rules_see_it(patch):
    append = Recorder.append

    def hasty(self, lane, tick_ms, kind, fields, order):
        kept = append(self, lane, tick_ms, kind, fields, order)
        self.seal_full(lane)
        return kept

    patch(Recorder, "append", hasty)


def _take_any_receipt(patch):
    from protocol.messages import parse_receipt

    patch(Exchange, "_open_receipt", lambda self, raw: parse_receipt(raw).fields)


def _take_any_time_token(patch):
    from protocol.messages import parse_time_token

    def gullible(self, raw):
        mark = self._clock.take_token(parse_time_token(raw).fields)
        if mark is not None:
            self._owner.time_marked(*mark)

    patch(Exchange, "_take_time", gullible)


def _send_before_custody_is_known(patch):
    build = Exchange.__init__

    def knowing(self, *arguments):
        build(self, *arguments)
        self._is_known = True
        self._heartbeat_at = 1000

    patch(Exchange, "__init__", knowing)


def _believe_a_segment_sent_is_a_segment_held(patch):
    patch(Backlog, "take_offer_answer", lambda self, lane, wants: None)


def _come_back_earlier_than_told(patch):
    refuse = Backlog.refuse
    patch(Backlog, "refuse", lambda self, lane, until_ms: refuse(self, lane, until_ms - 6000))


def _stay_in_the_epoch_of_a_restored_flash(patch):
    patch(Agent, "restored", lambda self, receipts: None)


def _keep_the_doubted_session(patch):
    patch(Session, "renew", lambda self: None)


def _keep_one_context_over_boots(patch):
    patch(session, "fresh_context", lambda boot, random_bytes: b"8 bytes!")


def _drop_samples_silently(patch):
    patch(Recorder, "note_skipped", lambda self, count: None)


def _seal_only_critical_when_stopping(patch):
    seal = Recorder.seal
    patch(
        Recorder,
        "seal",
        lambda self, lane: seal(self, lane) if lane == CRITICAL else True,
    )


def _count_the_way_to_the_office_as_nothing(patch):
    take = Clock.take_token

    def certain(self, token):
        mark = take(self, token)
        return None if mark is None else (token.wall_ms - 1000, 0)

    patch(Clock, "take_token", certain)


def _encode_again_for_each_event_that_waits(patch):
    add = Run.add

    def forgetful(self, event, boot):
        self._restart()
        return add(self, event, boot)

    patch(Run, "add", forgetful)


def _encode_again_what_was_just_encoded(patch):
    longest = Run.longest

    def forgetful(self, boot):
        self._plaintext = b""
        return longest(self, boot)

    patch(Run, "longest", forgetful)


def _take_a_row_for_shorter_than_it_is(patch):
    patch(run, "row_bytes", lambda event, first: 4)


def _keep_what_was_found_before_thinning(patch):
    thin = Run.thin

    def stubborn(self):
        restart, self_type = Run._restart, type(self)
        self_type._restart = lambda run: None
        try:
            return thin(self)
        finally:
            self_type._restart = restart

    patch(Run, "thin", stubborn)


RUN_FAULTS = {
    "encode_again_for_each_event_that_waits": (
        _encode_again_for_each_event_that_waits,
        "test_sample_that_waits_for_room_has_nothing_encoded",
    ),
    "encode_again_what_was_just_encoded": (
        _encode_again_what_was_just_encoded,
        "test_decision_that_is_sealed_at_once_is_encoded_once",
    ),
    "take_a_row_for_shorter_than_it_is": (
        _take_a_row_for_shorter_than_it_is,
        "test_run_is_sealed_where_encoding_all_for_each_event_seals_it",
    ),
    "keep_what_was_found_before_thinning": (
        _keep_what_was_found_before_thinning,
        "test_run_that_waited_for_room_is_sealed_as_full",
    ),
}

AGENT_FAULTS = {
    "act_before_the_decision_is_durable": (
        _act_before_the_decision_is_durable,
        "test_actuator_moves_only_after_its_decision_is_durable",
    ),
    "forget_the_action_event": (
        _forget_the_action_event,
        "test_undecided_action_of_a_cut_is_told_at_the_next_boot",
    ),
    "let_the_rule_tick_start_at_zero": (
        _let_the_rule_tick_start_at_zero,
        "test_rule_tick_rises_over_boots_above_every_durable_event",
    ),
    "ignore_samples_in_the_rule_tick": (
        _ignore_samples_in_the_rule_tick,
        "test_rule_tick_rises_over_boots_above_every_durable_event",
    ),
    "forget_the_epoch_before": (
        _forget_the_epoch_before,
        "test_state_outlives_a_cut_between_an_epochs_start_and_its_checkpoint",
    ),
    "forget_decisions_after_the_checkpoint": (
        _forget_decisions_after_the_checkpoint,
        "test_state_after_a_long_run_is_the_fold_of_what_is_durable",
    ),
    "forget_pending_actions": (
        _forget_pending_actions,
        "test_undecided_action_of_a_cut_is_told_at_the_next_boot",
    ),
    "forget_what_waits_at_a_checkpoint": (
        _forget_what_waits_at_a_checkpoint,
        "test_act_outlives_a_checkpoint_that_made_room_before_it",
    ),
    "seal_each_decision_by_itself": (
        _seal_each_decision_by_itself,
        "test_decisions_of_one_sample_are_never_parted_by_a_checkpoint",
    ),
    "seal_before_the_rules_see_it": (
        _seal_before_the_rules_see_it,
        "test_run_that_a_sample_fills_is_sealed_after_the_rules_saw_it",
    ),
    "take_any_receipt": (_take_any_receipt, "test_forged_receipts_make_nobody_forget_or_start_over"),
    "take_any_time_token": (_take_any_time_token, "test_forged_receipts_make_nobody_forget_or_start_over"),
    "send_before_custody_is_known": (
        _send_before_custody_is_known,
        "test_reboot_after_a_lost_answer_sends_nothing_that_is_in_custody",
    ),
    "believe_a_segment_sent_is_a_segment_held": (
        _believe_a_segment_sent_is_a_segment_held,
        "test_gateway_that_loses_what_it_took_asks_again_and_gets_it",
    ),
    "come_back_earlier_than_told": (
        _come_back_earlier_than_told,
        "test_refused_custody_waits_as_long_as_it_was_told",
    ),
    "stay_in_the_epoch_of_a_restored_flash": (
        _stay_in_the_epoch_of_a_restored_flash,
        "test_restored_flash_starts_an_epoch_above_and_forks_nothing",
    ),
    "keep_the_doubted_session": (_keep_the_doubted_session, "test_second_link_doubt_takes_fresh_keys"),
    "keep_one_context_over_boots": (
        _keep_one_context_over_boots,
        "test_no_sequence_number_is_sent_twice_over_cuts",
    ),
    "drop_samples_silently": (_drop_samples_silently, "test_device_that_cannot_keep_pace_says_so"),
    "seal_only_critical_when_stopping": (
        _seal_only_critical_when_stopping,
        "test_undisturbed_run_is_held_completely_and_receipted",
    ),
    "count_the_way_to_the_office_as_nothing": (
        _count_the_way_to_the_office_as_nothing,
        "test_time_mark_holds_the_true_time",
    ),
}


def _walk_each_sector_anew(patch):
    patch(Ring, "_pages_of_run", lambda self, index, first: [])


def _look_for_the_checkpoint_again(patch):
    replay = recovery.replay

    def forgetful(journal):
        journal.replay_start = None
        yield from replay(journal)

    patch(recovery, "replay", forgetful)


# Caught by tests/agent/test_journal.py.
BOOT_FAULTS = {
    "walk_each_sector_anew": (_walk_each_sector_anew, "test_boot_walks_no_sector_anew_for_each_segment"),
    "look_for_the_checkpoint_again": (
        _look_for_the_checkpoint_again,
        "test_boot_looks_for_the_newest_checkpoint_once",
    ),
}
