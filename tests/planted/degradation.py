"""Faults planted in what a device gives up when it runs short, by name: NAME -> (plant, the test that must catch it).

plant(patch), where patch(object, attribute, value) undoes itself. tests/canary/test_degradation.py runs the tests with the faults.
"""

from agent import checkpointer, prune, recorder, resources, steward, telemetry
from agent.exchange import Exchange
from protocol.keys import ROUTINE
from rules import engine
from tests.agent import test_degradation as degradation
from tests.both import test_resources as table


def never_clears(patch):
    """A level once met is held for ever."""
    real = resources.Levels._level
    patch(resources.Levels, "_level", lambda self, of, left: max(self.levels[of], real(self, of, left)))


def holds_critical_first(patch):
    """Hold back the critical lane instead of the routine one."""
    real = Exchange._choose

    def choose(self):
        if not self.holds_routine:
            return real(self)
        heads = self._journal.offer()
        chosen = self.backlog.choose([None, heads[ROUTINE]], self._clock.real_ms())
        return None if chosen is None else (chosen[0], self._journal.epoch, chosen[1])

    patch(Exchange, "_choose", choose)


def thins_without_a_word(patch):
    """Pass samples over and count them nowhere."""
    patch(recorder.Recorder, "pass_over", lambda self: None)


def has_no_hysteresis(patch):
    """A level goes as soon as there is more left than it came at."""

    def level(self, resource, left):
        return max([0] + [row[1] for row in self._rows if row[0] == resource and left <= row[2]])

    patch(resources.Levels, "_level", level)


def tells_more_than_its_share(patch):
    """Carry health in every heartbeat, and record it each minute, whatever the link moves."""
    patch(telemetry.Telemetry, "_is_within", lambda self, size: True)


def forgets_what_a_lost_heartbeat_said(patch):
    """Take health as said as soon as a heartbeat carries it, whether it arrives or not."""
    real = telemetry.Telemetry.said

    def said(self):
        health = real(self)
        self.heard()
        return health

    patch(telemetry.Telemetry, "said", said)


def counts_what_was_said_in_vain(patch):
    """Take each repeat of the health that is owed off the share."""
    real = telemetry.Telemetry.said

    def said(self):
        self._is_counted = False
        return real(self)

    patch(telemetry.Telemetry, "said", said)


def thins_before_it_is_recorded(patch):
    """Put the measures in force, and record the level at some later look."""
    real = steward.Steward._change

    def change(self, resource, level, left):
        self.levels.take(resource, level)
        self._put_in_force()
        if level == resources.ENOUGH:
            real(self, resource, level, left)

    patch(steward.Steward, "_change", change)


def drops_the_sample_of_a_decision(patch):
    """Pass a sample over although a decision came of it."""
    patch(recorder.Decider, "_record_late", lambda self, *rest: self._recorder.pass_over())


def decides_on_recorded_samples_alone(patch):
    """Let the rules see only what is recorded."""
    real = recorder.Decider._decide

    def decide(self, tick_ms, values, qualities):
        if self._recorder._samples % self._recorder.keep:
            self._engine.faults = []
            return engine._NOTHING
        return real(self, tick_ms, values, qualities)

    patch(recorder.Decider, "_decide", decide)


def _call_held(patch, least):
    """Call a sector full from this rank of victims on."""

    def spare(journal):
        sectors = journal.ring.sectors
        held = [
            sector for sector in sectors if sector.lane is not None and prune._rank(journal, sector) >= least
        ]
        return 1000 * max(0, len(sectors) - 1 - len(held)) // (len(sectors) - 1)

    patch(prune, "spare", spare)


def counts_receipted_flash_as_full(patch):
    """Call a sector full although the office has receipted all of it."""
    _call_held(patch, 0)


def counts_custody_as_full(patch):
    """Call a sector full although the gateway has all of it in custody."""
    _call_held(patch, 1)


def thins_while_there_is_room(patch):
    """Begin to thin when half of the ring waits for its receipts."""
    rows = [
        (*row[:2], 650, 100, row[4], 2) if row[:2] == (resources.FLASH, resources.LOW) else row
        for row in resources.TABLE
    ]
    patch(resources, "TABLE", tuple(rows))


