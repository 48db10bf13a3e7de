"""Each fault planted in rules/ is caught by the test that promises to catch it."""

import pytest

from tests.both import test_adopt_random as random
from tests.both import test_rules_vectors as vectors
from tests.planted import rules as planted
from tests.rules import test_engine as engine
from tests.rules.authoring import test_adopt as policy
from tests.rules.authoring import test_bounds as analysis

_GAP = random.test_no_order_of_rules_commands_takeovers_and_power_cuts_moves_an_actuator_before_its_gap
_JUDGE = random.test_translated_condition_says_what_the_judge_says_and_has_the_known_digest
_THEIRS = random.test_asking_for_the_condition_and_commands_change_nothing_that_is_not_theirs
CATCHERS = [
    (planted.adopt_before_a_sample, vectors.test_adopt_vectors_hold),
    (planted.adopt_before_a_sample, _JUDGE),
    (planted.adopt_after_a_cut_as_before, vectors.test_gates_vectors_hold),
    (
        planted.adopt_after_a_cut_as_before,
        engine.test_a_restored_engine_may_not_be_replaced_before_it_has_seen_a_sample,
    ),
    (planted.adopt_by_old_values, vectors.test_adopt_vectors_hold),
    (planted.adopt_by_old_values, _JUDGE),
    (planted.adopt_on_a_fault, vectors.test_adopt_vectors_hold),
    (planted.adopt_on_a_fault, _JUDGE),
    (planted.adopt_with_registers, vectors.test_refused_bundles_are_refused_with_their_code),
    (planted.adopt_without_a_check, vectors.test_refused_bundles_are_refused_with_their_code),
    (
        planted.adopt_left_out_by_the_compiler,
        policy.test_the_demo_policy_with_a_condition_is_replaced_only_while_nothing_flows,
    ),
    (
        planted.adopt_left_out_by_the_compiler,
        policy.test_random_conditions_are_met_when_their_text_says_so,
    ),
    (planted.bounds_walk_again, analysis.test_each_tree_is_looked_at_once_in_each_context),
    (planted.bounds_of_every_context, analysis.test_each_tree_is_looked_at_once_in_each_context),
    (planted.bounds_of_another_context, analysis.test_what_was_seen_in_another_context_is_looked_at_again),
    (planted.adopt_at_any_time, policy.test_a_policys_own_test_can_ask_when_it_may_be_replaced),
    (planted.adopt_at_any_time, vectors.test_adopt_vectors_hold),
    (planted.command_ignores_the_gap, vectors.test_gates_vectors_hold),
    (planted.command_ignores_the_gap, _GAP),
    (planted.command_leaves_the_gate, vectors.test_gates_vectors_hold),
    (planted.command_leaves_the_gate, _GAP),
    (planted.command_with_ages_of_the_sample, vectors.test_gates_vectors_hold),
    (planted.command_is_not_folded, vectors.test_gates_vectors_hold),
    (planted.command_is_not_folded, _THEIRS),
    (planted.refused_command_is_folded, vectors.test_gates_vectors_hold),
    (planted.refused_command_is_folded, _THEIRS),
    (planted.takeover_forgets_ticks, vectors.test_gates_vectors_hold),
    (planted.takeover_forgets_ticks, _GAP),
    (planted.takeover_by_place, vectors.test_gates_vectors_hold),
    (planted.takeover_by_the_last_word, engine.test_of_two_engines_before_it_the_later_tick_of_a_gate_stands),
]


@pytest.mark.canary
@pytest.mark.parametrize(("plant", "catcher"), CATCHERS, ids=lambda f: f.__name__)
def test_planted_fault_of_rules_is_caught(plant, catcher, monkeypatch):
    """The named test passes on the code as it is and fails once the fault is in."""
    catcher()
    plant(monkeypatch)

    with pytest.raises(AssertionError):
        catcher()
