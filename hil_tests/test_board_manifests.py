"""MicroPython's own build takes the manifests of boards of silicon, and freezes what `device build` says that it freezes.

As far as that goes without a vendor's toolchain: every module is compiled by mpy-cross and becomes C.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.board.frozen import FrozenList
from tools.board.table import SILICON
from tools.board.vendor import write_folder
from tools.image.source import fetch_source
from tools.recordings import cache_folder

# Stands in for micropython-lib, which Debian's source of MicroPython lacks.
_ONEWIRE = {"manifest.py": 'module("onewire.py")\n', "onewire.py": "class OneWire:\n    pass\n"}


@pytest.mark.parametrize("name", SILICON)
def test_micropython_freezes_what_the_list_says(name, image, tmp_path, figures):
    """The same modules by its own tool as by our reading of the manifests, and all of them compile."""
    board = SILICON[name]
    source = fetch_source(cache_folder() / "micropython").folder
    library = tmp_path / "lib" / "micropython" / "drivers" / "bus" / "onewire"
    library.mkdir(parents=True)
    for file, text in _ONEWIRE.items():
        (library / file).write_text(text)
    folder = tmp_path / "out"
    write_folder(board, folder, source)
    objects = tmp_path / "objects"
    shutil.copytree(Path(image.elf).parent / "objects" / "genhdr", objects / "genhdr")
    words = [sys.executable, str(source / "tools" / "makemanifest.py"), "-o", str(objects / "frozen.c")]
    places = {"MPY_DIR": source, "PORT_DIR": source / "ports" / board.port, "MPY_LIB_DIR": tmp_path / "lib"}
    words += [
        "-b",
        str(objects),
        *(word for key, value in places.items() for word in ("-v", f"{key}={value}")),
    ]
    result = subprocess.run(
        [*words, str(folder / "manifest.py")], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    made = {
        str(path.relative_to(objects / "frozen_mpy").with_suffix(".py"))
        for path in (objects / "frozen_mpy").rglob("*.mpy")
    }
    ours = set(FrozenList(folder / "manifest.py").modules)
    theirs = {
        other.rpartition("/")[2] for other in FrozenList(folder / "manifest.py").others if "modules/" in other
    }
    assert ours <= made
    # What MicroPython's own manifest of asyncio brings.
    rest = {path for path in made - ours if not path.startswith("asyncio/")} - {"uasyncio.py"}
    assert rest == theirs | {"onewire.py"}
    size = sum(path.stat().st_size for path in (objects / "frozen_mpy").rglob("*.mpy"))
    figures["frozen_bytes_of_boards"] = {name: size}
