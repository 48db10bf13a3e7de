"""What the build of an image needs is named, what it freezes is what the agent imports, and flash files are as the board reads them."""

import ast
import re
import shutil
import struct
from pathlib import Path

import pytest

from protocol.diagnostic import UNREACHABLE, USAGE, DiagnosticError
from tools.device_types import ROOT, device_files
from tools.image import build, make, needs, source
from tools.image.control import MODES, Control
from tools.image.flashfile import CONTROL_OFFSET, FLASH_FILE_BYTES, SETTINGS_OFFSET, control_page, write_flash
from tools.image.romfs import make_romfs

BOARD = ROOT / "firmware" / "boards" / "mps2_an385"


def frozen(manifest="firmware/manifest.py"):
    """Return the modules that the manifest names, as dotted names, and the agent's."""
    text = (ROOT / manifest).read_text()
    lists = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            lists[node.targets[0].id] = node.value.value.split()
    shared = [f"{package}.{name}" for package in ("protocol", "rules") for name in lists[package.upper()]]
    agent = [dotted(Path(path)) for path in device_files() if "/firmware/agent/" in path]
    return {name.removesuffix(".__init__") for name in [*shared, *agent]}


def dotted(path):
    return ".".join(path.relative_to(ROOT / "firmware").with_suffix("").parts).removesuffix(".__init__")


def file_of(module):
    for place in (ROOT / "firmware", ROOT, BOARD):
        for path in (
            place / f"{module.replace('.', '/')}.py",
            place / module.replace(".", "/") / "__init__.py",
        ):
            if path.is_file():
                return path
    return None


def imports(module, seen):
    """Add to seen all modules of ours that a module imports, those that they import too."""
    path = file_of(module)
    if path is None or module in seen:
        return seen
    seen.add(module)
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            imports(name, seen)
    return seen


def test_image_freezes_what_the_agent_imports_and_nothing_else():
    """A module that is missing would be found on the board alone; one too many would cost its memory."""
    # Links that this board has not belong to every agent: one that a release brings imports them of the image.
    needed = imports("board_main", set()) | imports("agent.links.ble", set())
    # A board that is to be reached by radio may have no keys yet; this one always has.
    needed |= imports("agent.newcomer", set())
    shared = {name for name in needed if name.split(".")[0] in ("protocol", "rules")}

    assert {name for name in frozen() if not name.startswith("agent")} == shared
    assert {name for name in needed if name.startswith("agent")} <= frozen()


