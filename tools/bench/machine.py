"""On what machine a run was made, and how quiet it was: without both no figure can be compared with another."""

import os
import platform
import sqlite3
import time
from pathlib import Path
from typing import Any

_SPIN_STEPS = 300_000
_SYNCS = 64
_SYNC_BYTES = 512
# The same loop, or the same writes, that now take so many times as long as at best: somebody else is at work, perhaps
# below this virtual machine. Disks are less even than processors.
LOOP_UNEVEN_ABOVE = 1.25
SYNC_UNEVEN_ABOVE = 2.0


def describe(folder: Path) -> dict[str, Any]:
    """Return system, processor, interpreter, and the filesystem of the folder in which everything durable lies."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "filesystem": _filesystem(folder),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _filesystem(folder: Path) -> str:
    """Return the type of the filesystem that holds a folder: the mount with the longest path above it."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    place = folder.resolve()
    above = [(len(mount[1]), mount[2]) for mount in mounts if place.is_relative_to(mount[1])]
    return max(above)[1] if above else "unknown"


class Gauge:
    """Measures now and then how long the same small work takes here: a loop, and writes that are synced one by one."""

    def __init__(self, folder: Path):
        self._file = folder / "gauge"
        self._spins: list[float] = []
        self._syncs: list[float] = []
        self._load_before = os.getloadavg()[0]

    def look(self) -> None:
        """Measure once."""
        self._spins.append(_spin())
        self._syncs.append(_sync(self._file))

    def as_json(self) -> dict[str, Any]:
        """Return what was seen: slowest over fastest of both works, and the load before and after."""
        return {
            "loop_slowest_over_fastest": round(max(self._spins) / min(self._spins), 2),
            "sync_slowest_over_fastest": round(max(self._syncs) / min(self._syncs), 2),
            "sync_us_fastest": round(min(self._syncs) * 1e6),
            "load_before": round(self._load_before, 2),
            "load_after": round(os.getloadavg()[0], 2),
        }


def is_uneven(noise: dict[str, Any]) -> bool:
    """Say whether this machine was too uneven for one run to be relied on."""
    loop, sync = noise["loop_slowest_over_fastest"], noise["sync_slowest_over_fastest"]
    return bool(loop > LOOP_UNEVEN_ABOVE or sync > SYNC_UNEVEN_ABOVE)


def _spin() -> float:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        total = 0
        for step in range(_SPIN_STEPS):
            total += step
        best = min(best, time.perf_counter() - started)
    return best


def _sync(file: Path) -> float:
    """Return the seconds of one append and fdatasync, the mean of some."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        started = time.perf_counter()
        for _ in range(_SYNCS):
            os.write(handle, bytes(_SYNC_BYTES))
            os.fdatasync(handle)
        return (time.perf_counter() - started) / _SYNCS
    finally:
        os.close(handle)
