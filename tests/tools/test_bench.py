"""Each benchmark does real work and gives figures of the promised shape, in counts of which each takes a moment."""

import io
import json

import pytest
from rich.console import Console

import tools.recordings
from protocol.diagnostic import OK
from protocol.keys import CRITICAL, ROUTINE
from protocol.segment import parse_segment
from tests.tools.bench_work import TINY, synthetic_rows, tiny_work
from tools import cli
from tools.bench import (
    command,
    gateway_custody,
    gateway_front,
    link_bytes,
    office_ingest_rate,
    page,
    replay_rate,
    request_rate,
)
from tools.bench.fleet import in_turn, make_fleet
from tools.bench.machine import is_uneven
from tools.bench.nats_peer import NAME as NATS
from tools.bench.plan import BENCHMARKS, Plan, run_each
from tools.bench.screen import TITLES, number, picture
from tools.upy import ROOT

# Who is in each case, measured or skipped; the first is Outstation's.
CONTENDERS = {
    "gateway": {
        "1 writer": ["outstation", "append+fdatasync", NATS],
        "2 writers": ["outstation", "append+fdatasync", NATS],
        "whole path, 2 devices": ["outstation", NATS],
    },
    "office": {"routine lane": ["outstation", "SQLite rows"], "critical lane": ["outstation", "SQLite rows"]},
    "device": {
        "flash in memory": ["outstation", "usual, flush alike", "usual, flush each"],
        "flash in a file, synced": ["outstation", "usual, flush alike", "usual, flush each"],
        "flash in memory, each event durable at once": ["outstation", "usual, flush each"],
        "flash programmed": ["outstation", "usual, flush alike", "usual, flush each"],
    },
    "link": {
        "100 readings together": ["outstation", "SenML-CBOR", "JSON", "JSON deflated", "Sparkplug B"],
        "1 reading a message": ["outstation", "SenML-CBOR", "JSON", "JSON deflated", "Sparkplug B"],
    },
    "replay": {"step replay": ["outstation", "interpreter", "sealed bytes", "SHA-256"]},
    "requests": {
        "2 devices": ["outstation", "asyncio echo", "aiocoap", "libcoap"],
        "2 devices, 100 events a segment": ["outstation", "asyncio echo", "aiocoap", "libcoap"],
    },
    "restart": {"2 devices": ["outstation", "not restarted"]},
}


def _cases(name, folder):
    ((_, cases),) = run_each(tiny_work(folder), [name])
    return cases


