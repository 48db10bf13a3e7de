"""Checks the device's code with mypy against MicroPython's own stubs, so that a call the device lacks is an error.

mypy takes the standard library from one typeshed folder only, and finds no MicroPython stubs that lie in site-packages
beside everything else. So the two stub packages are laid out once as such a folder, every module listed in its VERSIONS.
"""

import shutil
import sys
import tomllib
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUB_DISTRIBUTIONS = ("micropython-stdlib-stubs", "micropython-unix-stubs")
_FROM = "3.0-"
_BOARDS = "firmware/boards"
# What boards with Wi-Fi share; the folders of each are tools.board.table's.
WIRELESS = "wireless"


def build_typeshed(folder: Path) -> Path:
    """Lay out the installed stubs as a typeshed under folder, and return its path; kept for the same versions."""
    return _lay_out(folder, [distribution(name) for name in STUB_DISTRIBUTIONS])


def board_typeshed(folder: Path, stubs: Path, name: str) -> Path:
    """Lay out a board's stubs, unpacked in a folder of their own, as a typeshed called name-VERSIONS; see build_typeshed."""
    info = next(iter(sorted(stubs.glob("*.dist-info"))))
    parts = [distribution(STUB_DISTRIBUTIONS[0]), PathDistribution(info)]
    return _lay_out(folder / name, parts)


def _lay_out(folder: Path, parts: list[Distribution]) -> Path:
    target = folder / "-".join(["typeshed", *(part.version for part in parts)])
    if (target / "stdlib" / "VERSIONS").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    for part in parts:
        _copy_stubs(part, target)
    versions = target / "stdlib" / "VERSIONS"
    listed = {line.split(":")[0].strip() for line in versions.read_text().splitlines()}
    modules = sorted({_module(path) for path in (target / "stdlib").iterdir() if path.name != "VERSIONS"})
    extra = [f"{name}: {_FROM}" for name in modules if name not in listed]
    versions.write_text(versions.read_text().rstrip() + "\n" + "\n".join(extra) + "\n")
    return target


def device_files(root: Path = ROOT) -> list[str]:
    """Return the files that run on a device: the agent, and protocol and rules less what only hosts may import."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["outstation"]
    hosts_only = [root / path for path in settings["hosts-only"]]
    found = [path for folder in ("firmware", "protocol", "rules") for path in (root / folder).rglob("*.py")]
    return sorted(
        str(path)
        for path in found
        # Manifests are read by MicroPython's build, on the host.
        if not (root / "firmware" in path.parents and path.stem.startswith("manifest"))
        and not any(path == host or host in path.parents for host in hosts_only)
    )


def desk_files(root: Path = ROOT) -> list[str]:
    """Return the device files that the unix port's stubs can judge: all but those of boards on silicon."""
    from tools.board.table import SILICON

    apart = [root / _BOARDS / name for name in (WIRELESS, *SILICON)]
    return [path for path in device_files(root) if not any(place in Path(path).parents for place in apart)]


def board_folders(folders: tuple[str, ...], root: Path = ROOT) -> list[Path]:
    """Return where the modules of one board on silicon lie, its own first. folders: of its table entry."""
    return [root / _BOARDS / name for name in (*folders, WIRELESS)]


def board_files(folders: tuple[str, ...], root: Path = ROOT) -> list[str]:
    """Return the modules of one board on silicon; of two that have one name, the first is the board's."""
    found: dict[str, str] = {}
    for folder in board_folders(folders, root):
        for path in sorted(folder.glob("*.py")):
            if not path.stem.startswith("manifest"):
                found.setdefault(path.name, str(path))
    return sorted(found.values())


def mypy_command(files: list[str], typeshed: Path, cache: Path) -> list[str]:
    """Return the words that check files as device code."""
    # No settings file: those of pyproject.toml are for the hosts' Python.
    return [
        *(sys.executable, "-m", "mypy", "--config-file=", f"--custom-typeshed-dir={typeshed}"),
        *("--no-site-packages", f"--cache-dir={cache}", "--explicit-package-bases", "--check-untyped-defs"),
        *(
            "--python-version=3.11",
            "--platform=linux",
            "--no-error-summary",
            "--disable-error-code=annotation-unchecked",
            "--disable-error-code=var-annotated",
        ),
        *files,
    ]


def _copy_stubs(part: Distribution, target: Path) -> None:
    for path in part.files or []:
        words = path.parts
        if (
            words[0] == ".."
            or words[0].endswith(".dist-info")
            or (path.suffix not in (".pyi", "") and path.name != "VERSIONS")
        ):
            continue
        # Modules lie at the top or under stdlib/; both are the device's standard library.
        place = target / path if words[0] in ("stdlib", "stubs") else target / "stdlib" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(part.locate_file(path)), place)


def _module(path: Path) -> str:
    return path.name.removesuffix(".pyi")
