"""The page of what was tried says what the runs wrote, and names what is missing."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from protocol.diagnostic import FINDING, OK
from tools.device_types import ROOT
from tools.drills.plan import NAMES
from tools.proof.__main__ import command
from tools.proof.page import BEGIN, DRAIN, END, STORAGE, SURVIVAL, draw, markdown, write_page
from tools.proof.picture import Curve, bars, curve, curves
from tools.proof.rows import Tried, tried
from tools.proof.sources import LONG, SOURCES, read_figures

DRILL = {"figures": {}, "signs": [], "faults": [], "lost": 0, "doubled": 0, "forged": 0, "about": "an outage"}
CUT = {"store": "gateway", "operations": 3, "cuts": 11, "images": 9, "cuts_that_lost": 1, "cuts_wrong": 1}
ROT = {
    "flips": 13,
    "changed_segments": 5,
    "found_of_changed": 5,
    "silent": 0,
    "deleted_good": 0,
    "not_healed": 0,
}
ENTRY = {"name": "cbor", "taken": 3, "refused": 14}
SIGN = {"what": "gap", "by": "office", "heartbeats": 1}
DOCUMENTS = {
    "sim.json": {
        "worlds": 200,
        "broken": {"7": ["nothing is lost: a segment"]},
        "device_days": 2000,
        "device_days_per_cpu_s": 9.5,
        "faults": {"cut flash": 4711},
        "happened": {"power cut in a recovery": 815},
        "machine": {"system": "Linux", "python": "3.11.7"},
        "command": ["python", "-m", "tests.sim", "--seeds", "0..200"],
        "storage": {
            "days": 9,
            "points": [[1, 4096, 500, 7000], [9, 8192, 100, 9000]],
            "outages": [[2, 3, "part office"]],
            "ring_bytes_max": 49152,
            "gateway_bytes_max": 900,
            "events": 77,
            "office_bytes_per_event": 26.5,
        },
    },
    "cuts.json": {
        "sweep": {"journal": {"cuts": 2340, "second_cuts": 1170, "operations": 390}},
        "counters": {"boots": 10000, "cuts": 6145, "crashes": 4043, "seals": 68946, "reused": 0},
        "peers": [
            {
                "variant": "littlefs",
                "cuts": 19,
                "cuts_that_lost": 17,
                "lost_worst": 3,
                "bytes_per_payload_byte": 2.5,
                "erases_per_record": 0.1,
            }
        ],
    },
    "stores.json": {
        "sqlite": "3.40.1",
        "cuts": [{**CUT, "unopenable": 0}],
        "faults": [
            {"store": "office", "kind": "no space", "points": 62, "images": 250, "lost": 0, "wrong": 0}
        ],
        "bit_rot": [{"store": "office", **ROT}],
        "lying_disk": {"cuts": 976, "segments_lost": 3316, "asked_of_the_device": 3316, "unnoticed": 0},
        "weaker_settings": [{"run": "synchronous_off", **CUT, "worst_loss": 26}],
    },
    "fuzz.json": {
        "seed": 1,
        "cpython": {"cbor": ENTRY},
        "micropython": {"cbor": ENTRY},
        "hosts": [ENTRY, ENTRY],
    },
    "drills.json": {
        "size": "ci",
        "seed": 5,
        "broken": [],
        "rows": [
            {
                **DRILL,
                "name": "kills",
                "command": "python -m tests.drills kills --size ci",
                "done": {"gateway kills": 24, "office kills": 15, "seconds of kills": 60, "devices": 50},
            },
            {
                **DRILL,
                "name": "rogue alter",
                "command": "python -m tests.drills rogue --size ci",
                "done": {"lies": 18},
                "signs": [SIGN],
                "faults": ["signs: none", "lost: 2"],
            },
            {
                **DRILL,
                "name": "outage",
                "command": "python -m tests.drills outage --size ci",
                "done": {"power cuts": 2},
                "figures": {"drain_s": 0.8},
            },
        ],
    },
}
DOCUMENTS["drills.json"]["rows"][2]["figures"]["drain_curve"] = [[0, 419, None], [0.8, 0, 140]]


def lay_build(tmp_path):
    """Write the figures of every run under a folder; return where."""
    folder = tmp_path / "build"
    folder.mkdir()
    for name, document in DOCUMENTS.items():
        (folder / name).write_text(json.dumps(document))
    return folder


def lay_page(tmp_path):
    """Write a page with its marks under a folder; return it."""
    path = tmp_path / "docs" / "proof.md"
    path.parent.mkdir()
    path.write_text(f"before\n{BEGIN}old\n{END}after\n")
    return path


@pytest.fixture
def build(tmp_path):
    return lay_build(tmp_path)


@pytest.fixture
def page(tmp_path):
    return lay_page(tmp_path)


def _run(build, page):
    return CliRunner().invoke(command, ["--build", str(build), "--page", str(page)])


def test_rows_are_what_the_files_say(build):
    """How often and how much broke, of every kind of figure."""
    rows = {(row.part, row.what): (row.times, row.broken) for row in tried(read_figures(build).held)}

    assert rows == {
        ("Simulation", "worlds of a whole site"): (200, 1),
        ("Power cuts of the flash", "journal"): (2340, 0),
        ("Nonces", "seals counted"): (68946, 0),
        ("Stores", "gateway: power cuts"): (11, 2),
        ("Stores", "office: no space"): (62, 0),
        ("Stores", "office: bits flipped"): (13, 0),
        ("Stores", "gateway: a disk that lies"): (976, 0),
        ("Frames", "the device's decoders on cpython"): (17, 0),
        ("Frames", "the device's decoders on micropython"): (17, 0),
        ("Frames", "the hosts' decoders"): (34, 0),
        ("Real processes", "kills"): (39, 0),
        ("Real processes", "rogue alter"): (18, 2),
        ("Real processes", "outage"): (2, 0),
    }


def test_page_keeps_its_prose_and_takes_the_figures(build, page):
    """What stands between the marks is replaced, what stands around them stays, and a second run changes nothing."""
    result = _run(build, page)

    text = page.read_text()
    assert result.exit_code == OK, result.output
    assert text.startswith(f"before\n{BEGIN}") and text.endswith(f"{END}after\n")
    assert "old" not in text
    for said in (
        "13 rows, 5 promises broken.",
        "| journal | 2,340 | 0 |",
        "| cut flash | 4,711 |",
        "| power cut in a recovery | 815 |",
        "littlefs",
    ):
        assert said in text
    assert "18 lies; noticed: gap, by office, after 1 heartbeats" in text
    assert "Missing" not in text
    _run(build, page)
    assert page.read_text() == text


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_missing_figures_are_named_with_the_command_that_makes_them(build, page, source):
    """A run that nobody has done is not passed over."""
    path = build / source.file
    if source.key:
        document = json.loads(path.read_text())
        del document[source.key]
        path.write_text(json.dumps(document))
    else:
        path.unlink()

    result = _run(build, page)

    assert result.exit_code == FINDING
    assert f"`{source.command}`" in page.read_text()
    assert source.command in result.output


def test_nothing_run_gives_a_page_that_says_so(tmp_path, page):
    """No figure is made up, and no picture is left over from another run."""
    pictures = page.parent / "pictures"
    pictures.mkdir()
    (pictures / SURVIVAL).write_text("old")

    result = _run(tmp_path / "nothing", page)

    assert result.exit_code == FINDING
    assert "No figures are there yet." in page.read_text()
    assert list(pictures.iterdir()) == []


def test_pictures_are_drawn_where_there_are_figures(build, page):
    """Survival, drain and storage, each well-formed and named by the page."""
    _run(build, page)

    text = page.read_text()
    for name in (SURVIVAL, DRAIN, STORAGE):
        ET.parse(page.parent / "pictures" / name)
        assert f"(pictures/{name})" in text


def test_every_bar_says_how_often_and_what_broke():
    """A picture alone tells what the table does; more often is longer."""
    svg = bars(
        [Tried("Part", "a <few>", 10, 0), Tried("Part", "many", 100_000, 3), Tried("Part", "more", 7, None)]
    )

    lengths = [float(width) for width in re.findall(r'width="([\d.]+)" height', svg)]
    texts = [node.text for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]
    assert lengths[0] < lengths[1]
    assert {"a <few>", "10", "broken 0", "100,000", "broken 3", "7"} <= set(texts)
    assert sum(text.startswith("broken") for text in texts) == 2
    assert svg.count('class="bad"') == 1


def test_curve_goes_from_its_first_point_to_its_last():
    """The greatest value touches the top, none the foot."""
    svg = curve([(0, 400), (2, 100), (4, 0)], "title", "seconds", "waiting")

    places = re.search(r'points="([^"]+)"', svg)[1].split()
    heights = [float(place.split(",")[1]) for place in places]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (28.0, 148.0)


def test_curves_show_their_bound_and_leave_out_what_was_not_measured():
    """A gap in the measure is a gap in the line; the bound is higher than all that keeps it."""
    svg = curves("title", "days", [Curve("bytes", [(0, 10), (1, None), (2, 20)], 40.0)], [(0.5, 1.5)])

    assert svg.count("<polyline") == 2
    assert float(re.search(r'class="bound" x1="[^"]+" y1="([^"]+)"', svg)[1]) == 28.0
    assert svg.count('class="band"') == 1


def test_page_without_marks_is_not_written(build, page):
    """The prose is nobody's to overwrite."""
    page.write_text("only prose\n")

    with pytest.raises(ValueError, match="put them back"):
        write_page(page, page.parent, read_figures(build))
    assert page.read_text() == "only prose\n"


