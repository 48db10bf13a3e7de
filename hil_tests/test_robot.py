"""The Robot suites: each one over QEMU, and under Renode's own tester where there is one; and each fails where it must."""

import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from hil_tests.renode.prepare import SUITES
from tools.device_types import ROOT

# Renode's own time-outs are of its virtual clock: a board that hangs would hold the run for ever.
LIMIT_S = 100
NAMES = sorted(path.stem for path in SUITES.glob("*.robot"))
# What Renode's tester offers, version 1.15: Send Key To Uart takes the keys that no XML carries as characters.
TESTER = {
    *("setup", "teardown", "test teardown", "create terminal tester", "wait for line on uart"),
    *("wait for next line on uart", "wait for prompt on uart", "should not be on uart", "write line to uart"),
    *("write char on uart", "send key to uart", "test if uart is idle", "execute command", "execute script"),
    *("start emulation", "reset emulation"),
}


@pytest.fixture
def qemu(tmp_path):
    """Run a suite over QEMU: qemu(suite, ..., ELF=file) gives name of a test -> None or why it failed."""
    pytest.importorskip("robot", reason="robotframework is missing: .venv/bin/pip install -e '.[dev]'")

    def run(suite, *more, **files):
        chosen = ["-A", str(SUITES / "qemu.args"), "--outputdir", str(tmp_path), *variables(**files)]
        run_tester([sys.executable, "-m", "robot", *chosen, *more, str(suite)])
        return outcomes(tmp_path / "output.xml")

    return run


def variables(**files):
    """Return the words that say which files a suite takes, for either tester."""
    return [word for name, file in files.items() for word in ("--variable", f"{name}:{file}")]


def run_tester(words):
    """Run words in the checkout, for so long at most; what they say goes to the report of a test that fails."""
    return subprocess.run(
        ["timeout", "--kill-after=10", str(LIMIT_S), *words], cwd=ROOT, check=False
    ).returncode


def outcomes(path):
    """Return name -> None, or the message of its failure, of the tests in a result of Robot's."""
    found = {}
    for test in ET.parse(path).iter("test"):
        status = test.find("status")
        found[test.get("name")] = None if status.get("status") == "PASS" else status.text or "no message"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_suite_passes_over_qemu(image, development, device_flash, qemu, name):
    """Every test of it, the suite as it is."""
    files = {"ELF": image.elf, "DEVELOPMENT": development.elf, "FLASH": device_flash}
    found = qemu(SUITES / f"{name}.robot", **files)

    assert found and set(found.values()) == {None}, found


@pytest.mark.parametrize("name", NAMES)
def test_suite_passes_under_renode(image, development, device_flash, name, tmp_path):
    """The same file, over the other emulator."""
    if shutil.which("renode-test") is None:
        pytest.skip("renode-test is not installed: see docs/operating/renode.md")
    files = variables(ELF=image.elf, DEVELOPMENT=development.elf, FLASH=device_flash)

    assert run_tester(["renode-test", "-r", str(tmp_path), *files, str(SUITES / f"{name}.robot")]) == 0


def test_suite_notices_a_console_that_takes_python(development, device_flash, qemu):
    """The development image, whose console is open, fails the suite about production images, and for that reason."""
    files = {"ELF": development.elf, "FLASH": device_flash}
    found = qemu(SUITES / "production.robot", "--test", "*While The Board Starts", **files)

    assert len(found) == 1
    assert re.search(r"Unexpected entry has been found on UART: .*(>>>|42)", next(iter(found.values())) or "")


def test_suites_notice_a_board_without_settings(image, blank_flash, qemu):
    """No agent runs on it, and its line says so in the report."""
    more = ("--test", "Agent Runs*", "--variable", "SECONDS:3")
    found = qemu(SUITES / "boot.robot", *more, ELF=image.elf, FLASH=blank_flash)

    assert "not provisioned" in (found["Agent Runs And Counts Its Boot"] or "")


def test_suites_notice_flash_that_is_lost_with_power(image, device_flash, qemu, tmp_path):
    """A machine whose flash is made anew with each start is no board, and the suite about power says so."""
    listener = tmp_path / "forgetful.py"
    listener.write_text(
        "import shutil\n"
        "from hil_tests.renode.keywords import Keywords\n"
        "ROBOT_LISTENER_API_VERSION = 3\n"
        "power_on = Keywords._power_on\n"
        "def forget(self):\n"
        "    shutil.copyfile(self._variables['flash'], self._flash)\n"
        "    power_on(self)\n"
        "Keywords._power_on = forget\n"
    )
    more = ("--test", "Loss Of Power*", "--variable", "SECONDS:5", "--listener", str(listener))
    found = qemu(SUITES / "power.robot", *more, ELF=image.elf, FLASH=device_flash)

    assert "runs, boot 1," in (found["Loss Of Power Keeps Flash"] or "")
    assert "no 'runs, boot 2,'" in (found["Loss Of Power Keeps Flash"] or "")


def test_library_has_no_keyword_that_the_tester_lacks():
    """What a suite may say is what both know."""
    pytest.importorskip("robot", reason="robotframework is missing: .venv/bin/pip install -e '.[dev]'")
    from hil_tests.renode.keywords import Keywords

    names = {
        name.replace("_", " ") for name in dir(Keywords) if hasattr(getattr(Keywords, name), "robot_name")
    }

    assert names == TESTER


def test_dry_run_finds_a_word_that_nobody_knows(tmp_path):
    """The step of `make check` is no formality."""
    from tools.check import robot_words

    shutil.copytree(SUITES, tmp_path / "suites")
    words = [*robot_words()[:-1], str(tmp_path / "suites")]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0
    with (tmp_path / "suites" / "boot.robot").open("a") as file:
        file.write("    Wait For Miracle On Uart\n")
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert said.returncode == 1 and "No keyword with name 'Wait For Miracle On Uart'" in said.stdout
