"""The same sources give the same image, wherever it is built; and a production image holds no console for Python."""

import subprocess

from tools.image.build import build_image


def test_image_is_the_same_to_the_bit_from_another_folder(image, tmp_path):
    """Neither the build folder nor the moment is in it."""
    again = build_image(image.board, folder=tmp_path / "a folder of another length")

    assert again.sha256 == image.sha256
    assert (tmp_path / "a folder of another length" / "firmware.elf").read_bytes() == read(image.elf)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def symbols(image):
    said = subprocess.run(["arm-none-eabi-nm", image.elf], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in said.splitlines()}


def test_production_image_holds_no_python_console(image, development):
    """The linker has dropped it: there is nothing to be switched on again."""
    consoles = {"pyexec_raw_repl", "pyexec_friendly_repl"}

    assert consoles <= symbols(development)
    assert consoles & symbols(image) == set()


def test_production_image_is_frozen_without_what_only_hosts_run(image):
    """No name of a hosts-only module is in it, and none of the rule authoring."""
    content = read(image.elf)

    assert b"protocol/oscore.py" in content
    for name in (b"protocol/settings.py", b"protocol/diagnostic.py", b"rules/interpreter.py", b"authoring"):
        assert name not in content, name