def test_image_freezes_nothing_that_only_hosts_run():
    """The manifest's lists are part of what tools.device_types calls device files."""
    device = {str(Path(path).relative_to(ROOT)) for path in device_files()}
    named = {file_of(name) for name in frozen()}

    assert {str(path.relative_to(ROOT)) for path in named} <= device


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    """Whoever lacks a compiler or an emulator reads one line and goes on."""
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(DiagnosticError) as raised:
        build.build_image("mps2_an385")

    assert raised.value.exit_code == UNREACHABLE
    assert raised.value.diagnostics[0].fix == (
        "sudo apt-get install build-essential dpkg-dev gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )
    assert needs.missing_packages(needs.RUN) == ["qemu-system-arm"]


def test_board_that_is_not_there_is_refused_with_those_that_are():
    """A typing mistake costs no build."""
    with pytest.raises(DiagnosticError) as raised:
        build.build_image("mps2_an38")

    assert raised.value.exit_code == USAGE
    assert "mps2_an385" in raised.value.diagnostics[0].fix


def test_newest_source_of_the_line_is_chosen_by_number():
    """1.26.1 comes before 1.25.10, and neither 1.3x nor 2.x is taken unasked."""
    listed = "".join(
        f"Package: micropython\nVersion: {version}\n\n"
        for version in ("1.22.1+ds-1", "1.25.10+ds-1", "1.26.1+ds-1", "1.30.0-1", "2.0-1")
    )

    assert source._newest(listed) == "1.26.1+ds-1"


def test_mirror_is_the_one_that_the_machine_has(monkeypatch):
    """Debian's own suite is taken, not that of its updates or its security fixes, and no other origin."""
    lines = (
        "Other|Other|stable|http://other.invalid/",
        "Debian|Debian-Security|bookworm-security|http://mirror.invalid/security/",
        "Debian|Debian|bookworm-updates|http://mirror.invalid/updates/",
        "Debian|Debian|bookworm|http://mirror.invalid/debian/",
    )
    monkeypatch.setattr(source, "_run", lambda words, folder: "\n".join(lines))

    assert source._mirror() == "http://mirror.invalid/debian/"


def test_machine_without_a_mirror_is_told_what_to_do(monkeypatch):
    """There is a way without Debian: a source tree of one's own."""
    monkeypatch.setattr(source, "_run", lambda words, folder: "")
    with pytest.raises(DiagnosticError, match="--source"):
        source._mirror()


def test_paths_with_blanks_are_given_to_make_without(tmp_path):
    """make cannot name a file with a blank in it; the links are gone afterwards."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    with make.without_blanks(folder, tmp_path) as (one, other):
        assert " " not in f"{one}{other}"
        assert (one / "file").read_text() == "x"

    assert not one.exists()


FILES = {
    "device.json": b"{}",
    "empty": b"",
    "protocol/vectors/coap.json": bytes(range(256)) * 300,
    "protocol/a.py": b"x = 1\n",
    "z": b"1",
}


def test_romfs_reads_back_as_it_was_written():
    """By a reader of the format that knows nothing of the writer: varuints, records, names."""
    assert read_romfs(make_romfs(FILES)) == FILES


def test_romfs_has_an_even_length_and_one_form():
    """As the format asks; and the order in which files were named changes nothing."""
    for length in range(1, 300):
        assert len(make_romfs({"f": b"x" * length})) % 2 == 0

    assert make_romfs(FILES) == make_romfs(dict(reversed(FILES.items())))


def read_romfs(image):
    kind, at = number(image, 0)
    size, at = number(image, at)
    assert (kind, at + size) == (0x14A6B1, len(image))
    return dict(entries(image, at, len(image), ""))


def number(image, at):
    value = 0
    while True:
        value = value << 7 | image[at] & 127
        at += 1
        if not image[at - 1] & 128:
            return value, at


def entries(image, at, end, folder):
    while at < end:
        kind, at = number(image, at)
        size, at = number(image, at)
        stop = at + size
        length, at = number(image, at)
        name = folder + image[at : at + length].decode()
        at += length
        if kind == 4:
            yield from entries(image, at, stop, name + "/")
        else:
            assert kind == 5
            inner, at = number(image, at)
            size, at = number(image, at)
            assert (inner, at + size) == (2, stop)
            yield name, image[at:stop]
        at = stop


def test_flash_file_holds_window_settings_and_control_page(tmp_path):
    """Each at the place where the board looks for it, and readable by its owner alone."""
    path = tmp_path / "flash.bin"
    write_flash(path, b"\x55" * 8192, FILES, bytes(range(32)))
    whole = path.read_bytes()

    assert (len(whole), path.stat().st_mode & 0o777) == (FLASH_FILE_BYTES, 0o600)
    assert whole[:8193] == b"\x55" * 8192 + b"\xff"
    assert whole[SETTINGS_OFFSET:].startswith(make_romfs(FILES))
    assert whole[CONTROL_OFFSET:] == control_page(bytes(range(32)))
    assert whole[CONTROL_OFFSET:][8:12] == b"\xff" * 4
    assert whole[CONTROL_OFFSET:][48:80] == bytes(range(32))


def test_flash_file_that_does_not_fit_is_refused_before_it_is_written(tmp_path):
    """Settings never grow into what lies behind them."""
    path = tmp_path / "flash.bin"
    with pytest.raises(DiagnosticError):
        write_flash(path, b"", {"recording.csv": bytes(4 << 20)})

    assert not path.exists()


def test_control_page_has_the_fields_of_the_boards_header():
    """The words that the harness writes are those that the board reads, in the same order."""
    header = (BOARD / "board" / "board.h").read_text()
    body = re.search(r"typedef struct \{(.*?)\} control_page_t;", header, re.DOTALL)[1]
    names = re.findall(r"uint32_t (\w+);", body)

    assert names[:6] == ["magic", "version", "cut_left", "cut_mode", "cut_action", "cut_seed"]
    counted = ["programs", "erases", "programmed", "violations", "boots", "cuts"]
    assert names[6:] == [*counted, "heap_bytes", "heap_failures", "cut_place", "is_held"]
    magic = int(re.search(r"CONTROL_MAGIC \(0x([0-9a-f]+)\)", header)[1], 16)
    assert control_page(bytes(32))[:4] == struct.pack("<I", magic)


@pytest.mark.parametrize("mode", MODES)
def test_ordered_cut_stands_on_the_page(tmp_path, mode):
    """Mode, action and seed are there before the word that arms it."""
    path = tmp_path / "flash.bin"
    write_flash(path, b"", {}, bytes(32))
    with Control(path) as control:
        assert control.cut_left() is None
        control.cut_after(7, mode, seed=3, programs_only=True, action="hang")

        words = struct.unpack_from("<4I", path.read_bytes(), CONTROL_OFFSET + 8)
        assert words == (7, 0x100 | MODES.index(mode), 2, 3 * 2654435761 % 2**32)
        assert control.cut_left() == 7
        assert set(control.counts()) == {0}
