"""The table of what a device gives up, its hysteresis, a link's allowance and telemetry's share, on both runtimes."""

from agent.resources import (
    BATTERY,
    ENOUGH,
    FLASH,
    HEAP,
    HOLD_RELEASES,
    HOLD_ROUTINE,
    LINK,
    LOW,
    NO_REPORTS,
    RESOURCES,
    SCARCE,
    TABLE,
    Allowance,
    Levels,
)
from agent.schema import Channel
from agent.telemetry import Telemetry
from protocol.bins import decode_bins
from protocol.cbor import dumps
from protocol.event import GOOD, HEALTH, INPUTS, MISSING

_DAY_MS = 86_400_000


def _left(resource, left):
    return [left if one == resource else None for one in range(len(RESOURCES))]


def _settle(levels, resource, left):
    """Let a resource have so much left; return the level it comes to."""
    for change in levels.changes(_left(resource, left)):
        levels.take(change[0], change[1])
    return levels.levels[resource]


def test_table_has_two_rows_a_resource_each_below_the_one_before():
    """A scarcer level begins lower, gives up at least as much, and ends before the milder one ends."""
    for resource in range(len(RESOURCES)):
        low, scarce = [row for row in TABLE if row[0] == resource]

        assert (low[1], scarce[1]) == (LOW, SCARCE), RESOURCES[resource]
        assert low[2] > scarce[2] > 0, RESOURCES[resource]
        assert low[2] + low[3] > scarce[2] + scarce[3], RESOURCES[resource]
        assert scarce[4] & low[4] == low[4], RESOURCES[resource]
        assert scarce[5] >= low[5] >= 1, RESOURCES[resource]


def test_level_comes_at_its_threshold_and_goes_only_a_margin_above_it():
    """What swings about a threshold changes a level once: each row has hysteresis."""
    for resource, level, enter, margin, _measures, _keep in TABLE:
        levels = Levels()

        assert _settle(levels, resource, enter + 1) == level - 1, (resource, level)
        assert _settle(levels, resource, enter) == level, (resource, level)
        for _ in range(20):
            assert not levels.changes(_left(resource, enter + margin - 1)), (resource, level)
            assert not levels.changes(_left(resource, enter)), (resource, level)
        assert _settle(levels, resource, enter + margin) == level - 1, (resource, level)


def test_every_level_comes_back_when_there_is_enough_again():
    """From the worst of all resources at once, plenty of all ends every measure."""
    levels = Levels()
    for change in levels.changes([0, 0, 0, 0]):
        levels.take(change[0], change[1])

    assert levels.levels == [SCARCE] * len(RESOURCES)
    assert levels.keep == max([row[5] for row in TABLE])

    for change in levels.changes([1000, 1000, 1000, 1000]):
        levels.take(change[0], change[1])

    assert levels.levels == [ENOUGH] * len(RESOURCES)
    assert (levels.measures, levels.keep) == (0, 1)


def test_what_nobody_can_say_changes_no_level():
    """A device without a battery has none that is low; a gauge that broke leaves the level as it was."""
    levels = Levels()

    assert not levels.changes([None] * len(RESOURCES))
    assert _settle(levels, BATTERY, 50) == SCARCE
    assert not levels.changes([None] * len(RESOURCES))


def test_measures_of_all_resources_hold_together():
    """The measures in force are those of every resource's level, the thinnest of all thinnings among them."""
    levels = Levels()
    _settle(levels, HEAP, 100)
    _settle(levels, LINK, 50)

    assert levels.measures & (HOLD_RELEASES | HOLD_ROUTINE | NO_REPORTS) == 19
    assert levels.keep == 4
    assert levels.packed() == LOW | SCARCE << 6

    _settle(levels, LINK, 1000)

    assert not levels.measures & HOLD_ROUTINE
    assert levels.keep == 1


def test_thresholds_are_settable_and_keep_their_margins():
    """Another number at which a resource is low or scarce, of one resource alone."""
    levels = Levels({"flash": (900, 800)})

    assert _settle(levels, FLASH, 900) == LOW
    assert _settle(levels, FLASH, 800) == SCARCE
    assert _settle(levels, FLASH, 999) == LOW
    assert _settle(Levels(), FLASH, 900) == ENOUGH


def test_lowest_of_each_resource_is_kept():
    """The low-water mark of a boot, also where no level changed."""
    levels = Levels()
    for left in (700, 400, 900):
        levels.changes(_left(FLASH, left))

    assert levels.lowest == [None, 400, None, None]


