"""What the demonstration shows fits the terminal that people have."""

import io

import pytest
from rich.console import Console

from tools.demo.command import summary
from tools.demo.plan import SECONDS_MIN, make_plan
from tools.demo.screen import DeviceLine, Screen, View, render

NEWS = "device-31 starts again: skips the torn page, folds its journal, goes on, and some more words"


def _view(devices):
    plan = make_plan(1, devices, 45.0, [100, 300], 2000)
    lines = [DeviceLine(f"device-{i + 1}", "draining", 123456, 9999, 8888, 777) for i in range(devices)]
    view = View(plan, lines, elapsed_s=26.0, office="serving", gateway="killed", uplink="cut")
    for _ in range(20):
        view.tell(NEWS)
    return view


def _shown(view, columns, rows):
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system=None)
    console.print(render(view, height=rows))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("devices", [1, 8, 32])
def test_picture_fits_the_terminal(size, devices):
    """No line is wider, no picture higher than the terminal; devices and news are always there."""
    lines = _shown(_view(devices), *size)

    assert len(lines) < size[1]
    assert all(len(line.rstrip()) <= size[0] for line in lines)
    assert any(line.startswith("device-1 ") for line in lines)
    assert sum("starts again" in line for line in lines) >= 5


def test_devices_that_find_no_room_are_summed_up():
    """Nobody believes that a device is missing."""
    lines = _shown(_view(32), 80, 24)
    named = sum(line.startswith("device-") for line in lines)
    (more,) = (line.split() for line in lines if " more " in line)

    assert int(more[0]) + named == 32
    assert int(more[2]) == 123456 * int(more[0])


def test_no_picture_is_drawn_into_a_file():
    """A log gets one line for each piece of news, whatever its width, and no control characters."""
    console = Console(file=io.StringIO(), width=20)
    view = _view(2)
    with Screen(console, view, clock=lambda: 0.0) as screen:
        screen.draw()
    said = console.file.getvalue()

    assert said.count("starts again") == said.count("\n") == 20
    assert "\x1b" not in said


def test_figures_fit_eighty_columns():
    """Every line of the figures stands on one line of a narrow terminal, with large numbers too."""
    names = (
        "events_recorded events_at_office segments segments_verified receipts_verified tombstones heartbeats_verified "
        "decisions decisions_replayed_equal events_per_s link_bytes_per_event ring_wraps age_ms_p50 age_ms_p99 "
        "age_ms_p99_settled gateway_kills device_power_cuts events_thinned releases_adopted releases_rolled_back adopt_ms_p50"
    )
    figures = dict.fromkeys(names.split(), 1234567)
    figures |= {"run_replay_coverage": 0.9634, "uplink_cut_s": 1200.0, "drain_s": 115.02, "ring_wraps": 999}
    figures |= {"releases_adopted": 9999, "releases_rolled_back": 9999}
    figures |= {"gateway_kills": 1, "device_power_cuts": 1, "heartbeats_verified": 99999, "tombstones": 99999}

    assert all(len(f"{'survived':8}  {text}") <= 80 for _, text in summary(figures))


@pytest.mark.parametrize(("seconds", "sectors"), [(SECONDS_MIN, 8), (30, 9), (50, 12), (3600, 456)])
def test_flash_window_grows_with_the_cut(seconds, sectors):
    """The ring holds what a device writes while the uplink is cut, and little more: so the whole run wraps it twice."""
    assert make_plan(1, 2, float(seconds), [100], 2000).journal_sectors == sectors
