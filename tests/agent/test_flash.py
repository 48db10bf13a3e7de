"""Promises of firmware/agent/flash.py: raw NOR flash with power that fails."""

import subprocess
import sys

import pytest

from agent.flash import MODES, SECTOR_BYTES, FileFlash, PowerCut, RamFlash, create_image
from agent.image import fit_image, image_fault
from agent.layout import window_sectors
from agent.slots import Slots
from tests.agent import power_cuts
from tools.upy import ROOT, micropython_command, micropython_environment

_DIE = """
import sys
from agent.flash import FileFlash
from agent.halt import POWER_CUT, halt
flash = FileFlash(sys.argv[1], 2, on_cut=lambda: halt(POWER_CUT, flash))
flash.cut_after(1, "torn")
flash.program(0, bytes(256))
try:
    flash.program(256, bytes(256))
finally:
    flash.program(512, bytes(256))
"""


def test_programming_only_clears_bits_and_erasing_sets_a_sectors():
    """Bytes become old AND new; an erase reaches to the ends of its sector and no further."""
    assert power_cuts.check_flash() == 2


@pytest.mark.parametrize(
    "offset, size", [(1, 256), (0, 255), (0, 0), (-256, 256), (8192, 256), (8192 - 256, 512)]
)
def test_access_outside_the_window_or_off_its_pages_is_refused(offset, size):
    """Only whole pages within the window are programmed."""
    with pytest.raises(ValueError, match="flash access"):
        RamFlash(2).program(offset, bytes(size))


def test_counters_say_what_the_flash_did():
    """Erases and programmed bytes are counted, cut ones are not."""
    flash = RamFlash(2)
    flash.program(0, bytes(512))
    flash.erase(1)
    flash.cut_after(0)
    with pytest.raises(PowerCut):
        flash.erase(0)

    assert (flash.programmed, flash.erases, flash.operations) == (512, 1, 2)


@pytest.mark.parametrize("mode", MODES)
def test_cut_does_a_part_of_the_operation_and_then_nothing_more(mode):
    """What a cut leaves lies between before and after; without power nothing answers."""
    flash = RamFlash(2)
    flash.cut_after(1, mode, seed=5)
    flash.program(0, bytes(256))
    with pytest.raises(PowerCut):
        flash.program(256, bytes(256))
    with pytest.raises(PowerCut):
        flash.read(0, 1)

    part = bytes(flash.image[256:512])
    assert part != bytes(256)
    assert (part == b"\xff" * 256) == (mode == "clean")
    assert bytes(flash.image[512:]) == b"\xff" * (2 * SECTOR_BYTES - 512)


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_process_that_loses_power_leaves_its_flash_as_the_cut_left_it(tmp_path, runtime):
    """The process ends with exit code 70, and not even a `finally` block changes the image any more."""
    image = str(tmp_path / "flash.bin")
    create_image(image, 2)
    command = [sys.executable] if runtime == "cpython" else micropython_command()
    environment = micropython_environment() | {"PYTHONPATH": f"{ROOT}:{ROOT}/firmware"}
    done = subprocess.run([*command, "-c", _DIE, image], env=environment, capture_output=True, check=False)

    kept = FileFlash(image, 2)
    assert done.returncode == 70, done.stderr
    assert kept.read(0, 256) == bytes(256)
    assert kept.read(256, 256) not in (bytes(256), b"\xff" * 256)
    assert kept.read(512, 256) == b"\xff" * 256
    kept.close()


def test_image_shorter_than_its_window_is_refused(tmp_path):
    """A window never reaches beyond its file."""
    create_image(str(tmp_path / "flash.bin"), 2)

    with pytest.raises(ValueError, match="3 sectors need 12288"):
        FileFlash(str(tmp_path / "flash.bin"), 3)


def _use_a_slot(path, sectors):
    flash = FileFlash(path, sectors)
    Slots(flash).begin(1, 7, bytes(8))
    flash.close()


@pytest.mark.parametrize("sectors", [11, 13, 20, 44, 45, 100])
def test_image_whose_slots_were_used_is_refused_by_any_other_number_of_sectors(tmp_path, sectors):
    """Also by the one that would take the slots for an end of the journal, and nothing of the file is changed."""
    image = tmp_path / "flash.bin"
    create_image(str(image), window_sectors(12))
    _use_a_slot(str(image), window_sectors(12))
    before = image.read_bytes()

    fault = image_fault(str(image), sectors) or ""
    assert fault.startswith(
        f"flash_sectors = {sectors} needs {window_sectors(sectors)} sectors of 4096 bytes"
    )
    assert fault.endswith("flash.bin has 48, as flash_sectors = 12 made it")
    with pytest.raises(ValueError, match="has 48"):
        fit_image(str(image), sectors)
    assert image.read_bytes() == before
    assert fit_image(str(image), 12) == 48


@pytest.mark.parametrize(
    ("held", "fits"), [(15, False), (16, True), (17, True), (47, True), (48, True), (49, False)]
)
def test_image_without_slots_grows_by_them_alone(tmp_path, held, fits):
    """From before there were any, or half grown; one that lacks a sector of the journal, or has one too many, is refused."""
    image = tmp_path / "flash.bin"
    create_image(str(image), held)

    if fits:
        assert fit_image(str(image), 12) == 48
    else:
        with pytest.raises(ValueError, match=f"needs 48 sectors .*has {held}"):
            fit_image(str(image), 12)
    assert image.stat().st_size == 4096 * (48 if fits else held)


def test_file_that_is_not_whole_sectors_is_no_flash_image(tmp_path):
    """Its size is named."""
    (tmp_path / "flash.bin").write_bytes(bytes(48 * 4096 + 1))

    with pytest.raises(ValueError, match="has 196609 bytes, not whole sectors of 4096"):
        fit_image(str(tmp_path / "flash.bin"), 12)
