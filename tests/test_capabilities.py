"""The table at the end of a run says which capabilities were proved, and by what."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLANTED = """
import pytest

@pytest.mark.proves("S17", "S26")
def test_kept():
    assert True

@pytest.mark.proves("S26")
def test_broken():
    assert False

@pytest.mark.proves("S40")
@pytest.mark.skip(reason="planted")
def test_not_run():
    assert True
"""


@pytest.fixture
def suite(pytester):
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers =\n  proves(id): planted\n")
    return pytester


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_table_lists_each_capability_with_its_outcome(suite, workers):
    """A capability with one failing test has failed; one whose tests were skipped is not proved."""
    suite.makepyfile(PLANTED)
    result = suite.runpytest_subprocess(*workers)

    result.stdout.re_match_lines(
        [
            r"S17  passed\s+1 tests",
            r"S26  failed\s+2 tests",
            r"     failed: .*test_broken",
            r"S40  skipped\s+1 tests",
        ]
    )


@pytest.mark.parametrize("name", ["S00", "S61", "S1", "26", "x26"])
def test_unknown_capability_stops_the_run(suite, name):
    """A misspelt id is an error, not a proof of nothing."""
    suite.makepyfile(PLANTED.replace("S17", name))
    result = suite.runpytest_subprocess()

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{name}*names no capability S01..S60*"])
