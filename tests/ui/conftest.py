"""A headless Chromium of the system, the offices it looks at, and axe-core from npm. What is missing is said with the command that brings it."""

import copy
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.ui.offices import PageOffice
from tests.ui.visiting import visit
from tools.device_types import ROOT
from tools.ports import free_port

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_AXE = ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
_FETCH_AXE = "npm install --prefix build/axe axe-core@4"
DEVICES = 2_000


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    """The browser, started once."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: pip install 'outstation[dev]'"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def tab(browser):
    """Open a page: tab(width=..., color_scheme=..., java_script_enabled=...); all are closed at the end."""
    contexts = []

    def open_tab(width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def office(tmp_path_factory):
    """An office with a fleet, its process running. Tests only look at it."""
    made = PageOffice(tmp_path_factory.mktemp("fleet") / "office", devices=DEVICES).start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def empty_office(tmp_path_factory):
    """An office that knows nobody, its process running."""
    made = PageOffice(tmp_path_factory.mktemp("empty") / "office", devices=0, is_empty=True).start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def small_office(tmp_path_factory):
    """A small office that nobody starts: own_office is a copy of it, which takes a moment where recording a fleet takes seconds."""
    return PageOffice(tmp_path_factory.mktemp("small") / "office", devices=40)


@pytest.fixture
def own_office(small_office, tmp_path):
    """A small office of this test's own, which it may kill and change."""
    made = _copy(small_office, tmp_path / "office").start()
    yield made
    made.kill()


def _copy(office, folder):
    """Return another office with the same fleet in a new folder, on a port of its own."""
    assert office.process is None, "files of a running office are no copy of it"
    shutil.copytree(office.folder, folder)
    other = copy.copy(office)
    other.folder, other.port = folder, free_port(socket.SOCK_STREAM)
    other.url = f"http://127.0.0.1:{other.port}"
    config = folder / office.fleet.config.name
    before = f"port = {office.port}\n"
    assert config.read_text().count(before) == 1
    config.write_text(config.read_text().replace(before, f"port = {other.port}\n"))
    other.fleet = office.fleet._replace(config=config)
    return other


@pytest.fixture(scope="session")
def visits(browser, office):
    """Every kind of page, each visited once in a window that holds nothing yet: what it asked for, weighed, complained of."""
    return [visit(browser, office, path) for path in office.paths()]


@pytest.fixture(scope="session")
def axe():
    """Return axe-core's source, fetched once into build/."""
    if not _AXE.exists():
        if shutil.which("npm") is None:
            pytest.skip(f"axe-core is missing, and npm to fetch it: apt-get install npm && {_FETCH_AXE}")
        fetched = subprocess.run(
            _FETCH_AXE.split(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
        )
        if fetched.returncode or not _AXE.exists():
            pytest.skip(f"axe-core cannot be fetched: {_FETCH_AXE}: {fetched.stderr.strip()[-200:]}")
    return _AXE.read_text(encoding="utf-8")
