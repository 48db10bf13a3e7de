"""The page's figures: measured on a real office, and each shown as a share of its budget."""

import json
import re

import pytest

from tools import page_bench
from tools.page_office import running_office
from tools.upy import ROOT

FIGURES = {
    "devices": 10_000,
    "answer_ms": {"fleet": {"median": 6.0, "p95": 20.0, "worst": 50.0}},
    "browser": {
        "first_row_ms": {"median": 200.0, "p95": 440.0, "worst": 500.0},
        "page_bytes": 75_000,
        "heap_mb": 2.0,
    },
    "live": {"viewers": 100, "bytes_per_s_each": 250.0, "memory_mb_each": 0.02, "cpu_percent_all": 3.0},
    "memory_mb": 70.0,
}


@pytest.fixture
def few(monkeypatch):
    """So few requests and viewers that each takes a moment."""
    counts = {
        "REQUESTS": 5,
        "REQUESTS_OF_OTHERS": 1,
        "LOADS": 1,
        "VIEWERS": 2,
        "LISTEN_S": 0.5,
        "SETTLE_S": 0.2,
    }
    for name, value in counts.items():
        monkeypatch.setattr(page_bench, name, value)


def test_figures_are_of_a_running_office(tmp_path, few, monkeypatch):
    """Every kind of page is asked for, viewers listen, and the file says how much of each budget was taken."""
    monkeypatch.setattr(page_bench, "first_rows", lambda office: "no browser here")
    file = tmp_path / "page.json"
    assert page_bench.main(["--devices", "12", "--json", str(file)]) == 0
    said = json.loads(file.read_text())

    assert (said["schema"], said["version"], said["devices"]) == ("outstation.page-bench", 1, 12)
    assert list(said["answer_ms"]) == ["fleet", "device", "explain", "findings", "release"]
    assert said["limits"] == page_bench.LIMITS
    assert set(said["of_limit"]) == {
        *(f"answer_ms {name}" for name in said["answer_ms"]),
        "viewer_bytes_per_s",
    }
    # In so short a time a viewer may have been sent nothing.
    assert all(said["of_limit"][f"answer_ms {name}"] > 0 for name in said["answer_ms"])
    assert [path.name for path in tmp_path.iterdir()] == ["page.json"]


def test_each_figure_is_a_share_of_its_budget():
    """The 95th percentile counts for times; what exceeds its budget is said in its line, and nothing else is."""
    assert page_bench.shares(FIGURES) == {
        "answer_ms fleet": 0.8,
        "first_row_ms": 1.1,
        "page_bytes": 0.5,
        "viewer_bytes_per_s": 0.25,
    }
    above = [line.split("  ")[0] for line in page_bench.lines(FIGURES) if line.endswith("ABOVE IT")]
    assert above == ["first row"]


def test_a_slow_line_a_change_and_growth_have_budgets_too():
    """Each is a share of its own, and is said in a line of its own."""
    slow = {"median": 900.0, "p95": 1650.0, "worst": 1700.0}
    change = {"median": 500.0, "p95": 900.0, "worst": 1300.0}
    more = FIGURES | {
        "browser": FIGURES["browser"] | {"first_row_slow_ms": slow},
        "left_open": {"change_ms": change, "reconnects": 2_000, "growth_mb": 1.0},
    }
    share = page_bench.shares(more)
    said = {line[:16].rstrip(): line for line in page_bench.lines(more)}

    assert (1.1, 0.75, 0.2) == (share["first_row_slow_ms"], share["change_ms"], share["growth_mb"])
    assert said["row, slowly"].endswith("1.10 of 1,500  ABOVE IT")
    assert said["a change"].endswith("0.75 of 1,200")
    assert "1.0 MB more after 2000 lost connections   0.20 of 5" in said["left open"]


def test_what_was_skipped_has_no_share():
    """Without a browser two budgets are not judged, and the line says why."""
    skipped = FIGURES | {"browser": "chromium is missing"}

    assert set(page_bench.shares(skipped)) == {"answer_ms fleet", "viewer_bytes_per_s"}
    assert "first row        skipped: chromium is missing" in page_bench.lines(skipped)


def test_budgets_are_those_that_people_are_told():
    """docs/operating/page.md names the same four numbers."""
    text = (ROOT / "docs" / "operating" / "page.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^Budgets, .*$", text, re.MULTILINE)

    told = [int(number) for number in re.findall(r"(\d+) (?:ms|kB)\b", line.split(". ")[0])]
    limits = page_bench.LIMITS
    shown = [limits["answer_ms"], limits["first_row_ms"], limits["page_bytes"] / 1000]
    assert told == [*shown, limits["viewer_bytes_per_s"] / 1000]


def test_office_that_does_not_come_up_is_said_at_once(tmp_path, monkeypatch):
    """An office that ends before its page answers is an error with its exit code, not a wait to the end."""
    monkeypatch.setattr("tools.page_office.sys.executable", "/bin/false")

    with pytest.raises(RuntimeError, match="ended with 1 before"), running_office(tmp_path, 4):
        pass


def test_make_bench_measures_the_page():
    """What the program says of itself: it is the second half of `make bench`."""
    recipe = (ROOT / "Makefile").read_text().partition("\nbench:")[2].partition("\n\n")[0]

    assert "-m tools.page_bench --json build/page.json" in recipe
    assert "second half of `make bench`" in (page_bench.__doc__ or "")
