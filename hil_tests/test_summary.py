"""The lines at the end of a run say what was measured, and nothing that was not."""

from hil_tests.summary import missing, summary

UPDATE = {"update_bytes": {"rules": 309, "changed_line": 4586, "agent": 96372}}


def test_run_says_what_it_measured():
    """Numbers as people read them; a part of a run has a part of the lines."""
    assert list(summary(UPDATE)) == [
        "update: 309 bytes for rules, 4,586 for one changed line of the agent, 96,372 for all of it"
    ]
    assert list(summary({})) == []


def test_figure_that_was_not_measured_is_named():
    """By its place in build/hil.json."""
    without = {"update_bytes": {"rules": 309, "agent": 96372}}

    assert set(missing(without)) - set(missing(UPDATE)) == {"update_bytes.changed_line"}
    assert list(summary(without)) == []
