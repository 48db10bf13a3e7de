"""A running office with a whole fleet in it, and its page: what the page's figures and its pictures are made of."""

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.page_fleet import Fleet, make_office
from tools.ports import free_port
from tools.site import end_process

READY_SECONDS_MAX = 30.0
_ENDED_SECONDS_MAX = 20.0


class Office:
    """A running office and its page's port."""

    def __init__(self, fleet: Fleet, port: int, process: subprocess.Popen[bytes]):
        self.fleet = fleet
        self.port = port
        self.process = process

    @property
    def url(self) -> str:
        """Return the address of the page, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def memory_mb(self) -> float:
        """Return the resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def cpu_s(self) -> float:
        """Return the processor time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextlib.contextmanager
def running_office(folder: Path, devices: int) -> Iterator[Office]:
    """Make a fleet, start its office, wait for its page, and end it. folder: an empty one.

    Raises RuntimeError if the office ends or stays silent instead; why stands on its standard error, which is ours.
    """
    port = free_port(socket.SOCK_STREAM)
    fleet = make_office(folder / "office", devices=devices, now_ms=wall_ms(), page_port=port)
    command = [sys.executable, "-m", "office_ingest", "serve", "--config", str(fleet.config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_ready(process, port)
        yield Office(fleet, port, process)
    finally:
        end_process(process, _ENDED_SECONDS_MAX)


def wall_ms() -> int:
    """Return the wall time."""
    return time.time_ns() // 1_000_000


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the office ended with {process.returncode} before its page answered")
        with contextlib.suppress(OSError):
            get(port, "/healthz")
            return
        time.sleep(0.05)
    raise RuntimeError(f"the page on port {port} did not answer in {READY_SECONDS_MAX:.0f} s")


def get(port: int, path: str, connection: http.client.HTTPConnection | None = None) -> bytes:
    """Return the body of a page."""
    asked = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    asked.request("GET", path)
    answer = asked.getresponse()
    body = answer.read()
    assert answer.status == 200, f"{path}: {answer.status}"
    if connection is None:
        asked.close()
    return body