def test_page_of_the_checkout_has_its_marks_and_its_pictures():
    """docs/proof.md can be written again, and shows only pictures that there are."""
    text = (ROOT / "docs" / "proof.md").read_text("utf-8")

    assert text.count(BEGIN) == text.count(END) == 1
    for name in re.findall(r"\(pictures/([^)]+)\)", text):
        assert (ROOT / "docs" / "pictures" / name).is_file()


BOARD_EVENTS = {
    "events": 1_000_005,
    "heap_free_bytes": [233_504, 213_392, 223_168],
    "flash_bytes_an_event": 58.47,
    "erases_an_event": 0.01451,
    "allocation_failures": 2,
}


def test_long_runs_that_were_made_are_shown_and_the_others_named(build, page):
    """Their own table; what broke in them counts; nothing of them is missing where none was made."""
    _run(build, page)
    without = page.read_text()
    board = {"figures": {"events": BOARD_EVENTS}, "tests": {"failed": 1}}
    (build / "hil-soak.json").write_text(json.dumps(board))
    (build / "drills-soak.json").write_text(json.dumps(DOCUMENTS["drills.json"]))
    result = _run(build, page)

    text = page.read_text()
    assert result.exit_code == OK
    assert "Long runs" not in without
    assert (
        "| events on the emulated board | 1,000,005 | 3 | heap free between 213,392 and 233,504 bytes" in text
    )
    assert "17 rows, 10 promises broken." in text
    assert text.count("| rogue alter | 18 | 2 |") == 2
    named = re.search(r"Not run for this page:\n\n((?:- .*\n)+)", text)[1]
    assert {source.command for source in LONG if source.command in named} == {
        source.command for source in LONG if source.name not in ("board", "long drills")
    }
    assert set(re.findall(r"--only (\w+)", named)) == set(NAMES) - {"kills", "rogue", "outage"}


