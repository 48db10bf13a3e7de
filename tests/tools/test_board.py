"""Boards are found, built for and written to as the commands say; without a board they say what is missing and what is next."""

import json
import os
import subprocess
import sys
import tty
from types import SimpleNamespace

import pytest

from protocol.diagnostic import FINDING, OK, UNREACHABLE, USAGE, DiagnosticError
from tests.boards.boots import make_config
from tools.board import find, flashing, setup, vendor
from tools.board.frozen import FrozenList, board_manifest
from tools.board.table import NAMES, SILICON
from tools.cli import run
from tools.device_types import ROOT, board_files, device_files

BOARDS = list(SILICON)


def port(device, vid, pid):
    return SimpleNamespace(device=device, vid=vid, pid=pid, description="a port")


PICO = port("/dev/ttyACM0", 0x2E8A, 0x0005)
S3 = port("/dev/ttyACM1", 0x303A, 0x1001)
BRIDGE = port("/dev/ttyUSB0", 0x10C4, 0xEA60)
MODEM = port("/dev/ttyS0", None, None)


@pytest.mark.parametrize(
    ("name", "ports", "found"),
    [
        ("rpi_pico_w", [MODEM, PICO, S3], "/dev/ttyACM0"),
        ("rpi_pico2_w", [PICO], "/dev/ttyACM0"),
        ("esp32_generic_s3", [PICO, S3], "/dev/ttyACM1"),
        ("esp32_generic", [S3, BRIDGE], "/dev/ttyUSB0"),
        (None, [MODEM, BRIDGE], "/dev/ttyUSB0"),
    ],
)
def test_board_is_found_by_its_usb_numbers(name, ports, found):
    """And a port that is named is taken as it is."""
    board = SILICON.get(name)

    assert find.find_port(board, None, ports) == found
    assert find.find_port(board, "socket://127.0.0.1:1", ports) == "socket://127.0.0.1:1"


def test_no_board_and_several_boards_are_told_apart():
    """One is connected, or named."""
    with pytest.raises(DiagnosticError) as none:
        find.find_port(SILICON["rpi_pico_w"], None, [MODEM, S3])
    with pytest.raises(DiagnosticError) as many:
        find.find_port(SILICON["esp32_generic_s3"], None, [S3, BRIDGE])

    assert (none.value.diagnostics[0].code, none.value.exit_code) == ("board-not-found", UNREACHABLE)
    assert (many.value.diagnostics[0].code, many.value.exit_code) == ("board-ambiguous", USAGE)
    assert "/dev/ttyACM1" in many.value.diagnostics[0].message


@pytest.mark.parametrize("name", BOARDS)
def test_image_freezes_what_the_board_runs(name):
    """Each module that its types are checked for, the whole agent, and no module twice."""
    frozen = FrozenList(board_manifest(name))
    needed = {path for path in device_files() if "/firmware/agent/" in path} | set(
        board_files(SILICON[name].folders)
    )
    needed |= {str(ROOT / "firmware" / part) for part in ("boot.py", "main.py")}

    assert needed <= {str(path) for path in frozen.modules.values()}
    assert len(set(frozen.modules.values())) == len(frozen.modules)
    assert frozen.modules["board_pins.py"].parent.name == name


