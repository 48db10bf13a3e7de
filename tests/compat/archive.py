"""Keeps what a landed commit ran, as two zip files beside this one.

    python -m tests.compat.archive COMMIT      write device-COMMIT.zip and hosts-COMMIT.zip

device-*.zip holds the files that run on a device; hosts-*.zip what gateway, office and their commands need besides. Unpacked into
one folder both are that commit's tree, less its pages, vectors and tests. The same commit gives the same bytes again.
"""

import io
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from protocol.diagnostic import FINDING, OK
from tools.device_types import ROOT

FOLDER = Path(__file__).resolve().parent
COMMIT_FILE = "COMMIT"
# Digits of a commit in a file's name.
SHORT = 7
_WANTED = ("firmware", "gateway", "office_ingest", "protocol", "rules", "tools")
# What a site is laid out with, and the policy that it releases.
_BESIDES = ("tests/site/harness.py", "docs/rules/demo.yaml", "pyproject.toml")
_LEFT_OUT = ("tools/bench/", "protocol/vectors/", "rules/vectors/")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def git(*words: str) -> bytes:
    """Return what git says about this checkout. Raises subprocess.CalledProcessError, or FileNotFoundError without git."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


def tree_of(commit: str) -> dict[str, bytes]:
    """Return path -> content of all that is kept of a commit."""
    archive = git("archive", commit, *_WANTED, *_BESIDES)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    return {
        name: content
        for name, content in sorted(files.items())
        if not name.endswith(".md") and not name.startswith(_LEFT_OUT)
    }


def device_part(files: dict[str, bytes]) -> set[str]:
    """Return which of the files ran on a device: the agent, protocol and rules less what that commit calls hosts-only."""
    settings = tomllib.loads(files["pyproject.toml"].decode())["tool"]["outstation"]
    hosts_only = tuple(path if path.endswith(".py") else path + "/" for path in settings["hosts-only"])
    return {
        name
        for name in files
        if name.endswith(".py")
        and name.startswith(("firmware/", "protocol/", "rules/"))
        and not name.startswith(hosts_only)
    }


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    """Write files under a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip whose bytes depend on nothing but the files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, content in sorted(files.items()):
            item = zipfile.ZipInfo(name, _EPOCH)
            item.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(item, content)
    return sink.getvalue()


def files_of(path: Path) -> dict[str, bytes]:
    """Return path -> content of a zip."""
    with zipfile.ZipFile(path) as source:
        return {name: source.read(name) for name in source.namelist()}


def parts_of(commit: str) -> dict[str, dict[str, bytes]]:
    """Return "device" and "hosts" -> path -> content, each with the commit's whole name in a file."""
    whole = git("rev-parse", f"{commit}^{{commit}}").strip() + b"\n"
    files = tree_of(commit)
    on_device = device_part(files)
    parts = {
        "device": {name: content for name, content in files.items() if name in on_device},
        "hosts": {name: content for name, content in files.items() if name not in on_device},
    }
    return {part: {COMMIT_FILE: whole, **content} for part, content in parts.items()}


def main(arguments: list[str]) -> int:
    """Write both files and return the exit code."""
    if len(arguments) != 1:
        print(__doc__)
        return FINDING
    for part, files in parts_of(arguments[0]).items():
        path = FOLDER / f"{part}-{files[COMMIT_FILE][:SHORT].decode()}.zip"
        path.write_bytes(zipped(files))
        print(f"{path.relative_to(ROOT)}: {len(files)} files, {path.stat().st_size} bytes")
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
