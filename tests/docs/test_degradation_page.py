"""The page on degradation says what the table in the agent does."""

from agent import resources
from agent.bulk import RECENT_MAX
from agent.steward import LOOK_MS, SPACING
from tools.device_types import ROOT

PAGE = (ROOT / "docs" / "operating" / "degradation.md").read_text("utf-8")
LEVELS = ("enough", "low", "scarce")
DEFERRED = (
    (resources.HOLD_RELEASES, "releases"),
    (resources.HOLD_ROUTINE, "routine segments"),
    (resources.SPACE_HEARTBEATS, "heartbeats"),
)


def _line(row):
    resource, level, enter, margin, measures, keep = row
    deferred = ", ".join(words for bit, words in DEFERRED if measures & bit) or "-"
    thinned = f"1 in {keep}" if keep > 1 else "-"
    dropped = "reports" if measures & resources.NO_REPORTS else "-"
    name = resources.RESOURCES[resource]
    return f"| {name} | {LEVELS[level]} | {enter} | {enter + margin} | {deferred} | {thinned} | {dropped} |"


def test_page_has_every_row_of_the_table_and_no_other():
    """Whoever changes one changes both."""
    said = [line for line in PAGE.splitlines() if line.split(" | ")[0].strip("| ") in resources.RESOURCES]
    said = [line for line in said if line.count("|") == 8]

    assert said == [_line(row) for row in resources.TABLE]


def test_page_names_every_measure_of_the_table():
    """Also the one that defers and drops nothing: early sealing, of a low heap alone."""
    sealing = {row[0] for row in resources.TABLE if row[4] & resources.SEAL_EARLY}

    assert sealing == {resources.HEAP}
    assert "While the heap is low, routine events are sealed as soon as sixteen wait" in PAGE


def test_page_says_where_the_window_yields_and_how_few_segments_are_no_backlog():
    """The flash alone opens it, low or scarce; and four is the agent's own number."""
    opening = {row[:2] for row in resources.TABLE if row[4] & resources.OPEN_WINDOW}

    assert opening == {(resources.FLASH, resources.LOW), (resources.FLASH, resources.SCARCE)}
    assert "While the flash is low or scarce, routine segments wait for no window" in PAGE
    assert RECENT_MAX == 4 and "where more than four wait" in PAGE


def test_page_says_how_often_is_looked_and_how_far_heartbeats_are_spaced():
    """Both are numbers of the agent."""
    assert f"looked at every {LOOK_MS // 1000} s" in PAGE
    assert SPACING == 6 and "six times further apart" in PAGE
