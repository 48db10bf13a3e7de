"""Which system packages building and running an image takes, and which of them are not here."""

import shutil
import subprocess

from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError

# package -> a program of it; newlib has none.
BUILD = {"build-essential": "make", "dpkg-dev": "dpkg-source", "gcc-arm-none-eabi": "arm-none-eabi-gcc"}
UNIX = {"build-essential": "gcc", "make": "make", "dpkg-dev": "dpkg-source"}
RUN = {"qemu-system-arm": "qemu-system-arm"}
# Machines that the unix port is built for on others: what their cross compilers' programs begin with.
CROSS = {"aarch64": "aarch64-linux-gnu-"}
_DEBIAN_NAMES = {"aarch64": "arm64"}
_NEWLIB = "libnewlib-arm-none-eabi"


def missing_packages(programs: dict[str, str]) -> list[str]:
    """Return the packages of which the program is not here."""
    found = [package for package, program in programs.items() if shutil.which(program) is None]
    if "gcc-arm-none-eabi" in programs and not _has_newlib():
        found.append(_NEWLIB)
    return found


def cross_packages(machine: str) -> dict[str, str]:
    """Return what building the unix port for another machine takes: package -> a program of it. machine: one of CROSS."""
    prefix = CROSS[machine]
    return {**UNIX, f"gcc-{prefix.rstrip('-')}": f"{prefix}gcc"}


def missing_for(machine: str) -> list[str]:
    """Return the packages that are not here of those that building the unix port for another machine takes, its C library included."""
    found = missing_packages(cross_packages(machine))
    if not _has_file(f"{CROSS[machine]}gcc", "crt1.o"):
        found.append(f"libc6-dev-{_DEBIAN_NAMES[machine]}-cross")
    return found


def install_command(packages: list[str]) -> str:
    """Return the words that a person types to get them."""
    return " ".join(["sudo apt-get install", *packages])


def check_packages(programs: dict[str, str]) -> None:
    """Raise DiagnosticError (exit 3) that names what is missing and how to get it."""
    refuse_without(missing_packages(programs))


def refuse_without(packages: list[str]) -> None:
    """Raise DiagnosticError (exit 3) that names these packages, if there are any, and how to get them."""
    if packages:
        message = f"the build needs system packages that are not here: {', '.join(packages)}"
        found = Diagnostic("image-packages-missing", message, fix=install_command(packages))
        raise DiagnosticError(found, UNREACHABLE)


def _has_newlib() -> bool:
    return _has_file("arm-none-eabi-gcc", "nosys.specs")


def _has_file(compiler: str, name: str) -> bool:
    if shutil.which(compiler) is None:
        return False
    words = [compiler, f"-print-file-name={name}"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    # A compiler that knows no such file answers with the bare name.
    return said != name
