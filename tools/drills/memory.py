"""How much memory a process of ours holds, as the kernel counts it."""

from pathlib import Path

_KIB = 1024


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process now, KiB; 0 when it has ended."""
    return _status(pid, "VmRSS:")


def peak_kib(pid: int) -> int:
    """Return the highest resident memory that a process has had, KiB; 0 when it has ended."""
    return _status(pid, "VmHWM:")


def _status(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def mib(kib: int) -> float:
    """Return MiB of KiB, to a tenth."""
    return round(kib / _KIB, 1)
