"""MicroPython's source, from this machine's own Debian mirror: its source package, fetched once and kept in the cache.

No address is written down here. The mirror is the one that the machine's package lists came from; entries for the source
packages of trixie and sid stand in a private state folder, so that the machine's own lists stay as they are.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError

SUITES = ("trixie", "sid")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_VERSION = re.compile(r"^Version: (1\.(2\d)\.(\d+)\S*)$", re.MULTILINE)
_NOTE = "source.json"


class Source(NamedTuple):
    """MicroPython's tree, unpacked. version: of the source package. sha256: of the archive it came in."""

    folder: Path
    version: str
    archive: str
    sha256: str


def fetch_source(cache: Path) -> Source:
    """Return the newest MicroPython 1.2x that Debian has, from the cache if it was fetched before.

    Raises DiagnosticError (exit 3) where it cannot be had.
    """
    cache.mkdir(parents=True, exist_ok=True)
    kept = _kept(cache)
    if kept is not None:
        return kept
    apt = _private_apt(cache / "apt")
    _run([*apt, "update"], cache)
    version = _newest(_run(["apt-cache", *apt[1:], "showsrc", "micropython"], cache))
    archives = cache / "archives"
    archives.mkdir(exist_ok=True)
    _run([*apt, "source", "--download-only", f"micropython={version}"], archives)
    source = _unpack(cache, archives, version)
    # Megabytes of lists that nobody asks again.
    shutil.rmtree(cache / "apt")
    return source


def _kept(cache: Path) -> Source | None:
    try:
        items = json.loads((cache / _NOTE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    source = Source(Path(cache / items["folder"]), items["version"], items["archive"], items["sha256"])
    return source if (source.folder / "py" / "py.mk").is_file() else None


def _unpack(cache: Path, archives: Path, version: str) -> Source:
    upstream = version.rpartition("-")[0]
    archive = next(iter(sorted(archives.glob(f"micropython_{upstream}.orig.tar.*"))))
    folder = cache / f"micropython-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    # Without Debian's patches, which concern its own ports: the tree is upstream's.
    words = [
        "dpkg-source",
        "--no-check",
        "--skip-patches",
        "-x",
        str(archives / f"micropython_{version}.dsc"),
        str(folder),
    ]
    _run(words, cache)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    source = Source(folder, version, archive.name, digest)
    items = {**source._asdict(), "folder": folder.name}
    (cache / _NOTE).write_text(json.dumps(items, indent=1) + "\n")
    return source


def _newest(text: str) -> str:
    found = [(int(match[2]), int(match[3]), match[1]) for match in _VERSION.finditer(text)]
    if not found:
        raise _missing(
            "Debian's source packages have no MicroPython 1.2x", "name a source tree with --source"
        )
    return max(found)[2]


def _private_apt(folder: Path) -> list[str]:
    """Return the words that start apt-get over lists of its own."""
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    signed = f"Signed-By: {_KEYRING}\n" if _KEYRING.is_file() else ""
    entry = f"Types: deb-src\nURIs: {_mirror()}\nSuites: {' '.join(SUITES)}\nComponents: main\n{signed}"
    (folder / "parts" / "source.sources").write_text(entry)
    options = {
        "Dir::Etc::SourceList": os.devnull,
        "Dir::Etc::SourceParts": folder / "parts",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
    }
    if os.geteuid() == 0:
        # apt would give up root for the download, and then may not enter the folder.
        options["APT::Sandbox::User"] = "root"
    return ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


def _mirror() -> str:
    words = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)"]
    for line in _run(words, Path.cwd()).splitlines():
        origin, label, codename, address = line.split("|")
        if (origin, label) == ("Debian", "Debian") and "-" not in codename:
            return address
    raise _missing(
        "this machine's package lists come from no Debian mirror",
        "run sudo apt-get update on Debian, or name a source tree of MicroPython with --source",
    )


def _run(words: list[str], folder: Path) -> str:
    try:
        result = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise _missing(
            f"{words[0]} is not here", "sudo apt-get install apt dpkg-dev, or use --source"
        ) from None
    if result.returncode != 0:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:]
        message = f"MicroPython's source cannot be had: {words[0]} says {' '.join(last)}"
        raise _missing(message, "try again with the network, or name a source tree with --source")
    return result.stdout


def _missing(message: str, fix: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic("image-source-missing", message, fix=fix), UNREACHABLE)
