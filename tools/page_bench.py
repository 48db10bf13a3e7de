"""Measures the office's page with a fleet of 10,000 devices: how fast it answers, is seen, and what a viewer costs.

python -m tools.page_bench [--devices N] [--json FILE]        also `make bench`, as the benchmark "page"

The office is a real process on its own SQLite file; while it is measured a gateway's heartbeats arrive once a second, so that
every second the page reads the fleet anew. First rows are seen by headless Chromium; without it they are skipped, and said so.
Figures, never limits: the limits stand in docs/operating/page.md.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from tools.page_fleet import Fleet, beat, make_office

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
REQUESTS, REQUESTS_OF_OTHERS, LOADS, VIEWERS, LISTEN_S = 200, 50, 20, 100, 12
_READY_S = 30


class Office:
    """A running office and its page's port."""

    def __init__(self, fleet: Fleet, port: int, process: subprocess.Popen[bytes]):
        self.fleet = fleet
        self.port = port
        self.process = process

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
    """Make a fleet, start its office, wait for its page, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fleet = make_office(folder / "office", devices=devices, now_ms=_wall_ms(), page_port=port)
    command = [sys.executable, "-m", "office_ingest", "serve", "--config", str(fleet.config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait(port)
        yield Office(fleet, port, process)
    finally:
        process.terminate()
        process.wait(20)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _wait(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            get(port, "/healthz")
            return
        time.sleep(0.05)
    raise TimeoutError(f"the page on port {port} did not answer in {_READY_S} s")


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


@contextlib.contextmanager
def beating(fleet: Fleet) -> Iterator[None]:
    """Let heartbeats arrive once a second, as they would through a gateway, until the block ends; in a process of its own."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_beat_until, args=(fleet, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _beat_until(fleet: Fleet, stop: Any) -> None:
    counter = 2
    while not stop.wait(1.0):
        beat(fleet, _wall_ms, counter, devices=len(fleet.live))
        counter += 1


