"""Which system packages building and running an image takes, and which of them are not here."""

import shutil
import subprocess

from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError

# package -> a program of it; newlib has none.
BUILD = {"build-essential": "make", "dpkg-dev": "dpkg-source", "gcc-arm-none-eabi": "arm-none-eabi-gcc"}
UNIX = {"build-essential": "gcc", "make": "make", "dpkg-dev": "dpkg-source"}
RUN = {"qemu-system-arm": "qemu-system-arm"}
_NEWLIB = "libnewlib-arm-none-eabi"


def missing_packages(programs: dict[str, str]) -> list[str]:
    """Return the packages of which the program is not here."""
    found = [package for package, program in programs.items() if shutil.which(program) is None]
    if "gcc-arm-none-eabi" in programs and not _has_newlib():
        found.append(_NEWLIB)
    return found


def install_command(packages: list[str]) -> str:
    """Return the words that a person types to get them."""
    return " ".join(["sudo apt-get install", *packages])


def check_packages(programs: dict[str, str]) -> None:
    """Raise DiagnosticError (exit 3) that names what is missing and how to get it."""
    packages = missing_packages(programs)
    if packages:
        message = f"the build needs system packages that are not here: {', '.join(packages)}"
        found = Diagnostic("image-packages-missing", message, fix=install_command(packages))
        raise DiagnosticError(found, UNREACHABLE)


def _has_newlib() -> bool:
    if shutil.which("arm-none-eabi-gcc") is None:
        return False
    words = ["arm-none-eabi-gcc", "-print-file-name=nosys.specs"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    # A compiler that knows no such file answers with the bare name.
    return said != "nosys.specs"
