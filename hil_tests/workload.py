"""Runs a script of hil_tests/workloads on the development image, in time that is counted in instructions, and reads what it measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil_tests.qemu import Qemu, Repl
from hil_tests.workloads.clock import SHIFT
from tools.demo_rules import demo_bundle
from tools.device import read_device
from tools.device_types import ROOT
from tools.image.flashfile import device_files, write_flash

WORKLOADS = "hil_tests/workloads"
SEED = bytes(range(32))
SECONDS_MAX = 120.0
# What MICROPY_HEAP_SIZE gives the production image. A development image's is 25 times that: what walks over it takes that much longer.
HEAP_BYTES = 327680
_FILES = (
    *("tests/both/flash_site.py", "tests/both/vector_files.py", "protocol/vectors/manifest.json"),
    "tools/bench/micropython/closures.py",
)
# Not on /rom, where the agent looks for its settings.
_RUNNER = """
import gc, json, nor, os, sys, vfs
vfs.mount(vfs.VfsRom(nor.view(8 << 20, 4 << 20)), "/work")
os.chdir("/work")
sys.path[:] = [".frozen", "/work"]
from hil_tests.workloads import {} as workload
print(json.dumps(workload.measure({})))
"""

Change = Callable[[str, str], str]


def _unchanged(_name: str, text: str) -> str:
    return text


def workload_files(change: Change = _unchanged) -> dict[str, bytes]:
    """Return what the scripts need on flash. change(name, text): another text of a script, to plant a fault."""
    scripts = sorted(path.relative_to(ROOT) for path in Path(ROOT, WORKLOADS).glob("*.py"))
    files = {str(name): change(name.stem, Path(ROOT, name).read_text()).encode() for name in scripts}
    others = {name: Path(ROOT, name).read_bytes() for name in _FILES}
    return {**files, **others, "demo_bundle.cbor": demo_bundle()}


def make_blank(path: Path, change: Change = _unchanged) -> None:
    """Write a flash file with the scripts and nothing else."""
    write_flash(path, b"", workload_files(change), SEED)


def make_provisioned(path: Path, config: Path, change: Change = _unchanged, **more: Any) -> None:
    """Write the flash file of a provisioned device with the scripts beside its settings. more: settings that differ."""
    items = read_device(config)
    files = {**device_files({**items, **more}), **workload_files(change)}
    write_flash(path, Path(items["flash"]).read_bytes(), files, SEED)


def measure(
    elf: str,
    flash: Path,
    name: str,
    arguments: str = "",
    seconds: float = SECONDS_MAX,
    instructions_shift: int | None = SHIFT,
) -> dict[str, Any]:
    """Return what workloads/NAME.py measured. elf: of the development image. Raises BoardSilent with its traceback.

    instructions_shift: None lets the board run as fast as the host can; its times are then no instructions.
    """
    with Qemu(Path(elf), flash, instructions_shift=instructions_shift) as board:
        said = Repl(board).run(_RUNNER.format(name, arguments), seconds)
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return found