def quantiles(times_ms: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and worst of times."""
    ordered = sorted(times_ms)
    p95 = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(p95, 2),
        "worst": round(ordered[-1], 2),
    }


def answers(office: Office) -> dict[str, Any]:
    """Return how long the server takes for each kind of page, one request at a time."""
    device = office.fleet.live[0].device.hex()
    decision = re.search(rf"/devices/{device}/\d+", get(office.port, f"/devices/{device}").decode())
    assert decision
    pages = {
        "fleet": ["/", "/?page=2", "/?q=pump&sort=name", "/?state=silent", "/?sort=heard&page=40"],
        "device": [f"/devices/{one.device.hex()}" for one in office.fleet.live],
        "explain": [decision[0]],
        "findings": ["/findings"],
        "release": [f"/releases/{office.fleet.release}"],
    }
    return {
        name: quantiles(_times(office.port, paths, REQUESTS if name == "fleet" else REQUESTS_OF_OTHERS))
        for name, paths in pages.items()
    }


def _times(port: int, paths: list[str], count: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times = []
    for at in range(count):
        started = time.perf_counter()
        get(port, paths[at % len(paths)], connection)
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(0.013)  # not in step with the heartbeats
    connection.close()
    return times


def first_rows(office: Office) -> dict[str, Any] | str:
    """Return when the first row is on the screen of a fresh browser window, and what a page weighs; a reason where it cannot be."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "playwright is missing: pip install 'outstation[dev]'"
    if not CHROMIUM.exists():
        return f"{CHROMIUM} is missing: apt-get install chromium"
    times, weights, heaps = [], [], []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        for _ in range(LOADS):
            seen = _load(browser, f"http://127.0.0.1:{office.port}/")
            times.append(seen[0])
            weights.append(seen[1])
            heaps.append(seen[2])
        browser.close()
    return {
        "first_row_ms": quantiles(times),
        "page_bytes": max(weights),
        "heap_mb": round(max(heaps) / 1e6, 2),
    }


# The moment after the frame that shows the row, on the clock that starts with the navigation.
_WHEN_SEEN = """() => new Promise(done => {
  const look = () => document.querySelector("tbody tr th a")
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : requestAnimationFrame(look);
  look();
})"""


def _load(browser: Any, url: str) -> tuple[float, int, int]:
    context = browser.new_context()
    page = context.new_page()
    came: list[Any] = []

    # The driver marks its handlers, which a built-in method does not bear.
    def keep(answer: Any) -> None:
        came.append(answer)

    page.on("response", keep)
    page.goto(url, wait_until="commit")
    seen_ms = page.evaluate(_WHEN_SEEN)
    page.wait_for_load_state("load")
    weight = sum(len(answer.body()) for answer in came if "/live" not in answer.url)
    heap = context.new_cdp_session(page).send("Runtime.getHeapUsage")["usedSize"]
    context.close()
    return seen_ms, weight, heap


def viewers(office: Office) -> dict[str, Any]:
    """Return what an open page costs: bytes a second, memory, processor time; all viewers look at the first page of the fleet."""
    before_mb = office.memory_mb()
    streams = [_stream(office.port) for _ in range(VIEWERS)]
    time.sleep(2)
    for stream in streams:
        _drain(stream)
    cpu_before, started = office.cpu_s(), time.monotonic()
    received = 0
    while time.monotonic() - started < LISTEN_S:
        time.sleep(0.5)
        received += sum(_drain(stream) for stream in streams)
    lasted = time.monotonic() - started
    cpu = office.cpu_s() - cpu_before
    memory_mb = office.memory_mb() - before_mb
    for stream in streams:
        stream.close()
    return {
        "viewers": VIEWERS,
        "bytes_per_s_each": round(received / lasted / VIEWERS, 1),
        "memory_mb_each": round(memory_mb / VIEWERS, 4),
        "cpu_percent_all": round(100 * cpu / lasted, 1),
    }


def _stream(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), timeout=20)
    stream.sendall(b"GET /live?topic=%2F HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
    stream.recv(65536)
    stream.setblocking(False)
    return stream


def _drain(stream: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while piece := stream.recv(65536):
            count += len(piece)
    return count


def measure(folder: Path, devices: int) -> dict[str, Any]:
    """Return every figure. folder: an empty one on the disk that is measured."""
    with running_office(folder, devices) as office:
        quiet_mb = office.memory_mb()
        with beating(office.fleet):
            return {
                "devices": devices,
                "answer_ms": answers(office),
                "browser": first_rows(office),
                "live": viewers(office),
                "memory_mb": round(quiet_mb, 1),
            }


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the figures for a terminal."""
    said = [
        f"{figures['devices']} devices, heartbeats every second; office process {figures['memory_mb']} MB"
    ]
    for name, times in figures["answer_ms"].items():
        said.append(
            f"{name + ' page':16} p95 {times['p95']:7.1f} ms   median {times['median']:7.1f}   worst {times['worst']:7.1f}"
        )
    seen = figures["browser"]
    if isinstance(seen, str):
        said.append(f"{'first row':16} skipped: {seen}")
    else:
        times = seen["first_row_ms"]
        said.append(
            f"{'first row':16} p95 {times['p95']:7.1f} ms   median {times['median']:7.1f}   worst {times['worst']:7.1f}"
        )
        said.append(f"{'first view':16} {seen['page_bytes']} bytes, script heap {seen['heap_mb']} MB")
    live = figures["live"]
    said.append(
        f"{'a viewer':16} {live['bytes_per_s_each']} bytes/s, {live['memory_mb_each']} MB; {live['viewers']} of them {live['cpu_percent_all']} % of a processor"
    )
    return said


def _end_in_order(_number: int, _frame: Any) -> NoReturn:
    """Let a plain kill end the run as Ctrl-C does, with the office and all files."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.page_bench", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--json", type=Path, default=Path("build/page.json"), dest="json_file")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end_in_order)
    asked.json_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.json_file.parent) as folder:
        figures = measure(Path(folder), asked.devices)
    print("\n".join(lines(figures)))
    document = {"schema": "outstation.page-bench", "version": 1, **figures}
    asked.json_file.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