def test_longest_outage_is_the_one_that_is_drawn(build):
    """What drains for longer tells more; both are told in words."""
    long = json.loads(json.dumps(DOCUMENTS["drills.json"]))
    long["rows"][2] |= {
        "about": "days",
        "figures": {"drain_s": 77, "drain_curve": [[0, 9, None], [77, 0, 1]]},
    }
    (build / "drills-soak.json").write_text(json.dumps(long))
    figures = read_figures(build)

    drawn = draw(figures)
    assert "days: drain s 77.\n\nan outage: drain s 0.8." in markdown(figures, drawn)
    assert ">77<" in drawn[DRAIN]


def test_drill_that_broke_off_counts_as_broken(build):
    """No row is no proof."""
    figures = read_figures(build)
    figures.held["drills"]["broken"] = ["kills broke off with exit code 70"]

    assert "| kills broke off with exit code 70 | 0 | 1 |" in markdown(figures, {})


def test_seeds_that_were_ever_tried_are_named_with_their_commit(build, tmp_path):
    """Those that broke by their number; a seed that was tried twice counts once."""
    kept = tmp_path / "tried.json"
    one = {
        "first": 40,
        "end": 60,
        "commit": "abc",
        "worlds": 20,
        "device_days": 200,
        "faults": 720,
        "broken": [],
    }
    kept.write_text(json.dumps([one, {**one, "first": 50, "end": 1060, "commit": "def", "broken": [53, 99]}]))

    page = markdown(read_figures(build, kept), {})

    assert "1,020 different seeds" in page
    assert "| 40 to 59 | abc | 20 | 200 | 720 | none |" in page
    assert "| 50 to 1,059 | def | 20 | 200 | 720 | 53, 99 |" in page


def test_long_runs_write_figures_of_their_own():
    """What `make soak` writes lies beside the figures of the short runs, not in their place, and the page knows where."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    written = re.findall(
        r"^soak-(\w+):[^\n]*\n(?:\t@[^\n]*\n)*\t[^\n]*--json build/(\S+)", makefile, re.MULTILINE
    )

    assert {"cuts", "counters", "stores", "fuzz", "drills"} <= {target for target, _ in written}
    assert not {file for _, file in written} & {source.file for source in SOURCES}
    assert {file for _, file in written} <= {source.file for source in LONG}