def test_every_benchmark_has_a_title_and_known_contenders():
    """A benchmark that is added is shown, documented here, and tested below."""
    assert list(BENCHMARKS) == list(TITLES) == list(CONTENDERS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_gives_figures_of_the_promised_shape(name, tmp_path):
    """Every contender that was promised has a figure of each lap, or a reason why it has none; ours always has one."""
    cases = [case.as_json() for case in _cases(name, tmp_path)]
    there = {
        case["case"]: [entry["name"] for entry in [*case["contenders"], *case["skipped"]]] for case in cases
    }

    assert json.loads(json.dumps(cases)) == cases
    assert there == CONTENDERS[name]
    for case in cases:
        assert case["contenders"][0]["name"] == "outstation"
        assert case["units"] > 0
        assert len(case["ratios"]) == len(case["contenders"]) - 1
        for figure in case["contenders"]:
            assert 0 < figure["min"] <= figure["median"] <= figure["max"]
            assert figure["laps"] and figure["means"]
        assert all(skipped["why"] and skipped["fix"] for skipped in case["skipped"])


def test_gateway_counts_what_a_store_opened_anew_holds(tmp_path):
    """Segments that were acknowledged are the segments that are there: no more, no less."""
    fleet = make_fleet(synthetic_rows(tmp_path), 1, devices=2, samples=60)
    raws = in_turn([device.all() for device in fleet])[:9]
    lap = gateway_custody._in_folder(tmp_path, [raws[0::2], raws[1::2]])

    assert lap.count == len(set(raws)) == 9


def test_gateway_whole_path_stores_what_the_devices_sent(tmp_path):
    """What another process sent over CoAP and OSCORE lies in the store."""
    fleet = make_fleet(synthetic_rows(tmp_path), 1, devices=2, samples=60)
    streams = [device.all()[:3] for device in fleet]
    lap = gateway_front.lap(tmp_path, [device.device for device in fleet], streams)

    assert lap.count == 6


def test_requests_count_the_events_that_a_store_opened_anew_holds(tmp_path):
    """What is counted as durable is read from the bytes in the gateway's file: all events of all segments, each once."""
    full = make_fleet(synthetic_rows(tmp_path), 1, devices=2, samples=300, seal_every=100)
    load = request_rate.load_of_full(full)
    lap = request_rate._own_lap(tmp_path, load)

    assert lap.count == sum(len(stream) for stream in load.streams) * 100 == 600


def test_load_of_full_segments_refuses_others(tmp_path):
    """Segments of another count are no load of this name."""
    fleet = make_fleet(synthetic_rows(tmp_path), 1, devices=1, samples=150, seal_every=100)

    with pytest.raises(AssertionError, match="50"):
        request_rate.load_of_full(fleet)


@pytest.mark.parametrize("lane", [ROUTINE, CRITICAL])
def test_office_and_rows_hold_the_same_events(lane, tmp_path):
    """The rows are the very events of the segments, and both files hold all of them afterwards."""
    fleet = make_fleet(synthetic_rows(tmp_path), 1, devices=2, samples=60)
    load = office_ingest_rate.make_load(fleet, lane)
    sealed = sum(parse_segment(raw).header.count for device in fleet for raw in device.lanes[lane])
    ours, rows = office_ingest_rate._ingest(load, tmp_path), office_ingest_rate._insert(load, tmp_path)

    assert ours.count == rows.count == load.events() == sealed


def test_replay_repeats_every_decision_of_the_fleet(tmp_path):
    """What is counted as replayed gave the same decision again, by each of the ways."""
    fleet = make_fleet(synthetic_rows(tmp_path), 1, devices=2, samples=120)
    recorded = [decision for device in fleet for decision in replay_rate.decisions_of(device)]

    assert len(recorded) >= 8
    assert replay_rate._step(recorded, replay_rate.kernel).count == len(recorded)
    assert replay_rate._sealed(recorded).count == len(recorded)


def test_replay_does_not_count_a_decision_that_the_rules_do_not_make(tmp_path):
    """A changed register is no replayed decision, so the race would end there."""
    (device,) = make_fleet(synthetic_rows(tmp_path), 1, devices=1, samples=120)
    first, *rest = replay_rate.decisions_of(device)
    made = [*first.made[:8], [value + 1 for value in first.made[8]], first.made[9]]
    wrong = first._replace(made=made)

    assert replay_rate._step([wrong, *rest], replay_rate.kernel).count == len(rest)


def test_link_counts_exactly_the_readings_of_a_delivery(tmp_path):
    """Segments that say something else than the peers' messages are no comparison."""
    rows = synthetic_rows(tmp_path)
    (device,) = make_fleet(rows, 1, devices=1, samples=20, seal_every=10)
    deliveries = [link_bytes.Delivery(rows[0:10], 0), link_bytes.Delivery(rows[11:21], 10)]

    with pytest.raises(AssertionError, match="say something else"):
        link_bytes.capture(device, deliveries, tmp_path)


def test_link_parts_add_up_to_what_crossed_the_link(tmp_path):
    """Readings, seal, channel and headers are all there is, for everybody."""
    for case in _cases("link", tmp_path):
        for figure in case.figures:
            parts = sum(value for name, value in figure.more.items() if name.endswith("_bytes"))
            assert parts == pytest.approx(sum(figure.values) / len(figure.values)), (case.name, figure.name)


def test_fleet_is_the_same_for_the_same_seed(tmp_path):
    """A run can be repeated byte by byte."""
    rows = synthetic_rows(tmp_path)

    assert make_fleet(rows, 7, 1, 40) == make_fleet(rows, 7, 1, 40)
    assert make_fleet(rows, 7, 1, 40) != make_fleet(rows, 8, 1, 40)


@pytest.fixture
def offline(monkeypatch):
    """The recordings replaced by the synthetic one, and the counts by tiny ones."""

    def write_recording(target, cache=None):
        synthetic_rows(target.parent)

    monkeypatch.setattr(tools.recordings, "write_recording", write_recording)
    monkeypatch.setattr(command, "Plan", lambda rounds: TINY._replace(rounds=rounds))


def test_command_writes_machine_command_seed_and_figures(tmp_path, offline, capsys):
    """The file says on what, with what and how it was measured, and everything temporary is gone."""
    file = tmp_path / "build" / "bench.json"
    code = cli.run(["bench", "--only", "replay", "--rounds", "2", "--seed", "9", "--json", str(file)])
    said = json.loads(file.read_text())

    assert code == OK, capsys.readouterr()
    assert (said["schema"], said["version"], said["seed"], said["rounds"]) == ("outstation.bench", 1, 9, 2)
    assert {"system", "processor", "cpus", "python", "sqlite", "filesystem"} <= set(said["machine"])
    assert {"loop_slowest_over_fastest", "sync_slowest_over_fastest"} <= set(said["noise"])
    assert list(said["figures"]) == ["replay"]
    assert [path.name for path in file.parent.iterdir()] == ["bench.json"]


def test_command_says_what_it_skipped_and_how_to_have_it(tmp_path, offline, capsys, monkeypatch):
    """Without the peer's server the run goes on, and prints the command that installs it."""
    monkeypatch.setenv("NATS_SERVER", str(tmp_path / "nothing"))
    code = cli.run(["bench", "--only", "gateway", "--rounds", "1", "--dir", str(tmp_path)])
    said = capsys.readouterr().out

    assert code == OK, said
    assert "NATS JetStream skipped" in said
    assert "apt-get install nats-server" in said


def test_picture_fits_80_columns(tmp_path):
    """The table stands in every terminal, with each contender's name whole."""
    for name in ("link", "replay"):
        cases = _cases(name, tmp_path)
        console = Console(file=io.StringIO(), width=80, color_system=None)
        console.print(picture(name, cases))
        lines = console.file.getvalue().splitlines()

        assert max(map(len, lines)) <= 80
        for case in cases:
            assert all(any(line.startswith(f"  {figure.name} ") for line in lines) for figure in case.figures)


def test_page_takes_every_figure_from_the_file(tmp_path, monkeypatch, offline):
    """The documented figures are those of one run, between the marks and nowhere else."""
    document = command.run(TINY, ["link"], tmp_path, 1, None)
    file, target = tmp_path / "bench.json", tmp_path / "bench.md"
    file.write_text(json.dumps(document))
    target.write_text(f"before\n{page.BEGIN}old\n{page.END}after\n")
    monkeypatch.setattr(page, "PAGE", target)
    page.main([str(file)])
    text = target.read_text()

    assert text.startswith(f"before\n{page.BEGIN}") and text.endswith(f"{page.END}after\n")
    assert "old" not in text
    for case in document["figures"]["link"]:
        assert all(f"| {figure['name']} | " in text for figure in case["contenders"])


def test_documented_figures_come_from_the_command():
    """docs/bench.md holds a machine, a command and every contender that this version knows."""
    text = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    _, _, figures = text.partition(page.BEGIN)

    assert "seed 1, 5 rounds, on" in figures
    names = {name for cases in CONTENDERS.values() for case in cases.values() for name in case}
    assert {name for name in names if name not in figures} == set()


def test_full_plan_has_a_device_for_every_writer():
    """The most writers of a full run each have a device of their own."""
    assert max(Plan().segments) <= Plan().devices


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0196, "0.020"),
        (0.583, "0.58"),
        (1, "1.00"),
        (22.58, "22.6"),
        (267.4, "267"),
        (999.6, "1,000"),
        (4567, "4,570"),
        (158_400, "158,000"),
        (1_063_100, "1.06 M"),
    ],
)
def test_figure_has_as_many_digits_as_laps_support(value, shown):
    """Three digits, two below 1: nobody reads noise as a figure."""
    assert number(value) == shown


def test_uneven_machine_is_told_from_an_even_one():
    """A run on a machine that changed its pace says so, by its processor or by its disk."""
    quiet = {"loop_slowest_over_fastest": 1.1, "sync_slowest_over_fastest": 1.6}

    assert not is_uneven(quiet)
    assert is_uneven(quiet | {"loop_slowest_over_fastest": 1.3})
    assert is_uneven(quiet | {"sync_slowest_over_fastest": 2.1})


def test_figures_of_a_run_alone_are_put_beside_those_of_others():
    """What the other runs found stays as it was; an older run of the same benchmark is gone."""
    whole = "Outstation 1, `make bench`, on\n\n### Gateway: segments\n\n1\n"
    first, second = (
        f"### {name}, in a run of its own\n\nOutstation 1, on\n\n2\n" for name in ("Link", "Restart")
    )
    both = page.added(page.added(whole, first), second)

    assert f"{whole}\n{first}\n{second}" == both
    newer = first.replace("2", "3")
    assert f"{whole}\n{second}\n{newer}" == page.added(both, newer)