def writes_no_checkpoint_after_thinning(patch):
    """Go on without telling the state from which all samples are recorded again."""
    patch(checkpointer.Checkpointer, "write_when_whole", lambda self: None)


def ignores_what_a_person_wants_kept(patch):
    """Thin a full ring as the table says, whatever the settings say."""
    patch(resources, "_keep", lambda row, flash_keep: row[5])


def fetches_releases_all_the_same(patch):
    """Forget to hold releases."""
    patch(steward, "HOLD_RELEASES", 0)


def walks_over_the_heap_at_once(patch):
    """Look at the heap at the first look of a boot too."""
    real = steward.Steward._look

    def look(self, now):
        self._has_looked = True
        real(self, now)

    patch(steward.Steward, "_look", look)


DEGRADATION_FAULTS = {
    "walks over the heap at once": (
        walks_over_the_heap_at_once,
        degradation.test_heap_is_not_walked_over_before_a_boot_has_had_time_to_decide,
    ),
    "never clears": (never_clears, table.test_every_level_comes_back_when_there_is_enough_again),
    "never clears on a device": (
        never_clears,
        degradation.test_low_battery_sends_what_is_critical_and_keeps_the_rest_for_later,
    ),
    "holds critical first": (
        holds_critical_first,
        degradation.test_low_battery_sends_what_is_critical_and_keeps_the_rest_for_later,
    ),
    "thins without a word": (
        thins_without_a_word,
        degradation.test_every_sample_that_is_not_recorded_is_counted_and_those_that_decided_are_recorded,
    ),
    "has no hysteresis": (
        has_no_hysteresis,
        table.test_level_comes_at_its_threshold_and_goes_only_a_margin_above_it,
    ),
    "tells more than its share": (
        tells_more_than_its_share,
        table.test_telemetry_stays_within_a_hundredth_whatever_the_link_moves,
    ),
    "forgets what a lost heartbeat said": (
        forgets_what_a_lost_heartbeat_said,
        table.test_health_that_is_owed_is_said_until_it_was_heard,
    ),
    "counts what was said in vain": (
        counts_what_was_said_in_vain,
        table.test_health_said_in_vain_counts_once,
    ),
    "thins before it is recorded": (
        thins_before_it_is_recorded,
        degradation.test_level_is_recorded_before_the_first_reading_that_it_costs,
    ),
    "drops the sample of a decision": (
        drops_the_sample_of_a_decision,
        degradation.test_every_sample_that_is_not_recorded_is_counted_and_those_that_decided_are_recorded,
    ),
    "decides on recorded samples alone": (
        decides_on_recorded_samples_alone,
        degradation.test_rules_decide_the_same_whether_readings_are_thinned_or_not,
    ),
    "counts receipted flash as full": (
        counts_receipted_flash_as_full,
        degradation.test_full_flash_thins_readings_and_says_so_and_comes_back_by_itself,
    ),
    "counts custody as full": (
        counts_custody_as_full,
        degradation.test_what_the_gateway_has_in_custody_thins_no_reading,
    ),
    "looks at the ring at once": (
        walks_over_the_heap_at_once,
        degradation.test_boot_asks_what_is_in_custody_before_it_calls_its_ring_full,
    ),
    "thins while there is room": (
        thins_while_there_is_room,
        degradation.test_outage_that_the_ring_can_hold_costs_no_reading,
    ),
    "writes no checkpoint after thinning": (
        writes_no_checkpoint_after_thinning,
        degradation.test_office_replays_a_thinned_record_and_finds_nothing_wrong,
    ),
    "ignores what a person wants kept": (
        ignores_what_a_person_wants_kept,
        degradation.test_person_can_have_the_newest_readings_whole_instead,
    ),
    "fetches releases all the same": (
        fetches_releases_all_the_same,
        degradation.test_low_heap_defers_releases_and_keeps_all_that_is_critical,
    ),
}
