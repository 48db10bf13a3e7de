"""Makes what the suites start from: both images of the board, and the flash of a device that has never run.

python -m hil_tests.renode.prepare        files in build/renode, and the commands that use them
"""

import shutil
import sys
import tempfile
from pathlib import Path

from hil_tests.provisioned import lay_out_folder
from protocol.diagnostic import OK, DiagnosticError, show
from tools.device_types import ROOT
from tools.image.build import build_image
from tools.image.flashfile import make_flash

BOARD = "mps2_an385"
SUITES = ROOT / "hil_tests" / "renode"
SEED = bytes(range(32))
FOLDER = ROOT / "build" / "renode"


def make_start(folder: Path) -> None:
    """Make folder/firmware.elf, development.elf and flash.bin. Raises DiagnosticError."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(build_image(BOARD).elf, folder / "firmware.elf")
    shutil.copyfile(build_image(BOARD, development=True).elf, folder / "development.elf")
    with tempfile.TemporaryDirectory() as site:
        lay_out_folder(Path(site))
        make_flash(Path(site) / "device" / "device.toml", folder / "flash.bin", SEED)


def main() -> int:
    """Make them, print how to go on, and return the exit code."""
    try:
        make_start(FOLDER)
    except DiagnosticError as error:
        show(error.diagnostics)
        return error.exit_code
    suites = SUITES.relative_to(ROOT)
    print(f"Renode:  renode-test {suites}/*.robot")
    print(f"QEMU:    robot -A {suites}/qemu.args {suites}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
