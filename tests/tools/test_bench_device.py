"""The device's contenders do the same: same rules, same events on flash, on MicroPython as in the benchmark."""

import pytest

from rules import translate
from rules.bundle import read_bundle
from rules.engine import Engine
from tests.both.random_bundles import history, random_bundle, random_samples
from tests.tools.bench_work import synthetic_rows
from tools.bench import device_events
from tools.bench.device_events import run_lap
from tools.bench.micropython import closures

SAMPLES = 70
SEEDS = range(1, 121)


def _lap(folder, **settings):
    rows = synthetic_rows(folder)
    return run_lap({"rows": rows, "samples": SAMPLES, "events": True, **settings}, folder)


@pytest.mark.parametrize("medium", ["ram", "file"])
@pytest.mark.parametrize("each", [False, True], ids=["flushed alike", "each event"])
def test_agent_and_usual_way_keep_the_same_events(tmp_path, medium, each):
    """Opened from sealed flash and read from littlefs, samples, decisions, actions and refusals are equal, one by one."""
    ours = _lap(tmp_path, who="agent", medium=medium, each=each)
    usual = _lap(tmp_path, who="usual", medium=medium, each=each)

    assert ours["events"] == usual["events"]
    assert ours["count"] == usual["count"] == len(usual["events"]) > SAMPLES


def test_every_sample_has_its_own_segment_when_each_is_durable_at_once(tmp_path):
    """The case that says so programs at least two pages for each sample."""
    each = _lap(tmp_path, who="agent", medium="ram", each=True)

    assert each["programmed"] >= SAMPLES * 256


def test_closures_decide_as_the_translated_function_does():
    """Random rules, faults included, come to the same decisions: the usual way is slower, not wrong."""
    for seed in SEEDS:
        bundle = read_bundle(random_bundle(seed))
        samples = random_samples(seed, 25)

        assert history(Engine(bundle, translate.kernel), samples) == history(
            Engine(bundle, closures.kernel), samples
        ), seed


def test_lap_that_fails_is_no_figure(tmp_path):
    """What MicroPython says ends the run, with its words."""
    with pytest.raises(RuntimeError, match="KeyError"):
        _lap(tmp_path, who="nobody", medium="ram", each=False)


def test_device_without_micropython_says_so(tmp_path, monkeypatch):
    """Where there is no MicroPython every contender of the device is skipped with the way to have it."""
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setattr("tools.upy.find_spec", lambda name: None)
    (case,) = device_events.run([], tmp_path, 1, lambda text: None, {"ram": 1, "file": 1})

    assert not case.figures
    assert {skipped.name for skipped in case.skipped} == {
        "outstation",
        "usual, flush alike",
        "usual, flush each",
    }
    assert all(
        "MicroPython was not found" in skipped.why and "pip install" in skipped.fix
        for skipped in case.skipped
    )