def test_allowance_fills_in_a_day_and_is_emptied_by_what_moves():
    """Half a day's at boot, a day's at most, evenly in between, and below nothing no deeper than a day's."""
    allowance = Allowance(1_000_000)

    assert allowance.left(0, 0) == 500
    assert allowance.left(400_000, 0) == 100
    assert allowance.left(400_000, _DAY_MS // 10) == 200
    assert allowance.left(400_000, 2 * _DAY_MS) == 1000
    assert allowance.left(90_000_000, 2 * _DAY_MS) == 0
    assert allowance.left(90_000_000, 4 * _DAY_MS) == 1000
    assert Allowance(0).left(5, 5) is None


def test_allowance_loses_nothing_by_rounding():
    """A thousand looks give what one look gives."""
    often, once = Allowance(1000), Allowance(1000)
    for at in range(1000):
        often.left(at // 10, at * 997)

    assert often.left(100, 1_000_000) == once.left(100, 1_000_000)


class _Told:
    """Telemetry over a link and a clock that the test moves."""

    def __init__(self, inputs_ms=3_600_000):
        self.now = self.moved = 0
        channels = [Channel("flow", "l/s", 0, 0, 15, 0), Channel("air", "Cel", 0, -400, 1400, 0)]
        self.health = {0: 90_000, 13: 10_000}
        self.telemetry = Telemetry(
            channels, lambda: self.health, lambda: self.moved, lambda: self.now, inputs_ms
        )

    def live(self, seconds, bytes_a_second, beat_s=10):
        """Let time pass and the link move bytes; return (bytes of telemetry, kinds of the events)."""
        said = 0
        kinds = []
        for second in range(seconds):
            self.now += 1000
            self.moved += bytes_a_second
            self.telemetry.note([second % 16, None], [GOOD, MISSING])
            for kind, fields in self.telemetry.rows():
                kinds.append(kind)
                said += len(dumps(list(fields)))
            if second % beat_s == 0:
                said += len(dumps(self.telemetry.said())) - 1
                self.telemetry.heard()
        return said, kinds


def test_telemetry_stays_within_a_hundredth_whatever_the_link_moves():
    """Busy or idle, health and counts take less than a hundredth; only the boot's first health is owed."""
    for bytes_a_second in (3, 30, 300, 3000):
        told = _Told()
        first = len(dumps(told.health))
        said, _kinds = told.live(40_000, bytes_a_second)

        assert said <= told.moved // 100 + first, bytes_a_second


def test_no_kind_of_telemetry_starves_another():
    """On a slow link too, each of the three has its turn."""
    told = _Told(inputs_ms=600_000)
    _said, kinds = told.live(40_000, 30)

    assert kinds.count(HEALTH) > 20
    assert kinds.count(INPUTS) > 20


def test_health_is_owed_at_boot_and_after_a_change_of_a_level():
    """Both are said at once, before the link has moved anything, and no third time."""
    told = _Told()

    assert told.telemetry.said() == told.health
    told.telemetry.heard()
    assert told.telemetry.said() == {}
    told.telemetry.owe()
    assert told.telemetry.said() == told.health
    told.telemetry.heard()
    assert told.telemetry.said() == {}


def test_health_that_is_owed_is_said_until_it_was_heard():
    """A heartbeat that is lost leaves nobody with an old pace; nor does one that was on its way when a level changed."""
    told = _Told()

    assert told.telemetry.said() == told.health
    assert told.telemetry.said() == told.health
    told.telemetry.owe()
    told.telemetry.heard()
    assert told.telemetry.said() == told.health
    told.telemetry.heard()
    assert told.telemetry.said() == {}
    told.telemetry.heard()
    told.telemetry.owe()
    assert told.telemetry.said() == told.health


def test_health_said_in_vain_counts_once():
    """An outage with a thousand heartbeats leaves the share as it was: health is told again as soon as after one."""
    told, vain = _Told(), _Told()
    for _ in range(1000):
        vain.telemetry.said()
    for one in (told, vain):
        one.telemetry.said()
        one.telemetry.heard()

    assert vain.live(4000, 30) == told.live(4000, 30)
    assert told.live(4000, 30)[0] > 0


def test_events_of_telemetry_are_dropped_where_a_level_says_so_and_heartbeats_go_on():
    """Without its events, health in heartbeats has the share alone."""
    told = _Told()
    told.telemetry.has_events = False
    said, kinds = told.live(10_000, 30)

    assert kinds == []
    assert said > 2 * len(dumps(told.health))


def test_counts_are_of_each_channel_in_turn_and_begin_anew():
    """Sixteen counts of what was good, how many were not; then from zero."""
    told = _Told(inputs_ms=1000)
    told.moved = 1_000_000
    for value in range(32):
        told.telemetry.note([value % 16, None], [GOOD, MISSING])
    told.now = 59_000
    told.telemetry.said()
    first = told.telemetry.rows()
    told.now += 1000
    second = told.telemetry.rows()
    told.now += 60_000
    told.telemetry.said()

    assert first[0][0] == INPUTS
    assert (first[0][1][:2], decode_bins(first[0][1][2])) == ((0, 0), [2] * 16)
    assert second[0] == (INPUTS, (1, 32, bytes(16)))
