"""The image says what it is, its console takes no Python, and nothing on flash replaces what is frozen."""

import re
from dataclasses import asdict

from hil_tests.qemu import Repl
from tools.image.flashfile import device_files, write_flash

VERSION = r"outstation device on mps2_an385: protocol \d+, rules \d+, MicroPython (\S+), image ([0-9a-f]{16})"
PLANTED = b"print('PLANTED')\n"
NAMES = ("boot.py", "main.py", "board_main.py", "agent/app.py", "protocol/__init__.py", "asyncio/__init__.py")


def test_board_says_at_boot_what_runs_on_it(image, start, blank_flash, figures):
    """The version line names the very image that was built, by its digest."""
    board = start(image, blank_flash)
    said = board.wait_for(VERSION)
    heap = board.wait_for(r"reset cause 0, (\d+) bytes of heap free")

    figures["image"] = {**asdict(image), "elf": None}
    figures["heap_free_at_start_bytes"] = int(heap[1])
    assert said[2] == image.sha256[:16]
    assert image.micropython.startswith(said[1])


def test_board_that_nobody_provisioned_says_so(image, start, blank_flash):
    """No settings are no reason to make some up."""
    board = start(image, blank_flash)

    assert board.wait_for(r"not provisioned: .*")


def test_agent_runs_on_the_board(image, start, device_flash, figures):
    """A provisioned board opens its journal and begins."""
    board = start(image, device_flash)
    said = board.wait_for(r"device ([0-9a-f]{16}) runs, boot (\d+), (\d+) bytes of heap free")

    figures["heap_free_running_bytes"] = int(said[3])
    assert said[2] == "1"


def test_console_of_a_production_image_takes_no_python(image, start, device_flash):
    """Neither an interrupt nor the keys of any mode of the REPL make it answer."""
    board = start(image, device_flash)
    board.wait_for("runs, boot 1")
    for keys in (
        b"\x03\x03",
        b"\r\nprint(6*7)\r\n",
        b"\x01print(6*7)\x04",
        b"\x05print(6*7)\x04",
        b"\x02",
        b"\x04",
    ):
        board.type(keys)
    seen = board.quiet(2.0)

    assert "42" not in seen and ">>>" not in seen and "REPL" not in seen
    assert "KeyboardInterrupt" not in board.said


def test_console_of_a_development_image_takes_python(development, start, blank_flash):
    """What the production image refuses is there to be refused."""
    assert Repl(start(development, blank_flash)).run("print(6*7)") == "42\r\n"


def test_files_on_flash_never_replace_frozen_code(image, start, device_flash, site_folder, tmp_path):
    """Files with the names of boot, main and our modules lie on the board's filesystem, and none of them runs."""
    from tools.device import read_device

    items = read_device(site_folder / "device" / "device.toml")
    planted = dict.fromkeys(NAMES, PLANTED)
    path = tmp_path / "planted.bin"
    write_flash(path, device_flash.read_bytes()[: 1 << 20], {**device_files(items), **planted})
    board = start(image, path)
    board.wait_for("runs, boot 1")

    assert "PLANTED" not in board.said + board.quiet(1.0)


def test_import_path_holds_frozen_modules_alone(development, start, tmp_path):
    """A module in the current folder is not found, although it would be the first one that MicroPython takes without boot.py."""
    path = tmp_path / "planted.bin"
    write_flash(path, b"", {"protocol/__init__.py": PLANTED, "planted.py": PLANTED})
    repl = Repl(start(development, path))
    mount = "import vfs, nor, os, sys\nvfs.mount(vfs.VfsRom(nor.view(8 << 20, 4 << 20)), '/rom')\nos.chdir('/rom')\n"
    attempt = (
        "try:\n import planted\nexcept ImportError:\n print('not found')\nimport protocol\nprint(sys.path)\n"
    )

    assert repl.run(mount + attempt) == "not found\r\n['.frozen']\r\n"
    # The attack is a real one: with the path that MicroPython starts with, both files run.
    undone = "sys.path[:] = ['', '.frozen']\nsys.modules.pop('protocol')\nimport planted, protocol\n"
    assert re.findall("PLANTED", repl.run(undone)) == ["PLANTED", "PLANTED"]
