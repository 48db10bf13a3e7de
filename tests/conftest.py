"""Ends every run with the table of capabilities: which S-ids this run proved, by which tests.

Marks the sweeps: what tries every cut, every disk state, a million frames or whole histories of a site has a tier of its own.
"""

import signal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

# How fast the machine is proves nothing.
settings.register_profile("outstation", deadline=None)
settings.load_profile("outstation")

_PROOFS = "proves"
_SWEEPS = [Path(__file__).parent / name for name in ("cuts", "fuzz", "sim", "stores")]


@pytest.fixture(autouse=True)
def _interruptible():
    """Each test leaves Ctrl-C free: held back here, it would be held back in whatever later tests start."""
    yield
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert signal.SIGINT not in held


def pytest_collection_modifyitems(items):
    for item in items:
        if _is_sweep(item.path):
            item.add_marker(pytest.mark.sweep)
        ids = [name for marker in item.iter_markers(_PROOFS) for name in marker.args]
        unknown = [name for name in ids if not _is_capability(name)]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: proves({unknown}) names no capability S01..S60")
        # A property travels with the report, from a worker of pytest-xdist too.
        item.user_properties += [(_PROOFS, name) for name in ids]


def pytest_terminal_summary(terminalreporter):
    tests = _outcomes(terminalreporter)
    if not tests:
        return
    terminalreporter.section("capabilities proved by this run")
    for name in sorted(tests):
        outcomes = tests[name].values()
        state = "failed" if "failed" in outcomes else "passed" if "passed" in outcomes else "skipped"
        terminalreporter.line(f"{name}  {state:7}  {len(tests[name]):3} tests")
        for nodeid, outcome in sorted(tests[name].items()):
            if outcome != "passed":
                terminalreporter.line(f"     {outcome}: {nodeid}")


def _outcomes(terminalreporter):
    """Return id -> test -> outcome; a test that failed in any phase has failed."""
    tests = {}
    for state, outcome in (
        ("passed", "passed"),
        ("skipped", "skipped"),
        ("failed", "failed"),
        ("error", "failed"),
    ):
        for report in terminalreporter.stats.get(state, []):
            for key, name in getattr(report, "user_properties", []):
                if key == _PROOFS and (report.when == "call" or outcome != "passed"):
                    tests.setdefault(name, {})[report.nodeid] = outcome
    return tests


@cache
def _is_sweep(path):
    return any(folder in path.parents for folder in _SWEEPS)


def _is_capability(name):
    return (
        isinstance(name, str)
        and name[:1] == "S"
        and name[1:].isdigit()
        and len(name) == 3
        and 1 <= int(name[1:]) <= 60
    )