def test_image_has_another_name_with_another_source(tmp_path):
    """What the board says of itself leads to the sources that were frozen."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "manifest.py").write_text('module("one.py", opt=1)\n')
        (tmp_path / place / "one.py").write_text(f"x = '{place}'\n")
    one, other = (FrozenList(tmp_path / place / "manifest.py").digest() for place in ("a", "b"))

    assert one != other
    assert one == FrozenList(tmp_path / "a" / "manifest.py").digest()


@pytest.mark.parametrize("name", BOARDS)
def test_build_writes_a_folder_that_the_toolchain_takes(name, tmp_path, capsys):
    """Manifest, settings, list of modules and the commands; nothing is run."""
    assert run(["device", "build", name, "--out", str(tmp_path), "--dry-run", "--json"]) == OK
    said = json.loads(capsys.readouterr().out)
    files = {path.name for path in tmp_path.iterdir()}

    assert {"manifest.py", "board_image.py", "frozen.txt", "mpconfigboard.cmake", "mpconfigboard.h"} <= files
    assert f'DIGEST = "{said["image"]}"' in (tmp_path / "board_image.py").read_text()
    assert len((tmp_path / "frozen.txt").read_text().splitlines()) == said["modules"]
    assert f"BOARD={name} BOARD_DIR={tmp_path}" in said["commands"][-1]
    frozen = FrozenList(tmp_path / "manifest.py")
    assert {"board_image.py", "board_main.py", "agent/app.py"} <= set(frozen.modules)
    if SILICON[name].port == "esp32":
        assert str(tmp_path / "partitions.csv") in (tmp_path / "sdkconfig.board").read_text()


def test_build_without_a_toolchain_names_all_that_is_missing(tmp_path, monkeypatch, capsys):
    """After it has written the folder and printed the commands."""
    monkeypatch.setattr(vendor.shutil, "which", lambda program: None)

    assert run(["device", "build", "esp32_generic_s3", "--out", str(tmp_path)]) == UNREACHABLE
    said = capsys.readouterr()
    assert "make -C micropython/ports/esp32 BOARD=esp32_generic_s3" in said.out
    for words in ("needs make", "needs cmake", "needs idf.py", "source is not named", "--source"):
        assert words in said.err


def test_build_runs_the_toolchain_where_all_is_here(tmp_path, monkeypatch, capsys):
    """In order, until one fails."""
    (tmp_path / "tree" / "ports" / "rp2").mkdir(parents=True)
    monkeypatch.setattr(vendor.shutil, "which", lambda program: f"/usr/bin/{program}")
    ran = []

    def note(words, **options):
        ran.append(words)
        return subprocess.CompletedProcess(words, 2 if "submodules" in words else 0)

    monkeypatch.setattr(vendor.subprocess, "run", note)
    words = [
        "device",
        "build",
        "rpi_pico_w",
        "--out",
        str(tmp_path / "out"),
        "--source",
        str(tmp_path / "tree"),
    ]

    assert run(words) == 1
    assert [words[2].rpartition("/")[2] for words in ran] == ["mpy-cross", "rp2"]
    assert "board-build-failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("esp32_generic", ["--chip", "esp32", "--port", "PORT", "write_flash", "0x1000"]),
        ("esp32_generic_s3", ["--chip", "esp32s3", "--port", "PORT", "write_flash", "0x0"]),
        ("rpi_pico_w", ["picotool", "load", "--verify"]),
        ("rpi_pico2_w", ["firmware.uf2"]),
    ],
)
def test_dry_run_of_flash_says_what_would_be_run(name, words, capsys):
    """Without a board, an image or the vendor's tool."""
    assert run(["device", "flash", name, "--dry-run"]) == OK
    said = capsys.readouterr().out

    assert all(word in said for word in words)
    assert f"build/board/{name}/build/" in said


def test_flash_without_an_image_or_a_board_says_what_is_next(tmp_path, monkeypatch, capsys):
    """Build it, connect it, install the tool: one after the other."""
    monkeypatch.setattr(find, "_ports", list)
    assert run(["device", "flash", "esp32_generic", "--image", str(tmp_path / "none")]) == USAGE
    assert "outstation device build" in capsys.readouterr().err

    image = tmp_path / "firmware.bin"
    image.write_bytes(b"image")
    assert run(["device", "flash", "esp32_generic", "--image", str(image)]) == UNREACHABLE
    assert "no ESP32 is connected" in capsys.readouterr().err

    monkeypatch.setattr(flashing, "find_spec", lambda name: None)
    assert run(["device", "flash", "esp32_generic", "--image", str(image), "--port", "/dev/x"]) == UNREACHABLE
    assert "pip install esptool" in capsys.readouterr().err


def test_flash_of_an_rp2_takes_its_drive(tmp_path, monkeypatch, capsys):
    """An RP2 that waits for an image shows a drive; copying is all."""
    drive = tmp_path / "media" / "RPI-RP2"
    drive.mkdir(parents=True)
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader")
    image = tmp_path / "firmware.uf2"
    image.write_bytes(b"image")
    monkeypatch.setattr(flashing, "find_drive", lambda: find.find_drive([str(tmp_path / "media" / "*")]))

    assert run(["device", "flash", "rpi_pico_w", "--image", str(image)]) == OK
    assert (drive / "firmware.uf2").read_bytes() == b"image"

    monkeypatch.setattr(flashing, "find_drive", lambda: None)
    monkeypatch.setattr(flashing.shutil, "which", lambda program: None)
    assert run(["device", "flash", "rpi_pico_w", "--image", str(image)]) == UNREACHABLE
    assert "BOOTSEL" in capsys.readouterr().err


# In place of esptool: brings the image over the port that it was told, as long as nobody says otherwise.
_ESPTOOL = """
import os, sys
words = sys.argv[1:]
port = os.open(words[words.index("--port") + 1], os.O_RDWR | os.O_NOCTTY)
at = words.index("write_flash")
with open(words[at + 2], "rb") as image:
    os.write(port, words[at + 1].encode() + b" " + image.read())
sys.exit(2 if os.environ.get("REFUSES") else 0)
"""


