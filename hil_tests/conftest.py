"""Images, built once a run; flash files; and the figures of the run, written as JSON with --figures FILE.

Where something is missing, every test is skipped with the command that installs it.
"""

import json
import sys
from pathlib import Path

import pytest

from hil_tests.provisioned import lay_out_folder
from hil_tests.qemu import Qemu
from hil_tests.summary import missing, summary
from protocol.diagnostic import UNREACHABLE, DiagnosticError
from tools.bench.machine import describe
from tools.image.build import build_image
from tools.image.flashfile import make_flash, write_flash
from tools.image.needs import BUILD, RUN, install_command, missing_packages

BOARD = "mps2_an385"
SEED = bytes(range(32))
_FIGURES = "figures"


def pytest_addoption(parser):
    parser.addoption("--target", default="qemu", choices=["qemu"], help="where the tests run")
    parser.addoption("--figures", type=Path, help="write the figures of the run to this file")


def pytest_collection_modifyitems(config, items):
    packages = missing_packages({**BUILD, **RUN})
    if packages:
        reason = f"system packages are missing: {install_command(packages)}"
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))
    # What may take longest begins first: at the end no worker waits for another that has just begun with it.
    items.sort(key=_seconds_max, reverse=True)


def _seconds_max(item):
    """Return how long a test may take by its own word, 0 if it says nothing."""
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark is not None else 0


def _built(development):
    try:
        return build_image(BOARD, development=development)
    except DiagnosticError as error:
        if error.exit_code != UNREACHABLE:
            raise
        said = error.diagnostics[0]
        pytest.skip(f"{said.message}: {said.fix}")


@pytest.fixture(scope="session")
def image():
    """The production image."""
    return _built(False)


@pytest.fixture(scope="session")
def development():
    """The image whose console takes Python."""
    return _built(True)


@pytest.fixture
def figures(request):
    """What this test measures, by name. It travels with the report, from a worker of pytest-xdist too."""
    measured = {}
    yield measured
    request.node.user_properties.append((_FIGURES, measured))


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory):
    """The folders of an office, a gateway and one device."""
    folder = tmp_path_factory.mktemp("site")
    lay_out_folder(folder)
    return folder


@pytest.fixture
def device_flash(site_folder, tmp_path):
    """The flash file of a provisioned device that has never run."""
    path = tmp_path / "flash.bin"
    make_flash(site_folder / "device" / "device.toml", path, SEED)
    return path


@pytest.fixture
def blank_flash(tmp_path):
    """A flash file with no settings."""
    path = tmp_path / "flash.bin"
    write_flash(path, b"", {}, SEED)
    return path


@pytest.fixture
def start():
    """Start a board: start(image, flash, ...). All end with the test."""
    boards = []

    def start_board(image, flash, **options):
        boards.append(Qemu(Path(image.elf), flash, **options))
        return boards[-1]

    yield start_board
    for board in boards:
        board.close()


def pytest_sessionfinish(session):
    path = session.config.getoption("figures")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if path is None or reporter is None:
        return
    counts = {name: len(reporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    skips = sorted({str(report.longrepr[2]) for report in reporter.stats.get("skipped", [])})
    document = {
        "schema": "outstation.hil",
        "version": 1,
        "machine": describe(path.parent),
        "command": " ".join(["python", "-m", "pytest", *session.config.invocation_params.args]),
        "python": sys.version.split()[0],
        "seed": SEED.hex(),
        "tests": counts,
        "skipped_because": skips,
        "figures": _measured(reporter),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def pytest_terminal_summary(terminalreporter, config):
    figures = _measured(terminalreporter)
    lines = list(summary(figures))
    if lines:
        terminalreporter.section("measured on the board")
        for line in lines:
            terminalreporter.write_line(line)
        if config.getoption("figures") and (left := missing(figures)):
            terminalreporter.write_line(f"not measured in this run: {', '.join(left)}")


def _measured(reporter):
    """Return name -> figure; figures of one name that are tables become one table."""
    found = {}
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            for key, measured in report.user_properties:
                for name, figure in measured.items() if key == _FIGURES else ():
                    is_table = isinstance(figure, dict)
                    found[name] = {**found.get(name, {}), **figure} if is_table else figure
    return found
