"""The device's contenders do the same: same rules, same events on flash, on MicroPython as in the benchmark."""

import pytest

from protocol.aes_host import Aes128
from protocol.keys import LANES, ROUTINE
from protocol.segment import parse_segment
from rules import translate
from rules.bundle import read_bundle
from rules.engine import Engine
from tests.both.random_bundles import history, random_bundle, random_samples
from tests.tools.bench_work import synthetic_rows
from tools.bench import device_events
from tools.bench.device_events import run_lap
from tools.bench.fleet import BUNDLE, SCHEMA
from tools.bench.micropython import closures
from tools.shim import install

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


def paced_agent(folder):
    """Return the benchmark's agent on this interpreter, after some samples, each in a segment of its own."""
    install()
    from agent.flash import RamFlash
    from agent.layout import window_sectors
    from tools.bench.micropython import paced_agent as paced

    flash = RamFlash(window_sectors(16))
    paced.provision(flash, b"s" * 32, b"v" * 32, b"d" * 32)
    sensor = paced.Rows(synthetic_rows(folder))
    agent = paced.boot(flash, "00" * 8, sensor, Aes128, SCHEMA, BUNDLE, paced.AT_ONCE_MS)
    for _ in range(9):
        agent.turn()
    agent.seal_all()
    return agent


def test_agents_events_are_counted_on_its_flash(tmp_path):
    """A segment that is missing at the end is not counted; one that is missing before it ends the run."""
    agent = paced_agent(tmp_path)
    lanes = {lane: list(agent.segments(lane)) for lane in LANES}
    all_of_them = agent.sealed_events()
    agent.segments = lambda lane: lanes[lane]

    assert sum(parse_segment(raw).header.count for raws in lanes.values() for raw in raws) == all_of_them > 9
    last = lanes[ROUTINE].pop()
    assert agent.sealed_events() == all_of_them - parse_segment(last).header.count
    del lanes[ROUTINE][2]
    with pytest.raises(AssertionError):
        agent.sealed_events()


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
    monkeypatch.setattr("tools.upy.unix_folder", lambda: tmp_path / "nothing built")
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
