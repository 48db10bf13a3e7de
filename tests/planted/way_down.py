"""Faults planted in adoption and commands, by name: NAME -> (plant, what catches it); plant(patch) as in agent.py.

Each is a mistake somebody could make in good faith. tests/canary/test_way_down.py shows that the named test catches it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from agent import adopter, bodies, cell, fetch, incumbent, recorder
from agent.adopter import Adopter
from agent.app import Agent
from agent.bodies import Bodies
from agent.clock import Clock
from agent.commander import Commander
from agent.exchange import Exchange
from agent.fetch import Fetch
from agent.patience import Patience
from agent.recorder import Recorder
from agent.slots import PAGES_PER_SECTOR, SECTOR_BYTES, Slots, tail_page
from agent.trial import Trial
from protocol import manifest, shape
from protocol.command import DONE, SET_ACTUATOR, parse_command
from protocol.envelope import RELEASE, key_id
from tests.agent import (
    cuts_down,
    test_adoption,
    test_clock,
    test_commands,
    test_flash,
    test_recorder,
    test_release_attacks,
)
from tests.both import test_way_down_parts

_PAGE = SECTOR_BYTES // PAGES_PER_SECTOR


def _raise_the_floor_when_switching(patch):
    switch = Adopter._switch

    def eager(self):
        number = self._fetch.number
        switch(self)
        self._store(version_floor=number)

    patch(Adopter, "_switch", eager)


def _keep_the_floor_in_memory(patch):
    confirm = Adopter._confirm

    def forgetful(self):
        store, self._store = (
            self._store,
            lambda **changes: store(
                **{name: value for name, value in changes.items() if name != "version_floor"}
            ),
        )
        confirm(self)
        self._store = store

    patch(Adopter, "_confirm", forgetful)


def _adopt_by_trusted_time_only(patch):
    standing = Agent.standing

    def strict(self):
        held = standing(self)
        held.now = self.wall()
        return held

    patch(Agent, "standing", strict)


def _check_as_soon_as_any_time_is_known(patch):
    patch(adopter, "can_tell_validity", lambda validity, now: now is not None)


def _stay_ahead_for_ever(patch):
    patch(Clock, "_is_set_right", lambda self, fresh, now: False)


def _go_back_at_once(patch):
    patch(Clock, "_is_set_right", lambda self, fresh, now: True)


def _take_releases_for_others(patch):
    patch(manifest, "_check_target", lambda release, standing: None)


def _try_for_ever(patch):
    patch(incumbent, "_end_of_trial", lambda cause, starts, chosen: None)


def _stage_without_asking_for_a_second_signer(patch):
    patch(adopter, "check_signers", lambda release, reasons: None)


def _count_outages_against_the_trial(patch):
    pass_time = Trial.pass_time
    patch(Trial, "pass_time", lambda self, now_ms, is_online, pace: pass_time(self, now_ms, True, pace))


def _act_before_the_command_is_durable(patch):
    def obey(self, command):
        tick_ms = self._owner.command_tick()
        verdict, outcome = self._judge(command, tick_ms)
        fields = (command.number, command.demand, verdict, outcome)
        order = self._owner.append_command(tick_ms, fields)
        self.taken = command.number
        if verdict == DONE and command.demand[0] == SET_ACTUATOR:
            self._owner._board.point("before_actuate")
            self._owner.actuators.carry_out(command.demand[1], command.demand[2])
            self._owner.expect_act(order, command.demand[1], command.demand[2])
        self._open = (order, command, verdict)
        self.turn()

    patch(Commander, "_obey", obey)


def _keep_the_command_floor_in_memory(patch):
    turn = Commander.turn

    def forgetful(self):
        store, self._store = self._store, lambda **changes: None
        turn(self)
        self._store = store

    patch(Commander, "turn", forgetful)


def _put_blocks_of_two_releases_together(patch):
    take = Fetch._take_release

    def careless(self, block, is_more, etag):
        take(self, block, is_more, etag if self._etag is None else self._etag)

    patch(Fetch, "_take_release", careless)


def _believe_a_signature_over_something_else(patch):
    def signers(release, roots):
        known = {key_id(public): public for public in roots}
        for envelope in release.envelopes:
            envelope.verify(known[envelope.key_id], RELEASE)
        return [known[envelope.key_id] for envelope in release.envelopes]

    patch(manifest, "_signers", signers)


def _go_on_at_a_page_that_may_be_torn(patch):
    def resume(self, first, sectors):
        for index in range(sectors - 1, -1, -1):
            pages = tail_page(self._flash, first + index)
            if pages:
                return index * SECTOR_BYTES + pages // 2 * 2 * _PAGE
        return 0

    patch(Slots, "_resume", resume)


def _replace_rules_at_any_moment(patch):
    patch(Agent, "may_adopt", lambda self: True)


def _obey_whatever_has_the_form_of_a_command(patch):
    patch(Commander, "_read", lambda self, raw: parse_command(raw).fields)


def _obey_a_command_again(patch):
    def read(self, raw):
        message = parse_command(raw)
        message.verify(self._key)
        return message.fields

    patch(Commander, "_read", read)


def _owe_nothing(patch):
    def settle(self):
        owed = self._cell.owed
        if owed:
            self._store(owed=[])
        for step, number, detail in owed:
            self._owner.record_step(step, number, self._staged_digest(number), detail)
        self._owner.seal_steps()

    patch(Adopter, "_settle", settle)


def _try_again_what_was_rolled_back(patch):
    patch(adopter, "reject", lambda cell, number, reason: cell.rejected)


def _let_new_rules_move_at_once(patch):
    install = Agent.install

    def hasty(self, newcomer):
        newcomer.engine.carry_gates = lambda gates: None
        install(self, newcomer)

    patch(Agent, "install", hasty)


def _fetch_into_the_slot_that_decides(patch):
    patch(Adopter, "_free_slot", lambda self: max(0, self._cell.release[0]))


def _record_each_refusal(patch):
    refuse = Adopter._refuse

    def talkative(self, code):
        self._patience.refuse = lambda number: True
        refuse(self, code)

    patch(Adopter, "_refuse", talkative)


def _ask_without_end(patch):
    patch(Patience, "lose", lambda self, now_ms: None)


def _remember_only_what_the_cell_notes(patch):
    patch(Patience, "give_up", lambda self, number: None)


def _begin_the_waits_anew_with_each_release_that_was_fetched_well(patch):
    stage = Adopter._stage

    def forgiving(self):
        stage(self)
        self._patience.failures = 0

    patch(Adopter, "_stage", forgiving)


def _forget_what_a_boot_rolled_back(patch):
    resume = Adopter.resume

    def forgetful(self):
        self._blame = lambda number, reason: None
        resume(self)
        del self._blame

    patch(Adopter, "resume", forgetful)


def _remember_failures_for_ever(patch):
    patch(Patience, "restore", lambda self: None)


def _end_a_trial_before_its_proof_can_come(patch):
    patch(Trial, "_limit_ms", lambda self, pace: self._settings.limit_ms)


def _tell_of_a_switch_when_the_next_heartbeat_is_due(patch):
    patch(Exchange, "beat_now", lambda self: None)


def _give_a_begun_fetch_up_for_nothing(patch):
    hint = Adopter.hint

    def obliging(self, number, is_to_heartbeat):
        self._fail = lambda: self._move(0)
        hint(self, number, is_to_heartbeat)
        del self._fail

    patch(Adopter, "hint", obliging)


def _stage_what_is_staged(patch):
    want = Fetch.want_parts

    def want_parts(self, parts):
        want(self, parts)
        self.is_staged = False

    patch(Fetch, "want_parts", want_parts)


def _fetch_the_end_of_what_is_staged(patch):
    patch(Bodies, "is_whole", lambda self: False)


def _trust_a_whole_release(patch):
    def find(self, size):
        self._size = size
        return True

    patch(Fetch, "_find_whole", find)


def _wait_for_the_first_command_only(patch):
    def note(self):
        if self._newest > self.taken and self._hinted_at is None:
            self._hinted_at = self._owner.real_ms()

    patch(Commander, "_note_waiting", note)


def _say_that_what_was_dropped_was_kept(patch):
    patch(Recorder, "append", lambda self, *event: self._add(*event) is not None or True)


def _lose_the_count_of_what_was_dropped(patch):
    patch(recorder, "OPEN_EVENTS_MAX", 1 << 30)


def _let_a_command_pass_its_gate_without_room(patch):
    obey, request = Commander._obey, Commander.next_request

    def blind(method):
        def without_looking(self, *given):
            owner, self._owner = self._owner, _Roomy(self._owner)
            try:
                return method(self, *given)
            finally:
                self._owner = owner

        return without_looking

    patch(Commander, "_obey", blind(obey))
    patch(Commander, "next_request", blind(request))


class _Roomy:
    """An agent that says that it has room."""

    def __init__(self, owner):
        self._owner = owner

    def __getattr__(self, name):
        return (lambda: True) if name == "seal_steps" else getattr(self._owner, name)


def _grow_the_journal_over_the_slots(patch):
    from agent import image

    patch(image, "_is_used", lambda tail: False)


def larger_flash():
    """A journal of twelve sectors, told to be one of 44."""
    with TemporaryDirectory() as folder:
        test_flash.test_image_whose_slots_were_used_is_refused_by_any_other_number_of_sectors(
            Path(folder), 44
        )


def _take_true_for_a_number(patch):
    patch(shape, "is_int", lambda value: isinstance(value, int))


def _owe_without_bound(patch):
    patch(cell, "OWED_MAX", 99)


def _trust_the_slot(patch):
    patch(incumbent, "check_parts", lambda release, bodies: None)


def _wait_for_ever(patch):
    advance = Adopter._advance

    def patient(self):
        self._asked_ms = 0
        return advance(self)

    patch(Adopter, "_advance", patient)


def _take_any_length(patch):
    for module in (bodies, fetch):
        patch(module, "check_length", lambda end, is_more, limit: None)


def _confirm_unheard(patch):
    heard = Trial.is_proved

    def deaf(self, now_ms):
        self._is_heard = True
        return heard(self, now_ms)

    patch(Trial, "is_proved", deaf)


def _sweep(name, mode="torn"):
    story, check = cuts_down.STORIES[name]
    return cuts_down.sweep(story, check, mode)


def cut_adoption():
    """The sweep over an adoption, torn writes only."""
    assert _sweep("adopting") > 25


def forged_command():
    """The first case of its test."""
    raw = test_commands.make_command(1, [SET_ACTUATOR, 2, 1], key=bytes(32))
    test_commands.test_forged_command_leaves_nothing_but_a_count(raw)


def slow_samples():
    """A device that samples every two hours."""
    test_adoption.test_slow_device_has_the_time_that_a_proof_takes(7_200_000, 200)


def slow_heartbeats():
    """A device that is heard every forty seconds."""
    test_adoption.test_slow_device_has_the_time_that_a_proof_takes(36_000, 40_000)


def releases_in_turn():
    """Two of them."""
    test_adoption.test_releases_named_in_turn_cannot_wear_the_flash_out((7, 8))


_A, _C, _R = test_adoption, test_commands, test_release_attacks
WAY_DOWN_FAULTS = {
    "raise_the_floor_when_switching": (
        _raise_the_floor_when_switching,
        _A.test_rule_that_faults_rolls_back_at_once_and_the_older_number_is_refused_later,
    ),
    "keep_the_floor_in_memory": (
        _keep_the_floor_in_memory,
        _A.test_release_is_adopted_without_another_firmware_and_the_old_rules_are_kept,
    ),
    "take_releases_for_others": (_take_releases_for_others, _R.test_release_for_another_device_is_refused),
    "try_for_ever": (_try_for_ever, _A.test_third_start_of_one_trial_rolls_back),
    "stage_without_asking_for_a_second_signer": (
        _stage_without_asking_for_a_second_signer,
        _R.test_wider_rules_need_a_second_signer,
    ),
    "count_outages_against_the_trial": (
        _count_outages_against_the_trial,
        _A.test_time_without_a_gateway_does_not_count_against_a_trial,
    ),
    "act_before_the_command_is_durable": (
        _act_before_the_command_is_durable,
        _C.test_nothing_moves_before_the_commands_event_is_durable,
    ),
    "keep_the_command_floor_in_memory": (
        _keep_the_command_floor_in_memory,
        _C.test_actuator_is_set_through_its_gate_and_the_action_names_the_command,
    ),
    "put_blocks_of_two_releases_together": (
        _put_blocks_of_two_releases_together,
        _R.test_release_that_changes_once_on_the_way_is_fetched_anew_and_adopted,
    ),
    "believe_a_signature_over_something_else": (
        _believe_a_signature_over_something_else,
        _R.test_signature_of_another_manifest_is_refused,
    ),
    "go_on_at_a_page_that_may_be_torn": (_go_on_at_a_page_that_may_be_torn, cut_adoption),
    "replace_rules_at_any_moment": (
        _replace_rules_at_any_moment,
        _A.test_rules_that_ask_not_to_be_replaced_now_are_waited_for,
    ),
    "obey_whatever_has_the_form_of_a_command": (_obey_whatever_has_the_form_of_a_command, forged_command),
    "obey_a_command_again": (_obey_a_command_again, _C.test_replayed_command_is_carried_out_once),
    "owe_nothing": (_owe_nothing, cut_adoption),
    "try_again_what_was_rolled_back": (
        _try_again_what_was_rolled_back,
        _A.test_rule_that_faults_rolls_back_at_once_and_the_older_number_is_refused_later,
    ),
    "let_new_rules_move_at_once": (
        _let_new_rules_move_at_once,
        _A.test_gates_keep_their_ticks_and_actuators_their_positions_when_rules_change,
    ),
    "fetch_into_the_slot_that_decides": (
        _fetch_into_the_slot_that_decides,
        _A.test_next_release_takes_the_other_slot_and_leaves_the_confirmed_one_alone,
    ),
    "record_each_refusal": (
        _record_each_refusal,
        _R.test_refused_number_is_recorded_once_however_often_it_is_tried,
    ),
    "ask_without_end": (
        _ask_without_end,
        _R.test_missing_part_costs_nothing_but_time,
    ),
    "trust_the_slot": (
        _trust_the_slot,
        _A.test_damaged_confirmed_slot_gives_way_to_the_provisioned_rules_and_is_fetched_again,
    ),
    "wait_for_ever": (
        _wait_for_ever,
        _R.test_slow_retrieval_is_refused_while_sampling_and_data_go_on,
    ),
    "take_any_length": (_take_any_length, _R.test_endless_release_is_refused),
    "remember_only_what_the_cell_notes": (
        _remember_only_what_the_cell_notes,
        _A.test_reset_that_was_rolled_back_is_not_tried_again_in_this_boot,
    ),
    "begin_the_waits_anew_with_each_release_that_was_fetched_well": (
        _begin_the_waits_anew_with_each_release_that_was_fetched_well,
        _A.test_roll_back_is_followed_by_waits_that_double,
    ),
    "forget_what_a_boot_rolled_back": (
        _forget_what_a_boot_rolled_back,
        _A.test_reset_that_a_restart_ended_is_not_tried_again_in_the_boot_that_rolled_it_back,
    ),
    "remember_failures_for_ever": (
        _remember_failures_for_ever,
        _A.test_confirmed_release_ends_waits_and_forgets_what_was_rolled_back,
    ),
    "end_a_trial_before_its_samples_can_come": (_end_a_trial_before_its_proof_can_come, slow_samples),
    "end_a_trial_before_its_heartbeat_can_come": (_end_a_trial_before_its_proof_can_come, slow_heartbeats),
    "tell_of_a_switch_when_the_next_heartbeat_is_due": (
        _tell_of_a_switch_when_the_next_heartbeat_is_due,
        _A.test_switch_is_told_by_a_heartbeat_at_once,
    ),
    "give_a_begun_fetch_up_for_nothing": (_give_a_begun_fetch_up_for_nothing, releases_in_turn),
    "give_a_staged_release_up_for_nothing": (
        _give_a_begun_fetch_up_for_nothing,
        _A.test_staged_releases_named_in_turn_cannot_wear_the_flash_out,
    ),
    "stage_what_is_staged": (
        _stage_what_is_staged,
        _A.test_staged_release_that_is_named_again_is_neither_recorded_nor_written_again,
    ),
    "fetch_the_end_of_what_is_staged": (
        _fetch_the_end_of_what_is_staged,
        test_way_down_parts.test_staged_release_is_found_whole_and_a_damaged_one_is_not,
    ),
    "trust_a_whole_release": (
        _trust_a_whole_release,
        _A.test_release_whose_bytes_are_damaged_in_its_slot_is_fetched_again,
    ),
    "wait_for_the_first_command_only": (
        _wait_for_the_first_command_only,
        _C.test_command_after_another_waits_for_a_sample_of_new_rules_all_the_same,
    ),
    "say_that_what_was_dropped_was_kept": (
        _say_that_what_was_dropped_was_kept,
        test_recorder.test_decision_that_was_dropped_moves_nothing,
    ),
    "lose_the_count_of_what_was_dropped": (
        _lose_the_count_of_what_was_dropped,
        test_recorder.test_count_of_dropped_events_waits_until_there_is_room_for_it,
    ),
    "let_a_command_pass_its_gate_without_room": (
        _let_a_command_pass_its_gate_without_room,
        test_way_down_parts.test_command_without_room_for_its_event_moves_no_gate,
    ),
    "grow_the_journal_over_the_slots": (_grow_the_journal_over_the_slots, larger_flash),
    "take_true_for_a_number": (_take_true_for_a_number, test_way_down_parts.test_true_is_no_number),
    "owe_without_bound": (
        _owe_without_bound,
        test_way_down_parts.test_cell_never_owes_more_than_fits_its_page,
    ),
    "adopt_by_trusted_time_only": (
        _adopt_by_trusted_time_only,
        _A.test_release_is_adopted_where_the_time_is_known_only_roughly,
    ),
    "check_as_soon_as_any_time_is_known": (
        _check_as_soon_as_any_time_is_known,
        _A.test_release_waits_for_a_time_that_can_tell_its_validity,
    ),
    "stay_ahead_for_ever": (
        _stay_ahead_for_ever,
        test_clock.test_third_token_that_would_go_back_is_taken_if_all_agree,
    ),
    "go_back_at_once": (_go_back_at_once, test_clock.test_token_that_would_go_back_is_ignored),
    "confirm_unheard": (
        _confirm_unheard,
        _A.test_trial_that_no_heartbeat_confirms_ends_when_its_time_with_a_gateway_is_over,
    ),
}
