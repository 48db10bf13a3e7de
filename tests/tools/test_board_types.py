"""What runs on a board of silicon is checked against that board's stubs, each in a folder of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.board.stubs import StubsMissing, fetch_stubs
from tools.board.table import SILICON
from tools.check import BUILD
from tools.device_types import ROOT, board_files, board_typeshed, desk_files, device_files, mypy_command

# A call that one port has and the other has not.
OWN = {
    "esp32": "from esp32 import Partition\nPartition.find(Partition.TYPE_DATA)\n",
    "rp2": "import rp2\nrp2.Flash(start=0, len=4096)\n",
}


@pytest.mark.parametrize("name", ["esp32_generic_s3", "rpi_pico_w"])
def test_call_of_another_port_is_an_error(name, tmp_path):
    """The stubs are the board's: its own module is known, the other port's is not."""
    board = SILICON[name]
    try:
        stubs = fetch_stubs(board, BUILD / "stubs")
    except StubsMissing as error:
        pytest.skip(str(error))
    typeshed = board_typeshed(tmp_path / "stubs", stubs, name)
    for port, source in OWN.items():
        (tmp_path / "planted.py").write_text(source)
        words = mypy_command([str(tmp_path / "planted.py")], typeshed, tmp_path / "cache")
        environment = {**os.environ, "MYPYPATH": str(ROOT)}
        result = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

        assert (result.returncode == 0) == (port == board.port), result.stdout


def test_every_device_file_is_checked_once_at_least():
    """By the unix port's stubs, or by those of the board that it is for."""
    checked = set(desk_files())
    for board in SILICON.values():
        checked |= set(board_files(board.folders))

    assert checked == set(device_files())


def test_module_of_two_boards_is_the_boards_own():
    """The Pico 2 W takes what the Pico W has, but for its pins."""
    files = {Path(path).name: Path(path).parent.name for path in board_files(("rpi_pico2_w", "rpi_pico_w"))}

    assert files["board_pins.py"] == "rpi_pico2_w"
    assert files["board_flash.py"] == "rpi_pico_w"
    assert files["board_main.py"] == "wireless"