def test_flash_of_an_esp32_brings_the_image_over_its_port(tmp_path, monkeypatch, capsys):
    """The program that writes it gets the port, the place and the image; where it fails, the command says so and ends with its own code."""
    (tmp_path / "esptool").mkdir()
    (tmp_path / "esptool" / "__init__.py").touch()
    (tmp_path / "esptool" / "__main__.py").write_text(_ESPTOOL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    image = tmp_path / "firmware.bin"
    image.write_bytes(b"an image")
    board, port = os.openpty()
    tty.setraw(port)
    words = ["device", "flash", "esp32_generic_s3", "--image", str(image), "--port", os.ttyname(port)]
    try:
        assert run(words) == OK
        assert os.read(board, 100) == b"0x0 an image"
        assert "next: outstation device provision esp32_generic_s3" in capsys.readouterr().out

        monkeypatch.setenv("REFUSES", "1")
        assert run(words) == FINDING
        assert "board-refused" in capsys.readouterr().err
    finally:
        os.close(board)
        os.close(port)


def test_board_that_is_not_there_is_refused_with_those_that_are(capsys):
    """Each command of a board says the same."""
    for command in ("build", "flash", "provision"):
        assert run(["device", command, "rpi_pico_ww"]) == USAGE
        assert "did you mean rpi_pico_w?" in capsys.readouterr().err
        assert run(["device", command, "zzz"]) == USAGE
        said = capsys.readouterr().err
        assert all(name in said for name in NAMES)


@pytest.mark.parametrize("board", ["rpi_pico2_w", "mps2_an385"])
def test_device_that_the_office_knows_as_another_board_is_refused(tmp_path, capsys, board):
    """The office would offer it releases that this board refuses, and none that it takes."""
    config = make_config(tmp_path, hardware="rpi_pico_w")
    words = ["device", "provision", board, "--config", str(config), "--flash-file", str(tmp_path / "new.bin")]

    assert run(words) == USAGE
    assert f"--hardware {board}" in capsys.readouterr().err
    assert not (tmp_path / "new.bin").exists()


def test_dry_run_of_provisioning_tells_no_secret(tmp_path, capsys):
    """Neither keys, link secret nor the network's, but what would happen."""
    config = make_config(tmp_path)
    assert run(["device", "provision", "rpi_pico_w", "--config", str(config), "--dry-run"]) == OK
    said = capsys.readouterr().out
    secret = (config.parent / "link.toml").read_text().split('"')[3]

    assert run(["device", "provision", "rpi_pico_w", "--config", str(config), "--dry-run", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["written"] is False
    assert "erase 52 sectors" in said
    assert "device.json" in said
    assert secret not in said
    assert "a long secret" not in said


def test_no_secret_is_a_word_of_a_command_line(tmp_path):
    """Everybody on a machine may read the words of all its processes. The files are their owner's alone."""
    config = make_config(tmp_path / "site")
    plan = setup.plan_setup(config, SILICON["rpi_pico_w"], False)
    (tmp_path / "programs").mkdir()
    paths = setup.write_programs(plan, tmp_path / "programs")
    words = setup.mpremote_words("/dev/ttyACM0", paths)
    secret = (config.parent / "link.toml").read_text().split('"')[3]

    assert words[:5] == [sys.executable, "-m", "mpremote", "connect", "/dev/ttyACM0"]
    assert set(words[5:]) == {"+", "run", *map(str, paths)}
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert (tmp_path / "programs").stat().st_mode & 0o777 == 0o700
    assert secret.encode().hex() in "".join(plan.programs)
    assert max(map(len, plan.programs)) < 4096


def test_provisioning_without_mpremote_or_a_board_says_what_is_next(tmp_path, monkeypatch, capsys):
    """Connect it; install what is missing."""
    config = make_config(tmp_path)
    words = ["device", "provision", "rpi_pico_w", "--config", str(config)]
    monkeypatch.setattr(find, "_ports", list)
    assert run(words) == UNREACHABLE
    assert "no Pico W (RP2040) is connected" in capsys.readouterr().err

    monkeypatch.setattr(setup, "find_spec", lambda name: None)
    assert run([*words, "--port", "/dev/x"]) == UNREACHABLE
    assert "outstation[board]" in capsys.readouterr().err


def test_flash_of_the_emulated_board_is_a_file_that_is_not_written_over(tmp_path, capsys):
    """The keys in it would be gone."""
    config = make_config(tmp_path, hardware="mps2_an385")
    words = ["device", "provision", "mps2_an385", "--config", str(config)]
    file = tmp_path / "flash.bin"
    assert run(words) == USAGE
    assert run([*words, "--flash-file", str(file)]) == OK
    kept = file.read_bytes()
    assert run([*words, "--flash-file", str(file)]) == USAGE
    assert file.read_bytes() == kept
    assert run([*words, "--flash-file", str(file), "--replace"]) == OK

    assert kept[:4096] == (config.parent / "flash.bin").read_bytes()[:4096]
    assert run(["device", "flash", "mps2_an385"]) == USAGE
    assert "--flash-file" in capsys.readouterr().err
